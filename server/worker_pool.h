// WorkerPool: a few threads and a bounded queue, for work that must not run on
// the threads that turn the completion queue (disk, decoding).
//
// Thread-safe. The destructor runs what is queued, then joins.

#ifndef TERN_SERVER_WORKER_POOL_H_
#define TERN_SERVER_WORKER_POOL_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/mutex.h"

namespace tern::server {

class WorkerPool {
 public:
  // threads >= 1; at most `capacity` works wait.
  WorkerPool(int threads, std::size_t capacity);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False where the queue is full; then `work` was not taken.
  [[nodiscard]] bool TryPost(std::function<void()> work);

 private:
  void Run();

  const std::size_t capacity_;
  Mutex mu_;
  CondVar news_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_WORKER_POOL_H_
