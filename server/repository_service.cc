#include "server/repository_service.h"

#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/grpc_status.h"
#include "server/logging.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

// Loads and uploads wait for disks, so more threads than CPUs; what waits
// beyond the capacity is refused.
constexpr int kThreads = 4;
constexpr std::size_t kCapacity = 256;
constexpr std::chrono::seconds kRetryDelay{1};

absl::Status Busy() {
  return WithRetryDelay(absl::ResourceExhaustedError(
                            "too many repository calls wait; try again later"),
                        kRetryDelay);
}

template <typename Request>
absl::Status CheckVersion(const Request& request) {
  TERN_RETURN_IF_ERROR(CheckModelName(request.model()));
  if (request.version() == 0) {
    return InvalidField("version", "want a number from 1, got 0 (unset)");
  }
  return absl::OkStatus();
}

// Fields of an upload's specification are those of its first message.
absl::Status InStart(const absl::Status& status) {
  const std::string field = FieldOf(status);
  if (field.empty()) return status;
  const std::string message(status.message());
  return InvalidField("start." + field, message.substr(field.size() + 2));
}

void LogOutcome(std::string_view what, std::string_view model,
                std::uint64_t version, const absl::Status& status) {
  LogInfo("{} model={} version={}: {}", what, model, version,
          status.ok() ? "ok" : status.ToString());
}

}  // namespace

// ---- Upload ---------------------------------------------------------------

// One upload: reads a message, hands it to the pool, and so on. At any time
// either a read is pending or the pool works on the message, never both.
class RepositoryService::UploadHandler
    : public std::enable_shared_from_this<UploadHandler> {
 public:
  UploadHandler(std::shared_ptr<UploadCall> call, RepositoryService* service)
      : call_(std::move(call)), service_(service) {}
  ~UploadHandler() { --service_->uploads_; }

  void ReadNext() {
    call_->Read([self = shared_from_this()](bool ok) {
      if (!self->service_->pool_.TryPost([self, ok] { self->Step(ok); })) {
        self->upload_.reset();
        self->call_->Finish(Busy());
      }
    });
  }

 private:
  void Step(bool got_message) {
    const ScopedRequestId id(call_->RequestId());
    if (got_message) {
      const absl::Status status = Take(call_->message());
      if (status.ok()) {
        ReadNext();
      } else {
        End(status);
      }
      return;
    }
    End(call_->IsCancelled() ? absl::CancelledError("the client gave up")
                             : Complete());
  }

  absl::Status Take(const v1::UploadRequest& message) {
    switch (message.part_case()) {
      case v1::UploadRequest::kStart:
        return Begin(message.start());
      case v1::UploadRequest::kChunk:
        if (upload_ == nullptr) {
          return InvalidField("start",
                              "want it in the first message, got a chunk");
        }
        return upload_->Append(message.chunk());
      case v1::UploadRequest::PART_NOT_SET:
        break;
    }
    return InvalidField("part", "want start or chunk, got neither");
  }

  absl::Status Begin(const v1::UploadStart& start) {
    if (upload_ != nullptr) {
      return InvalidField("start", "want it once, got it a second time");
    }
    model_ = start.model();
    version_ = start.version();
    auto upload = service_->manager_->StartUpload(
        {start.model(), start.version(), start.size(), start.digest()},
        start.store_only());
    if (!upload.ok()) return InStart(upload.status());
    upload_ = *std::move(upload);
    return absl::OkStatus();
  }

  absl::Status Complete() {
    if (upload_ == nullptr) {
      return InvalidField("start", "want it in the first message, got none");
    }
    TERN_ASSIGN_OR_RETURN(const UploadResult result, upload_->Finish());
    version_ = result.version;
    v1::UploadResponse* response = call_->response();
    response->set_model(result.model);
    response->set_version(result.version);
    response->set_digest(result.digest);
    response->set_existed(result.existed);
    return absl::OkStatus();
  }

  void End(const absl::Status& status) {
    // What arrived is removed before the client hears of it.
    upload_.reset();
    LogOutcome("upload", model_, version_, status);
    call_->Finish(status);
  }

  const std::shared_ptr<UploadCall> call_;
  RepositoryService* const service_;
  std::unique_ptr<ModelUpload> upload_;
  std::string model_;
  std::uint64_t version_ = 0;
};

void RepositoryService::Upload(const std::shared_ptr<UploadCall>& call) {
  if (++uploads_ > kMaxUploads) {
    --uploads_;
    call->Finish(WithRetryDelay(
        absl::ResourceExhaustedError(absl::StrCat(
            "want at most ", kMaxUploads, " uploads at a time; try again")),
        kRetryDelay));
    return;
  }
  call->LimitSilence(upload_silence_);
  std::make_shared<UploadHandler>(call, this)->ReadNext();
}

// ---- The rest -------------------------------------------------------------

void ToProto(const VersionStatus& status, v1::ModelStatus* proto) {
  proto->set_model(status.model);
  proto->set_version(status.version);
  proto->set_state(static_cast<v1::ModelState>(status.state));
  if (!status.error.ok()) *proto->mutable_error() = ToRpcStatus(status.error);
  proto->set_digest(status.digest);
  proto->set_file_bytes(status.file_bytes);
  proto->set_packed_bytes(status.packed_bytes);
  proto->set_float32_bytes(status.float32_bytes);
  proto->set_inference_count(status.queue.inference_count);
  proto->set_execution_count(status.queue.execution_count);
}

