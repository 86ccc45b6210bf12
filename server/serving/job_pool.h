// JobPool: threads that run jobs, first posted first. One at low priority
// loads and frees models, which must not disturb requests; one at normal
// priority decodes pictures.
//
// Thread-safe. The destructor runs what was posted, then ends.

#ifndef TERN_SERVER_SERVING_JOB_POOL_H_
#define TERN_SERVER_SERVING_JOB_POOL_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "server/mutex.h"

namespace tern::server {

class JobPool {
 public:
  enum class Priority { kNormal, kLow };

  // threads >= 1.
  JobPool(int threads, Priority priority);
  ~JobPool();
  JobPool(const JobPool&) = delete;
  JobPool& operator=(const JobPool&) = delete;

  // A job may post again, its own next piece for example, so that long ones
  // take turns.
  void Post(std::function<void()> job) ABSL_LOCKS_EXCLUDED(mu_);
  // Runs `job` on a thread of the pool and returns when it is done. Not from
  // such a thread.
  void RunAndWait(absl::FunctionRef<void()> job) ABSL_LOCKS_EXCLUDED(mu_);

  int threads() const { return static_cast<int>(threads_.size()); }

 private:
  void Loop() ABSL_LOCKS_EXCLUDED(mu_);

  Mutex mu_;
  CondVar work_;
  CondVar done_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_JOB_POOL_H_
