// UnaryCall: one request, one reply.
//
// The handler runs on a loop thread and must not block. It fills *response()
// and calls Finish, or passes the pointer to a thread that does.

#ifndef TERN_SERVER_RPC_UNARY_CALL_H_
#define TERN_SERVER_RPC_UNARY_CALL_H_

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "google/protobuf/arena.h"
#include "grpcpp/support/async_unary_call.h"
#include "server/rpc/server_call.h"

namespace tern::server {

template <typename Request, typename Response>
class UnaryCall final : public ServerCall {
 public:
  using RequestFn = std::function<void(
      grpc::ServerContext*, Request*,
      grpc::ServerAsyncResponseWriter<Response>*, grpc::CompletionQueue*,
      grpc::ServerCompletionQueue*, void*)>;

  UnaryCall(std::string_view method, CompletionLoop* loop,
            CallObserver* observer)
      : ServerCall(method, loop, observer), writer_(context()) {}

  // Both live as long as the call.
  const Request& request() const { return *request_; }
  Response* response() { return response_; }

  // For MethodServer: waits for a client.
  void Await(const RequestFn& request_fn, void* tag) {
    grpc::ServerCompletionQueue* queue = loop()->queue();
    request_fn(context(), request_, &writer_, queue, queue, tag);
  }

 private:
  void SendStatus(const grpc::Status& status) override {
    if (status.ok()) {
      writer_.Finish(*response_, status, ArmFinish());
    } else {
      writer_.FinishWithError(status, ArmFinish());
    }
  }

  google::protobuf::Arena arena_;
  Request* const request_ =
      google::protobuf::Arena::CreateMessage<Request>(&arena_);
  Response* const response_ =
      google::protobuf::Arena::CreateMessage<Response>(&arena_);
  grpc::ServerAsyncResponseWriter<Response> writer_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_RPC_UNARY_CALL_H_
