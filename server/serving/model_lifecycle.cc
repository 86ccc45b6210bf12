#include "server/serving/model_lifecycle.h"

#include <malloc.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/serving/model_loading.h"

namespace tern::server {
namespace {

absl::Status NoVersion(const std::string& model, std::uint64_t version) {
  return absl::NotFoundError(
      absl::StrCat("model '", model, "' has no version ", version));
}

VersionStatus StatusOf(const VersionEntry& entry) {
  VersionStatus status;
  status.model = entry.stored.model;
  status.version = entry.stored.version;
  status.state = entry.state;
  status.error = entry.error;
  status.digest = entry.digest;
  status.file_bytes = entry.stored.file_bytes;
  status.packed_bytes = entry.packed_bytes;
  status.float32_bytes = entry.float32_bytes;
  return status;
}

bool IsSettled(const VersionEntry& entry) {
  return entry.state != ModelState::kLoading &&
         entry.state != ModelState::kUnloading;
}

}  // namespace

ModelLifecycle::ModelLifecycle(Parts parts)
    : parts_(std::move(parts)),
      loaders_(parts_.options.load_threads, JobPool::Priority::kLow) {}

ModelLifecycle::~ModelLifecycle() {
  MutexLock lock(&mu_);
  draining_ = true;
  bool busy = true;
  while (busy) {
    busy = live_ > 0;
    table_.ForEach([&](VersionEntry& entry) {
      mu_.AssertHeld();
      if (entry.state == ModelState::kReady) StartUnload(entry);
      busy = busy || !IsSettled(entry);
    });
    if (busy) changed_.Wait(&mu_);
  }
}

void ModelLifecycle::StartDraining() {
  MutexLock lock(&mu_);
  draining_ = true;
}

absl::Status ModelLifecycle::CheckServing() const {
  MutexLock lock(&mu_);
  if (!draining_) return absl::OkStatus();
  return absl::UnavailableError("the server is shutting down");
}

absl::StatusOr<ServableHandle> ModelLifecycle::Resolve(
    const ModelChoice& choice) const {
  MutexLock lock(&mu_);
  if (draining_) return absl::UnavailableError("the server is shutting down");
  return table_.Resolve(choice);
}

std::vector<VersionStatus> ModelLifecycle::Statuses(
    const std::function<bool(const VersionEntry&)>& wanted) {
  std::vector<VersionStatus> statuses;
  std::vector<ServableHandle> servables;
  {
    MutexLock lock(&mu_);
    table_.ForEach([&](VersionEntry& entry) {
      if (!wanted(entry)) return;
      statuses.push_back(StatusOf(entry));
      servables.push_back(entry.servable);
    });
  }
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    if (servables[i] != nullptr) statuses[i].queue = servables[i]->stats();
  }
  return statuses;
}

bool ModelLifecycle::HasModel(std::string_view model) const {
  MutexLock lock(&mu_);
  return table_.HasModel(model);
}

std::uint64_t ModelLifecycle::Newest(std::string_view model) const {
  MutexLock lock(&mu_);
  return table_.Newest(model);
}

void ModelLifecycle::Add(const std::vector<StoredVersion>& stored) {
  MutexLock lock(&mu_);
  for (const StoredVersion& version : stored) {
    if (table_.Find(version.model, version.version) != nullptr) continue;
    SetState(table_.Add(version), ModelState::kUnloaded, absl::OkStatus());
  }
}

void ModelLifecycle::ApplyPolicyAndWait() {
  MutexLock lock(&mu_);
  std::set<std::string> models;
  table_.ForEach(
      [&](VersionEntry& entry) { models.insert(entry.stored.model); });
  for (const std::string& model : models) ApplyPolicy(model);
  for (bool settled = false; !settled;) {
    settled = true;
    table_.ForEach(
        [&](VersionEntry& entry) { settled = settled && IsSettled(entry); });
    if (!settled) changed_.Wait(&mu_);
  }
}

absl::Status ModelLifecycle::Load(const std::string& model,
                                  std::uint64_t version, VersionRequest request,
                                  std::shared_ptr<const Model> loaded) {
  MutexLock lock(&mu_);
  for (bool started = false;;) {
    VersionEntry* entry = WaitSettled(model, version);
    if (entry == nullptr || entry->deleting) return NoVersion(model, version);
    if (!started) entry->request = request;
    if (entry->state == ModelState::kReady) return absl::OkStatus();
    if (draining_) return absl::UnavailableError("the server is shutting down");
    if (started && entry->state == ModelState::kFailed) return entry->error;
    if (started) {
      // It was ready, and by now the policy has something newer.
      if (request == VersionRequest::kNone) return absl::OkStatus();
      return absl::AbortedError(absl::StrCat("model '", model, "' version ",
                                             version, " was unloaded again"));
    }
    started = true;
    StartLoad(*entry, std::move(loaded));
  }
}

void ModelLifecycle::SetRequest(const std::string& model, std::uint64_t version,
                                VersionRequest request) {
  MutexLock lock(&mu_);
  VersionEntry* entry = table_.Find(model, version);
  if (entry != nullptr) entry->request = request;
}

absl::Status ModelLifecycle::Unload(const std::string& model,
                                    std::uint64_t version) {
  MutexLock lock(&mu_);
  VersionEntry* entry = WaitSettled(model, version);
  if (entry == nullptr) return NoVersion(model, version);
  entry->request = VersionRequest::kUnload;
  if (entry->state != ModelState::kReady) {
    return absl::NotFoundError(absl::StrCat("model '", model, "' version ",
                                            version, " is not loaded"));
  }
  StartUnload(*entry);
  WaitSettled(model, version);
  return absl::OkStatus();
}

