// ServerCall: what every kind of call shares. One object per call holds
// context, deadline, cancellation and the end.
//
// Life: posted (waits for a client) -> handler runs on a loop thread -> the
// handler, or whoever it passed the shared_ptr on to, calls Finish exactly
// once, from any thread -> gone when gRPC has reported the last event and
// nobody holds the pointer.
//
// The deadline's timer is gRPC's own: when it fires, or the client gives up,
// the call counts as cancelled and OnCancel's function runs. Finish must still
// be called then.
//
// Thread-safe unless said otherwise.

#ifndef TERN_SERVER_RPC_SERVER_CALL_H_
#define TERN_SERVER_RPC_SERVER_CALL_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "server/clock.h"
#include "server/mutex.h"
#include "server/rpc/completion_loop.h"

namespace tern::server {

// Told of the end of every call, before the client hears of it. Thread-safe.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  // `method`: "Service.Method"; `seconds` from the handler's start.
  virtual void OnCallDone(std::string_view method, absl::StatusCode code,
                          double seconds) = 0;
};

class ServerCall : public std::enable_shared_from_this<ServerCall> {
 public:
  virtual ~ServerCall() = default;
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;

  std::string_view method() const { return method_; }
  // kNever where the client set none.
  TimePoint deadline() const { return deadline_; }
  // Since the handler started.
  double ElapsedSeconds() const;
  // The client's metadata x-request-id, else a number of this process.
  std::string RequestId() const;

  bool IsCancelled() const;
  // Runs `fn` once when the call is cancelled before Finish: on a loop thread,
  // or here where that has happened already. At most one function a call.
  void OnCancel(std::function<void()> fn);

  // Ends the call. Advice to retry (status_details.h) also goes out as the
  // trailer grpc-retry-pushback-ms, which clients' retry policies obey.
  void Finish(const absl::Status& status);

  // For MethodServer: whether the loop takes calls; if so, counts this one as
  // under way until its answer has left.
  bool Begin();
  // For MethodServer: arms the cancellation notice and returns the tag for the
  // operation that waits for a client. `accepted(ok)` runs when one has come,
  // or, not ok, when the server shuts down; then no other event follows.
  void* ArmAccept(std::function<void(bool ok)> accepted);

 protected:
  ServerCall(std::string_view method, CompletionLoop* loop,
             CallObserver* observer);

  grpc::ServerContext* context() { return &context_; }
  CompletionLoop* loop() { return live_.loop; }
  // The tag for the operation that sends the status.
  void* ArmFinish();

  // Sends the status with the tag of ArmFinish().
  virtual void SendStatus(const grpc::Status& status) = 0;

 private:
  // Declared first so that it goes last: after it the loop may stop.
  struct LiveCount {
    explicit LiveCount(CompletionLoop* counted) : loop(counted) {
      loop->AddCall();
    }
    ~LiveCount() { loop->RemoveCall(); }
    LiveCount(const LiveCount&) = delete;
    LiveCount& operator=(const LiveCount&) = delete;
    CompletionLoop* const loop;
  };

  void HandleDone();

  LiveCount live_;
  const std::string_view method_;
  CallObserver* const observer_;
  grpc::ServerContext context_;
  TimePoint start_time_{};
  TimePoint deadline_ = kNever;
  // Set before the handler runs.
  bool under_way_ = false;
  Tag accept_tag_;
  Tag done_tag_;
  Tag finish_tag_;

  mutable Mutex mu_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  std::function<void()> on_cancel_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tern::server

#endif  // TERN_SERVER_RPC_SERVER_CALL_H_
