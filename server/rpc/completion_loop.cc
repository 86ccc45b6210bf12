#include "server/rpc/completion_loop.h"

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

void CompletionLoop::Stop() {
  {
    MutexLock lock(&mu_);
    while (calls_ > 0) no_calls_.Wait(&mu_);
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
  if (--calls_ == 0) no_calls_.SignalAll();
}

void CompletionLoop::Turn() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) static_cast<Tag*>(tag)->Complete(ok);
}

}  // namespace tern::server