absl::Status ModelLifecycle::BeginDelete(const std::string& model,
                                         std::uint64_t version) {
  MutexLock lock(&mu_);
  VersionEntry* entry = table_.Find(model, version);
  if (entry == nullptr || entry->deleting) return NoVersion(model, version);
  entry->deleting = true;
  entry = WaitSettled(model, version);
  if (entry->state != ModelState::kReady) return absl::OkStatus();
  StartUnload(*entry);
  WaitSettled(model, version);
  return absl::OkStatus();
}

void ModelLifecycle::FinishDelete(const std::string& model,
                                  std::uint64_t version, bool removed) {
  MutexLock lock(&mu_);
  if (removed) {
    table_.Remove(model, version);
    parts_.observer->Removed(model, version);
  } else {
    table_.Find(model, version)->deleting = false;
  }
  ApplyPolicy(model);
  changed_.SignalAll();
}

absl::StatusOr<std::shared_ptr<const Model>> ModelLifecycle::ReadOnLoader(
    const std::string& path) {
  absl::StatusOr<std::shared_ptr<const Model>> model;
  loaders_.RunAndWait(
      [&] { model = ReadModel(path, *parts_.kernels, parts_.options.load); });
  return model;
}

void ModelLifecycle::SetState(VersionEntry& entry, ModelState state,
                              absl::Status error) {
  entry.state = state;
  entry.error = std::move(error);
  parts_.observer->StateChanged(entry.stored.model, entry.stored.version, state,
                                entry.error);
  changed_.SignalAll();
}

void ModelLifecycle::ApplyPolicy(const std::string& model) {
  while (!draining_) {
    const std::optional<VersionAction> action =
        NextAction(parts_.options.policy, table_.Infos(model));
    if (!action.has_value()) return;
    VersionEntry& entry = *table_.Find(model, action->version);
    if (action->kind == VersionAction::Kind::kLoad) {
      StartLoad(entry, nullptr);
    } else {
      StartUnload(entry);
    }
  }
}

void ModelLifecycle::StartLoad(VersionEntry& entry,
                               std::shared_ptr<const Model> loaded) {
  SetState(entry, ModelState::kLoading, absl::OkStatus());
  loaders_.Post([this, stored = entry.stored, model = std::move(loaded)] {
    LoadJob(stored, model);
  });
}

// Letting go of the handle frees the model once requests under way are done.
void ModelLifecycle::StartUnload(VersionEntry& entry) {
  SetState(entry, ModelState::kUnloading, absl::OkStatus());
  entry.servable.reset();
}

VersionEntry* ModelLifecycle::WaitSettled(const std::string& model,
                                          std::uint64_t version) {
  for (;;) {
    VersionEntry* entry = table_.Find(model, version);
    if (entry == nullptr || IsSettled(*entry)) return entry;
    changed_.Wait(&mu_);
  }
}

void ModelLifecycle::LoadJob(const StoredVersion& stored,
                             std::shared_ptr<const Model> model) {
  const TimePoint start = parts_.clock->Now();
  absl::StatusOr<ServableHandle> servable =
      MakeServable(stored, std::move(model));
  MutexLock lock(&mu_);
  // A version that is loading stays in the table.
  VersionEntry& entry = *table_.Find(stored.model, stored.version);
  parts_.observer->Loaded(stored.model, stored.version,
                          parts_.clock->Now() - start, servable.status());
  if (servable.ok()) {
    const Model& served = (*servable)->model();
    entry.digest = served.digest();
    entry.packed_bytes = served.packed_bytes();
    entry.float32_bytes = served.float32_bytes();
    entry.servable = *std::move(servable);
    SetState(entry, ModelState::kReady, absl::OkStatus());
  } else {
    SetState(entry, ModelState::kFailed, std::move(servable).status());
  }
  ApplyPolicy(stored.model);
}

absl::StatusOr<ServableHandle> ModelLifecycle::MakeServable(
    const StoredVersion& stored, std::shared_ptr<const Model> model) {
  if (model == nullptr) {
    TERN_ASSIGN_OR_RETURN(
        model, ReadModel(stored.path, *parts_.kernels, parts_.options.load));
  }
  TERN_ASSIGN_OR_RETURN(const Nanos cost,
                        WarmUp(*model, parts_.options.queue.max_batch_size));
  auto servable = std::make_unique<Servable>(
      stored.model, stored.version, std::move(model), parts_.options.queue,
      cost / parts_.executors->threads(),
      parts_.observer->ForModel(stored.model, stored.version), parts_.batcher,
      parts_.executors);
  MutexLock lock(&mu_);
  ++live_;
  return ServableHandle(servable.release(), [this](const Servable* last) {
    loaders_.Post([this, last] { Retire(last); });
  });
}

void ModelLifecycle::Retire(const Servable* servable) {
  const std::string model = servable->name();
  const std::uint64_t version = servable->version();
  delete servable;
  // The allocator keeps freed memory for later; nobody may come for it.
  ::malloc_trim(0);
  MutexLock lock(&mu_);
  --live_;
  VersionEntry* entry = table_.Find(model, version);
  if (entry != nullptr && entry->state == ModelState::kUnloading) {
    entry->packed_bytes = 0;
    SetState(*entry, ModelState::kUnloaded, absl::OkStatus());
    ApplyPolicy(model);
  }
  changed_.SignalAll();
}

}  // namespace tern::server
