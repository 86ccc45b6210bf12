// ReaderCall: a stream of requests, one reply.
//
// Flow control: one message at a time is read, and the next only when the
// handler asks; until then gRPC's window stops the sender.

#ifndef TERN_SERVER_RPC_READER_CALL_H_
#define TERN_SERVER_RPC_READER_CALL_H_

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "grpcpp/support/async_stream.h"
#include "server/rpc/server_call.h"

namespace tern::server {

template <typename Request, typename Response>
class ReaderCall final : public ServerCall {
 public:
  using RequestFn = std::function<void(
      grpc::ServerContext*, grpc::ServerAsyncReader<Response, Request>*,
      grpc::CompletionQueue*, grpc::ServerCompletionQueue*, void*)>;

  ReaderCall(std::string_view method, CompletionLoop* loop,
             CallObserver* observer)
      : ServerCall(method, loop, observer), reader_(context()) {}

  // Reads the next message into message(), then runs `done` on a loop thread;
  // not ok: the client has sent its last or is gone (IsCancelled tells).
  // One Read at a time, none after Finish.
  void Read(std::function<void(bool ok)> done) {
    reader_.Read(&message_, read_tag_.Arm([self = shared_from_this(),
                                           done = std::move(done)](bool ok) {
      done(ok);
    }));
  }
  const Request& message() const { return message_; }
  Response* response() { return &response_; }

  // For MethodServer: waits for a client.
  void Await(const RequestFn& request_fn, void* tag) {
    grpc::ServerCompletionQueue* queue = loop()->queue();
    request_fn(context(), &reader_, queue, queue, tag);
  }

 private:
  void SendStatus(const grpc::Status& status) override {
    if (status.ok()) {
      reader_.Finish(response_, status, ArmFinish());
    } else {
      reader_.FinishWithError(status, ArmFinish());
    }
  }

  Request message_;
  Response response_;
  Tag read_tag_;
  grpc::ServerAsyncReader<Response, Request> reader_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_RPC_READER_CALL_H_
