// A server of Tern's services whose answers a test writes, on a real socket.
//
// Handlers may be replaced while no call is under way; they run on gRPC's
// threads, several at once.

#ifndef TERN_TESTS_CLIENTS_CPP_FAKE_SERVER_H_
#define TERN_TESTS_CLIENTS_CPP_FAKE_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"
#include "tern/v1/inference.grpc.pb.h"
#include "tern/v1/repository.grpc.pb.h"

namespace tern {

// A status as the server sends it, with google.rpc.RetryInfo.
grpc::Status PushBack(grpc::StatusCode code, const std::string& message,
                      int milliseconds);

// INVALID_ARGUMENT with google.rpc.BadRequest.
grpc::Status BadField(const std::string& message, const std::string& field,
                      const std::string& description);

class FakeServer {
 public:
  template <typename Request, typename Response>
  using Handler = std::function<grpc::Status(const grpc::ServerContext&,
                                             const Request&, Response*)>;
  template <typename Message>
  using Received = std::vector<Message>;

  FakeServer();
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  // "127.0.0.1:PORT".
  const std::string& address() const { return address_; }

  Handler<v1::ClassifyRequest, v1::ClassifyResponse> on_classify;
  // All messages of the stream, once it has ended.
  Handler<Received<v1::UploadRequest>, v1::UploadResponse> on_upload;
  Handler<v1::ListModelsRequest, v1::ListModelsResponse> on_list;
  Handler<v1::GetModelRequest, v1::GetModelResponse> on_get;
  Handler<v1::LoadModelRequest, v1::LoadModelResponse> on_load;
  Handler<v1::UnloadModelRequest, v1::UnloadModelResponse> on_unload;
  Handler<v1::DeleteModelRequest, v1::DeleteModelResponse> on_delete;
  Handler<grpc::health::v1::HealthCheckRequest,
          grpc::health::v1::HealthCheckResponse>
      on_check;

 private:
  class Services;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace tern

#endif  // TERN_TESTS_CLIENTS_CPP_FAKE_SERVER_H_
