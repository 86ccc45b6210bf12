// WriterCall: one request, a stream of replies.

#ifndef TERN_SERVER_RPC_WRITER_CALL_H_
#define TERN_SERVER_RPC_WRITER_CALL_H_

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "grpcpp/support/async_stream.h"
#include "server/rpc/server_call.h"

namespace tern::server {

template <typename Request, typename Response>
class WriterCall final : public ServerCall {
 public:
  using RequestFn = std::function<void(
      grpc::ServerContext*, Request*, grpc::ServerAsyncWriter<Response>*,
      grpc::CompletionQueue*, grpc::ServerCompletionQueue*, void*)>;

  WriterCall(std::string_view method, CompletionLoop* loop,
             CallObserver* observer)
      : ServerCall(method, loop, observer), writer_(context()) {}

  const Request& request() const { return request_; }

  // Sends one reply, then runs `done` on a loop thread; not ok: the client is
  // gone. One Write at a time, none after Finish.
  void Write(const Response& response, std::function<void(bool ok)> done) {
    writer_.Write(response, write_tag_.Arm([self = shared_from_this(),
                                            done = std::move(done)](bool ok) {
      done(ok);
    }));
  }

  // For MethodServer: waits for a client.
  void Await(const RequestFn& request_fn, void* tag) {
    grpc::ServerCompletionQueue* queue = loop()->queue();
    request_fn(context(), &request_, &writer_, queue, queue, tag);
  }

 private:
  void SendStatus(const grpc::Status& status) override {
    writer_.Finish(status, ArmFinish());
  }

  Request request_;
  Tag write_tag_;
  grpc::ServerAsyncWriter<Response> writer_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_RPC_WRITER_CALL_H_
