#include "tests/clients/cpp/fake_server.h"

#include "engine/base/status_macros.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace tern {
namespace {

grpc::Status WithDetail(grpc::StatusCode code, const std::string& message,
                        const google::protobuf::Message& detail) {
  google::rpc::Status details;
  details.set_code(code);
  details.set_message(message);
  details.add_details()->PackFrom(detail);
  return {code, message, details.SerializeAsString()};
}

template <typename Handler, typename Request, typename Response>
grpc::Status Answer(const Handler& handler, grpc::ServerContext* context,
                    const Request& request, Response* response) {
  if (!handler) return {grpc::StatusCode::UNIMPLEMENTED, "not expected"};
  return handler(*context, request, response);
}

}  // namespace

grpc::Status PushBack(grpc::StatusCode code, const std::string& message,
                      int milliseconds) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(milliseconds / 1000);
  info.mutable_retry_delay()->set_nanos(milliseconds % 1000 * 1'000'000);
  return WithDetail(code, message, info);
}

grpc::Status BadField(const std::string& message, const std::string& field,
                      const std::string& description) {
  google::rpc::BadRequest bad;
  auto* violation = bad.add_field_violations();
  violation->set_field(field);
  violation->set_description(description);
  return WithDetail(grpc::StatusCode::INVALID_ARGUMENT, message, bad);
}

class FakeServer::Services final : public v1::InferenceService::Service,
                                   public v1::RepositoryService::Service,
                                   public grpc::health::v1::Health::Service {
 public:
  explicit Services(FakeServer* fake) : fake_(*fake) {}

  grpc::Status Classify(grpc::ServerContext* context,
                        const v1::ClassifyRequest* request,
                        v1::ClassifyResponse* response) override {
    return Answer(fake_.on_classify, context, *request, response);
  }
  grpc::Status Upload(grpc::ServerContext* context,
                      grpc::ServerReader<v1::UploadRequest>* reader,
                      v1::UploadResponse* response) override {
    Received<v1::UploadRequest> requests(1);
    while (reader->Read(&requests.back())) requests.emplace_back();
    requests.pop_back();
    return Answer(fake_.on_upload, context, requests, response);
  }
  grpc::Status ListModels(grpc::ServerContext* context,
                          const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override {
    return Answer(fake_.on_list, context, *request, response);
  }
  grpc::Status GetModel(grpc::ServerContext* context,
                        const v1::GetModelRequest* request,
                        v1::GetModelResponse* response) override {
    return Answer(fake_.on_get, context, *request, response);
  }
  grpc::Status LoadModel(grpc::ServerContext* context,
                         const v1::LoadModelRequest* request,
                         v1::LoadModelResponse* response) override {
    return Answer(fake_.on_load, context, *request, response);
  }
  grpc::Status UnloadModel(grpc::ServerContext* context,
                           const v1::UnloadModelRequest* request,
                           v1::UnloadModelResponse* response) override {
    return Answer(fake_.on_unload, context, *request, response);
  }
  grpc::Status DeleteModel(grpc::ServerContext* context,
                           const v1::DeleteModelRequest* request,
                           v1::DeleteModelResponse* response) override {
    return Answer(fake_.on_delete, context, *request, response);
  }
  grpc::Status Check(grpc::ServerContext* context,
                     const grpc::health::v1::HealthCheckRequest* request,
                     grpc::health::v1::HealthCheckResponse* response) override {
    return Answer(fake_.on_check, context, *request, response);
  }

 private:
  FakeServer& fake_;
};

FakeServer::FakeServer() : services_(std::make_unique<Services>(this)) {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(
      static_cast<v1::InferenceService::Service*>(services_.get()));
  builder.RegisterService(
      static_cast<v1::RepositoryService::Service*>(services_.get()));
  builder.RegisterService(
      static_cast<grpc::health::v1::Health::Service*>(services_.get()));
  server_ = builder.BuildAndStart();
  TERN_CHECK(server_ != nullptr && port != 0);
  address_ = "127.0.0.1:" + std::to_string(port);
}

FakeServer::~FakeServer() {
  server_->Shutdown(std::chrono::system_clock::now());
}

}  // namespace tern
