#include "server/rpc/completion_loop.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace tern::server {

CompletionLoop::CompletionLoop(
    std::unique_ptr<grpc::ServerCompletionQueue> queue)
    : queue_(std::move(queue)) {}

CompletionLoop::~CompletionLoop() {
  if (threads_.empty()) {
    // gRPC demands that a queue is shut down and empty when it goes.
    queue_->Shutdown();
    Turn();
  }
}

void CompletionLoop::Start(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Turn(); });
  }
}

void CompletionLoop::Drain(TimePoint deadline) {
  // Requests that were on the wire when draining began arrive within this.
  constexpr std::chrono::milliseconds kQuiet{50};
  // A client that comes again at once, whatever it is told, is not waited for.
  constexpr std::chrono::seconds kLongestWait{1};
  const RealClock clock;
  MutexLock lock(&mu_);
  draining_ = true;
  while (under_way_ > 0 && clock.Now() < deadline) {
    news_.WaitUntil(&mu_, deadline);
  }
  const TimePoint end = std::min(deadline, clock.Now() + kLongestWait);
  last_refusal_ = clock.Now();
  while (clock.Now() < std::min(end, last_refusal_ + kQuiet)) {
    news_.WaitUntil(&mu_, std::min(end, last_refusal_ + kQuiet));
  }
}

void CompletionLoop::Stop() {
  {
    MutexLock lock(&mu_);
    while (calls_ > 0) news_.Wait(&mu_);
  }
  queue_->Shutdown();
  for (std::thread& thread : threads_) thread.join();
}

void CompletionLoop::AddCall() {
  MutexLock lock(&mu_);
  ++calls_;
}

void CompletionLoop::RemoveCall() {
  MutexLock lock(&mu_);
  // Under the lock: Stop may destroy the loop as soon as it is free.
  if (--calls_ == 0) news_.SignalAll();
}

bool CompletionLoop::BeginCall() {
  MutexLock lock(&mu_);
  if (draining_) {
    last_refusal_ = std::chrono::steady_clock::now();
    return false;
  }
  ++under_way_;
  return true;
}

void CompletionLoop::EndCall() {
  MutexLock lock(&mu_);
  if (--under_way_ == 0 && draining_) news_.SignalAll();
}

void CompletionLoop::Turn() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) static_cast<Tag*>(tag)->Complete(ok);
}

}  // namespace tern::server