RepositoryService::RepositoryService(ModelManager* manager,
                                     std::chrono::milliseconds upload_silence)
    : manager_(manager),
      upload_silence_(upload_silence),
      pool_(kThreads, kCapacity) {}

RepositoryService::~RepositoryService() = default;

template <typename Request, typename Response, typename RequestFn>
void RepositoryService::ServeUnary(const MethodSpec& spec, RequestFn request_fn,
                                   Answer<Request, Response> answer) {
  using Call = UnaryCall<Request, Response>;
  ServeMethod<Call>(
      spec, std::move(request_fn),
      [this, answer](const std::shared_ptr<Call>& call) {
        const bool taken = pool_.TryPost([this, answer, call] {
          const ScopedRequestId id(call->RequestId());
          call->Finish((this->*answer)(call->request(), call->response()));
        });
        if (!taken) call->Finish(Busy());
      });
}

void RepositoryService::Serve(CompletionLoop* loop, CallObserver* observer) {
  ServeMethod<UploadCall>(
      {"RepositoryService.Upload", loop, observer},
      [this](auto... args) { service_.RequestUpload(args...); },
      [this](const std::shared_ptr<UploadCall>& call) { Upload(call); });
  ServeUnary<v1::ListModelsRequest, v1::ListModelsResponse>(
      {"RepositoryService.ListModels", loop, observer},
      [this](auto... args) { service_.RequestListModels(args...); },
      &RepositoryService::ListModels);
  ServeUnary<v1::GetModelRequest, v1::GetModelResponse>(
      {"RepositoryService.GetModel", loop, observer},
      [this](auto... args) { service_.RequestGetModel(args...); },
      &RepositoryService::GetModel);
  ServeUnary<v1::LoadModelRequest, v1::LoadModelResponse>(
      {"RepositoryService.LoadModel", loop, observer},
      [this](auto... args) { service_.RequestLoadModel(args...); },
      &RepositoryService::LoadModel);
  ServeUnary<v1::UnloadModelRequest, v1::UnloadModelResponse>(
      {"RepositoryService.UnloadModel", loop, observer},
      [this](auto... args) { service_.RequestUnloadModel(args...); },
      &RepositoryService::UnloadModel);
  ServeUnary<v1::DeleteModelRequest, v1::DeleteModelResponse>(
      {"RepositoryService.DeleteModel", loop, observer},
      [this](auto... args) { service_.RequestDeleteModel(args...); },
      &RepositoryService::DeleteModel);
}

absl::Status RepositoryService::ListModels(const v1::ListModelsRequest& request,
                                           v1::ListModelsResponse* response) {
  if (!request.model().empty()) {
    TERN_RETURN_IF_ERROR(CheckModelName(request.model()));
  }
  TERN_ASSIGN_OR_RETURN(const auto versions, manager_->List(request.model()));
  for (const VersionStatus& version : versions) {
    ToProto(version, response->add_models());
  }
  return absl::OkStatus();
}

absl::Status RepositoryService::GetModel(const v1::GetModelRequest& request,
                                         v1::GetModelResponse* response) {
  TERN_RETURN_IF_ERROR(CheckModelName(request.model()));
  ModelChoice choice;
  choice.name = request.model();
  if (request.version() != 0) choice.version = request.version();
  TERN_ASSIGN_OR_RETURN(const ServableHandle servable, manager_->Get(choice));
  TERN_ASSIGN_OR_RETURN(
      const VersionStatus status,
      manager_->Status(servable->name(), servable->version()));
  const Model& model = servable->model();
  ToProto(status, response->mutable_status());
  *response->mutable_input() = model.input();
  response->set_classes(static_cast<std::uint32_t>(model.classes()));
  response->mutable_labels()->Add(model.labels().begin(), model.labels().end());
  *response->mutable_preprocessing() = model.preprocessing();
  *response->mutable_card() = model.card();
  return absl::OkStatus();
}

absl::Status RepositoryService::LoadModel(const v1::LoadModelRequest& request,
                                          v1::LoadModelResponse* response) {
  TERN_RETURN_IF_ERROR(CheckModelName(request.model()));
  const auto status = manager_->Load(request.model(), request.version());
  LogOutcome("load", request.model(), request.version(), status.status());
  TERN_RETURN_IF_ERROR(status.status());
  ToProto(*status, response->mutable_status());
  return absl::OkStatus();
}

absl::Status RepositoryService::UnloadModel(
    const v1::UnloadModelRequest& request, v1::UnloadModelResponse*) {
  TERN_RETURN_IF_ERROR(CheckVersion(request));
  absl::Status status = manager_->Unload(request.model(), request.version());
  LogOutcome("unload", request.model(), request.version(), status);
  return status;
}

absl::Status RepositoryService::DeleteModel(
    const v1::DeleteModelRequest& request, v1::DeleteModelResponse*) {
  TERN_RETURN_IF_ERROR(CheckVersion(request));
  absl::Status status = manager_->Delete(request.model(), request.version());
  LogOutcome("delete", request.model(), request.version(), status);
  return status;
}

}  // namespace tern::server
