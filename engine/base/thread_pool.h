// ThreadPool: the engine's only threads.
//
// ParallelFor(n, fn) calls fn(i) for every i in [0, n) on the calling thread
// and up to threads()-1 helpers, and returns when all calls have returned.
// Indices are handed out one at a time, so fn should do enough work to pay
// for an atomic increment (a few hundred nanoseconds). fn must not throw and
// must not call ParallelFor of the same pool.
//
// fn may call oneDNN: it stays on the thread that calls it (openmp.h).
//
// Thread-compatible: one ParallelFor at a time. An executor owns its pool.

#ifndef TERN_ENGINE_BASE_THREAD_POOL_H_
#define TERN_ENGINE_BASE_THREAD_POOL_H_

#include <cstddef>
#include <memory>

#include "absl/functional/function_ref.h"

namespace tern {

class ThreadPool {
 public:
  // threads >= 1 counts the calling thread: 1 starts no helper.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  void ParallelFor(std::size_t n, absl::FunctionRef<void(std::size_t)> fn);

  // Calls fn(i, slot) likewise; slot, in [0, threads()), is the thread's own
  // during the call: calls with the same slot never run at the same time.
  void ParallelForSlots(std::size_t n,
                        absl::FunctionRef<void(std::size_t, int)> fn);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// CPUs this process may use: the affinity mask, bounded by the cgroup's CPU
// quota (v1 and v2), rounded down, at least 1.
int UsableCpus();

}  // namespace tern

#endif  // TERN_ENGINE_BASE_THREAD_POOL_H_
