// ReaderCall: a stream of requests, one reply.
//
// Flow control: one message at a time is read, and the next only when the
// handler asks; until then gRPC's window stops the sender. A sender that is
// silent for too long is cut off.

#ifndef TERN_SERVER_RPC_READER_CALL_H_
#define TERN_SERVER_RPC_READER_CALL_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "grpcpp/alarm.h"
#include "grpcpp/support/async_stream.h"
#include "server/clock.h"
#include "server/mutex.h"
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
    {
      MutexLock lock(&mu_);
      waiting_since_ = std::chrono::steady_clock::now();
    }
    reader_.Read(&message_, read_tag_.Arm([this, self = shared_from_this(),
                                           done = std::move(done)](bool ok) {
      {
        MutexLock lock(&mu_);
        waiting_since_.reset();
      }
      done(ok);
    }));
  }
  const Request& message() const { return message_; }

  // Cancels the call when a Read has waited for `patience` (up to twice as
  // long). Once, before the first Read.
  void LimitSilence(std::chrono::milliseconds patience) {
    patience_ = patience;
    SetAlarm();
  }

  Response* response() { return &response_; }

  // For MethodServer: waits for a client.
  void Await(const RequestFn& request_fn, void* tag) {
    grpc::ServerCompletionQueue* queue = loop()->queue();
    request_fn(context(), &reader_, queue, queue, tag);
  }

 private:
  // One alarm at a time: it is set again only when it has gone off.
  void SetAlarm() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    if (ended_) return;
    alarm_.Set(loop()->queue(), std::chrono::system_clock::now() + patience_,
               alarm_tag_.Arm([this, self = shared_from_this()](bool fired) {
                 if (fired) OnAlarm();
               }));
  }

  void OnAlarm() ABSL_LOCKS_EXCLUDED(mu_) {
    bool silent = false;
    {
      MutexLock lock(&mu_);
      silent = waiting_since_ &&
               *waiting_since_ + patience_ <= std::chrono::steady_clock::now();
    }
    if (silent) {
      context()->TryCancel();
    } else {
      SetAlarm();
    }
  }

  void SendStatus(const grpc::Status& status) override {
    {
      MutexLock lock(&mu_);
      ended_ = true;
      alarm_.Cancel();
    }
    if (status.ok()) {
      reader_.Finish(response_, status, ArmFinish());
    } else {
      reader_.FinishWithError(status, ArmFinish());
    }
  }

  Request message_;
  Response response_;
  Tag read_tag_;
  std::chrono::milliseconds patience_{0};
  Tag alarm_tag_;
  Mutex mu_;
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mu_);
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  // When the Read began that has not returned.
  std::optional<TimePoint> waiting_since_ ABSL_GUARDED_BY(mu_);
  grpc::ServerAsyncReader<Response, Request> reader_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_RPC_READER_CALL_H_
