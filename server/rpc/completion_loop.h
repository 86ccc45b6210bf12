// CompletionLoop: the threads that turn a gRPC completion queue.
//
// Every operation on the queue carries a Tag; the loop calls it when the
// operation has ended. Handlers run on these threads, so they must not block:
// disk, decoding and inference belong to other threads.
//
// Three phases end it. Drain(): new calls get UNAVAILABLE at once, which
// clients may retry elsewhere, and those under way finish; without it gRPC's
// own shutdown would kill calls that have just arrived with CANCELLED. Then the
// grpc::Server shuts down while the loop still turns. Then Stop() waits until
// every call object has ended, shuts the queue down and joins. No operation may
// start after that, which the count of calls guarantees.
//
// Thread-safe. Tags must stay alive until called.

#ifndef TERN_SERVER_RPC_COMPLETION_LOOP_H_
#define TERN_SERVER_RPC_COMPLETION_LOOP_H_

#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "grpcpp/completion_queue.h"
#include "server/clock.h"
#include "server/mutex.h"

namespace tern::server {

// One pending operation. What `done` captures stays alive until it has run.
class Tag {
 public:
  // The pointer to hand to gRPC. `done(ok)` runs once, on a loop thread.
  void* Arm(std::function<void(bool ok)> done) {
    done_ = std::move(done);
    return this;
  }
  // For an operation that gRPC will never report.
  void Disarm() { done_ = nullptr; }

  void Complete(bool ok) {
    // `done` may hold the last reference to the object that this tag is in.
    const std::function<void(bool)> done = std::move(done_);
    done_ = nullptr;
    done(ok);
  }

 private:
  std::function<void(bool)> done_;
};

class CompletionLoop {
 public:
  explicit CompletionLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue);
  // Stop() must have returned, or Start() must not have been called.
  ~CompletionLoop();
  CompletionLoop(const CompletionLoop&) = delete;
  CompletionLoop& operator=(const CompletionLoop&) = delete;

  grpc::ServerCompletionQueue* queue() { return queue_.get(); }

  void Start(int threads);
  // Returns when no call is under way and none has come for a moment, or at
  // `deadline`.
  void Drain(TimePoint deadline) ABSL_LOCKS_EXCLUDED(mu_);
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // Call objects, from posting to their last event.
  void AddCall() ABSL_LOCKS_EXCLUDED(mu_);
  void RemoveCall() ABSL_LOCKS_EXCLUDED(mu_);
  // A client has come. False: refuse it. True: EndCall comes when the answer
  // has left.
  bool BeginCall() ABSL_LOCKS_EXCLUDED(mu_);
  void EndCall() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Turn();

  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::vector<std::thread> threads_;
  Mutex mu_;
  CondVar news_;
  int calls_ ABSL_GUARDED_BY(mu_) = 0;
  int under_way_ ABSL_GUARDED_BY(mu_) = 0;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  TimePoint last_refusal_ ABSL_GUARDED_BY(mu_){};
};

}  // namespace tern::server

#endif  // TERN_SERVER_RPC_COMPLETION_LOOP_H_
