// ExecutorPool: what each of the batcher's executors owns to run the engine:
// threads, a Session with its arena and scratch, a buffer to gather pictures.
//
// Executor i is used by one thread at a time (the batcher's promise); different
// executors run at the same time. memory() may be called from any thread.

#ifndef TERN_SERVER_SERVING_EXECUTOR_POOL_H_
#define TERN_SERVER_SERVING_EXECUTOR_POOL_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/engine.h"
#include "server/batching/task.h"

namespace tern::server {

struct ExecutorMemory {
  // All executors together.
  std::size_t arena_bytes = 0;
  std::size_t scratch_bytes = 0;
};

class ExecutorPool {
 public:
  // Both at least 1. Threads are those of one executor.
  ExecutorPool(int executors, int threads);
  ~ExecutorPool();
  ExecutorPool(const ExecutorPool&) = delete;
  ExecutorPool& operator=(const ExecutorPool&) = delete;

  // Session::Run over rows that lie anywhere; each has the model's sizes.
  absl::Status Run(int executor, const Model& model,
                   absl::Span<const Row> rows);

  ExecutorMemory memory() const;
  // Of one executor.
  int threads() const { return threads_; }

 private:
  struct Executor;
  const int threads_;
  std::vector<std::unique_ptr<Executor>> executors_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_EXECUTOR_POOL_H_
