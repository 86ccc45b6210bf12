#include "server/worker_pool.h"

#include <utility>

namespace tern::server {

WorkerPool::WorkerPool(int threads, std::size_t capacity)
    : capacity_(capacity) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

WorkerPool::~WorkerPool() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    news_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::TryPost(std::function<void()> work) {
  MutexLock lock(&mu_);
  if (queue_.size() >= capacity_) return false;
  queue_.push_back(std::move(work));
  news_.Signal();
  return true;
}

void WorkerPool::Run() {
  for (;;) {
    std::function<void()> work;
    {
      MutexLock lock(&mu_);
      while (!stopping_ && queue_.empty()) news_.Wait(&mu_);
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace tern::server
