#include "server/serving/job_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace tern::server {
namespace {

// Yields to requests wherever the two compete, and still makes progress.
constexpr int kNice = 10;

void LowerPriority() {
  // On Linux this is a property of the thread. Threads started by this one,
  // such as a warm-up's, inherit it. A failure costs smoothness only.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
}

}  // namespace

JobPool::JobPool(int threads, Priority priority) {
  for (int i = 0; i < std::max(1, threads); ++i) {
    threads_.emplace_back([this, priority] {
      if (priority == Priority::kLow) LowerPriority();
      Loop();
    });
  }
}

JobPool::~JobPool() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    work_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void JobPool::Post(std::function<void()> job) {
  MutexLock lock(&mu_);
  jobs_.push_back(std::move(job));
  work_.Signal();
}

void JobPool::RunAndWait(absl::FunctionRef<void()> job) {
  bool done = false;
  Post([this, &done, job] {
    job();
    MutexLock lock(&mu_);
    done = true;
    done_.SignalAll();
  });
  MutexLock lock(&mu_);
  while (!done) done_.Wait(&mu_);
}

void JobPool::Loop() {
  for (;;) {
    std::function<void()> job;
    {
      MutexLock lock(&mu_);
      while (jobs_.empty() && !stopping_) work_.Wait(&mu_);
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace tern::server
