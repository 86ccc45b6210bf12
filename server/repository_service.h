// RepositoryService: tern.v1.RepositoryService on the ModelManager.
//
// Every handler runs on a pool of its own, because disks and loading models
// take time. An upload writes one message at a time: the next is asked for
// when the last one is on disk, so a fast client waits and memory stays
// bounded by one message an upload.
//
// Thread-safe. Must outlive the loop that serves it; the manager must outlive
// this.

#ifndef TERN_SERVER_REPOSITORY_SERVICE_H_
#define TERN_SERVER_REPOSITORY_SERVICE_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>

#include "server/rpc/method_server.h"
#include "server/rpc/reader_call.h"
#include "server/rpc/unary_call.h"
#include "server/serving/model_manager.h"
#include "server/worker_pool.h"
#include "tern/v1/repository.grpc.pb.h"

namespace tern::server {

void ToProto(const VersionStatus& status, v1::ModelStatus* proto);

class RepositoryService {
 public:
  // Uploads at the same time; more get RESOURCE_EXHAUSTED.
  static constexpr int kMaxUploads = 16;

  // An upload that is silent for `upload_silence` is cut off.
  RepositoryService(ModelManager* manager,
                    std::chrono::milliseconds upload_silence);
  ~RepositoryService();
  RepositoryService(const RepositoryService&) = delete;
  RepositoryService& operator=(const RepositoryService&) = delete;

  // To register with the server's builder.
  grpc::Service* service() { return &service_; }
  // Serves from now on. After the server has started.
  void Serve(CompletionLoop* loop, CallObserver* observer);

 private:
  using UploadCall = ReaderCall<v1::UploadRequest, v1::UploadResponse>;
  class UploadHandler;

  template <typename Request, typename Response>
  using Answer = absl::Status (RepositoryService::*)(const Request&, Response*);

  // Runs `answer` on the pool for each call.
  template <typename Request, typename Response, typename RequestFn>
  void ServeUnary(const MethodSpec& spec, RequestFn request_fn,
                  Answer<Request, Response> answer);
  void Upload(const std::shared_ptr<UploadCall>& call);

  absl::Status ListModels(const v1::ListModelsRequest& request,
                          v1::ListModelsResponse* response);
  absl::Status GetModel(const v1::GetModelRequest& request,
                        v1::GetModelResponse* response);
  absl::Status LoadModel(const v1::LoadModelRequest& request,
                         v1::LoadModelResponse* response);
  absl::Status UnloadModel(const v1::UnloadModelRequest& request,
                           v1::UnloadModelResponse* response);
  absl::Status DeleteModel(const v1::DeleteModelRequest& request,
                           v1::DeleteModelResponse* response);

  ModelManager* const manager_;
  const std::chrono::milliseconds upload_silence_;
  v1::RepositoryService::AsyncService service_;
  std::atomic<int> uploads_{0};
  // Last, so that its threads end first.
  WorkerPool pool_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_REPOSITORY_SERVICE_H_
