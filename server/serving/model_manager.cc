#include "server/serving/model_manager.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/serving/model_lifecycle.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

absl::Status CheckVersionGiven(std::uint64_t version) {
  if (version != 0) return absl::OkStatus();
  return InvalidField("version", "want a number of at least 1, got 0");
}

class Upload final : public ModelUpload {
 public:
  Upload(ModelLifecycle* lifecycle, std::unique_ptr<UploadSession> session,
         bool store_only)
      : lifecycle_(lifecycle),
        session_(std::move(session)),
        store_only_(store_only) {}

  absl::Status Append(std::string_view chunk) override {
    return session_->Append(chunk);
  }

  absl::StatusOr<UploadResult> Finish() override {
    TERN_RETURN_IF_ERROR(session_->Seal());
    TERN_ASSIGN_OR_RETURN(std::shared_ptr<const Model> model,
                          lifecycle_->ReadOnLoader(session_->path()));
    TERN_ASSIGN_OR_RETURN(const PublishedVersion published,
                          session_->Publish());
    const std::string& name = published.stored.model;
    const std::uint64_t version = published.stored.version;
    lifecycle_->Add({published.stored});
    if (!store_only_) {
      TERN_RETURN_IF_ERROR(lifecycle_->Load(
          name, version, RequestFor(name, version), std::move(model)));
    } else if (!published.existed) {
      lifecycle_->SetRequest(name, version, VersionRequest::kUnload);
    }
    return UploadResult{name, version, published.digest, published.existed};
  }

 private:
  // What was uploaded is to be served, also where the policy alone would not.
  VersionRequest RequestFor(const std::string& name,
                            std::uint64_t version) const {
    const VersionPolicy& policy = lifecycle_->parts().options.policy;
    const bool wanted = policy.kind != VersionPolicy::Kind::kSpecific &&
                        version == lifecycle_->Newest(name);
    return wanted ? VersionRequest::kNone : VersionRequest::kLoad;
  }

  ModelLifecycle* const lifecycle_;
  const std::unique_ptr<UploadSession> session_;
  const bool store_only_;
};

}  // namespace

ModelManager::ModelManager(const ManagerOptions& options,
                           ModelRepository* repository,
                           const KernelTable* kernels, Batcher* batcher,
                           ExecutorPool* executors, Clock* clock,
                           ServingObserver* observer)
    : lifecycle_(std::make_unique<ModelLifecycle>(ModelLifecycle::Parts{
          options, repository, kernels, batcher, executors, clock, observer})) {
}

ModelManager::~ModelManager() = default;

absl::Status ModelManager::Start() {
  const ModelLifecycle::Parts& parts = lifecycle_->parts();
  if (parts.repository->leftovers() > 0) {
    parts.observer->Notice(absl::StrCat(
        "removed ", parts.repository->leftovers(),
        " leftovers of interrupted uploads from the model repository"));
  }
  if (!parts.repository->writable().ok()) {
    parts.observer->Notice(std::string(parts.repository->writable().message()));
  }
  TERN_ASSIGN_OR_RETURN(const ScanResult scan, parts.repository->Scan());
  for (const std::string& notice : scan.notices) parts.observer->Notice(notice);
  lifecycle_->Add(scan.versions);
  lifecycle_->ApplyPolicyAndWait();
  return absl::OkStatus();
}

absl::StatusOr<ServableHandle> ModelManager::Get(
    const ModelChoice& choice) const {
  return lifecycle_->Resolve(choice);
}

absl::StatusOr<std::vector<VersionStatus>> ModelManager::List(
    std::string_view model) const {
  std::vector<VersionStatus> statuses =
      lifecycle_->Statuses([&](const VersionEntry& entry) {
        return model.empty() || entry.stored.model == model;
      });
  if (statuses.empty() && !model.empty()) {
    return absl::NotFoundError(
        absl::StrCat("there is no model '", std::string(model), "'"));
  }
  return statuses;
}

absl::StatusOr<VersionStatus> ModelManager::Status(
    std::string_view model, std::uint64_t version) const {
  std::vector<VersionStatus> statuses =
      lifecycle_->Statuses([&](const VersionEntry& entry) {
        return entry.stored.model == model && entry.stored.version == version;
      });
  if (statuses.empty()) {
    return absl::NotFoundError(absl::StrCat("model '", std::string(model),
                                            "' has no version ", version));
  }
  return std::move(statuses.front());
}

absl::StatusOr<VersionStatus> ModelManager::Load(std::string_view model,
                                                 std::uint64_t version) {
  TERN_RETURN_IF_ERROR(lifecycle_->CheckServing());
  const std::string name(model);
  // The file may have come without an upload.
  const ModelRepository& repository = *lifecycle_->parts().repository;
  if (version == 0) {
    TERN_RETURN_IF_ERROR(CheckModelName(name));
    TERN_ASSIGN_OR_RETURN(const ScanResult scan, repository.Scan());
    for (const StoredVersion& stored : scan.versions) {
      if (stored.model != name) continue;
      lifecycle_->Add({stored});
      version = stored.version;
    }
    if (version == 0) {
      return absl::NotFoundError(
          absl::StrCat("there is no model '", name, "'"));
    }
  } else {
    TERN_ASSIGN_OR_RETURN(const StoredVersion stored,
                          repository.Find(name, version));
    lifecycle_->Add({stored});
  }
  TERN_RETURN_IF_ERROR(
      lifecycle_->Load(name, version, VersionRequest::kLoad, nullptr));
  return Status(name, version);
}

absl::Status ModelManager::Unload(std::string_view model,
                                  std::uint64_t version) {
  TERN_RETURN_IF_ERROR(lifecycle_->CheckServing());
  TERN_RETURN_IF_ERROR(CheckVersionGiven(version));
  return lifecycle_->Unload(std::string(model), version);
}

absl::Status ModelManager::Delete(std::string_view model,
                                  std::uint64_t version) {
  TERN_RETURN_IF_ERROR(lifecycle_->CheckServing());
  TERN_RETURN_IF_ERROR(CheckVersionGiven(version));
  ModelRepository& repository = *lifecycle_->parts().repository;
  const std::string name(model);
  TERN_ASSIGN_OR_RETURN(const StoredVersion stored,
                        repository.FindToDelete(name, version));
  lifecycle_->Add({stored});
  TERN_RETURN_IF_ERROR(lifecycle_->BeginDelete(name, version));
  absl::Status status = repository.Delete(name, version);
  lifecycle_->FinishDelete(name, version,
                           status.ok() || absl::IsNotFound(status));
  return status;
}

absl::StatusOr<std::unique_ptr<ModelUpload>> ModelManager::StartUpload(
    UploadSpec spec, bool store_only) {
  TERN_RETURN_IF_ERROR(lifecycle_->CheckServing());
  TERN_ASSIGN_OR_RETURN(
      std::unique_ptr<UploadSession> session,
      lifecycle_->parts().repository->StartUpload(std::move(spec)));
  return std::make_unique<Upload>(lifecycle_.get(), std::move(session),
                                  store_only);
}

void ModelManager::StartDraining() { lifecycle_->StartDraining(); }

}  // namespace tern::server
