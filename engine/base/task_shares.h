// The tasks of one parallel call, a share for each thread: a thread takes its
// own first, then what others have left. So task i of one layer tends to run
// where task i of the layer before ran, whose outputs its core's cache holds.
//
// Thread-safe. Lives as long as the call.

#ifndef TERN_ENGINE_BASE_TASK_SHARES_H_
#define TERN_ENGINE_BASE_TASK_SHARES_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tern {

class TaskShares {
 public:
  // tasks, threads >= 1.
  TaskShares(int tasks, int threads) : shares_(std::min(tasks, threads)) {
    const int count = static_cast<int>(shares_.size());
    for (int i = 0; i < count; ++i) {
      shares_[i].next = static_cast<int>(std::int64_t{tasks} * i / count);
      shares_[i].end = static_cast<int>(std::int64_t{tasks} * (i + 1) / count);
    }
  }

  // The next task for a thread, -1: none is left. `slot` is the thread's
  // (thread_pool.h).
  int Take(int slot) {
    for (std::size_t i = 0; i < shares_.size(); ++i) {
      Share& share = shares_[(slot + i) % shares_.size()];
      if (share.next.load(std::memory_order_relaxed) >= share.end) continue;
      const int task = share.next.fetch_add(1, std::memory_order_relaxed);
      if (task < share.end) return task;
    }
    return -1;
  }

 private:
  struct alignas(64) Share {
    std::atomic<int> next{0};
    int end = 0;
  };
  std::vector<Share> shares_;
};

}  // namespace tern

#endif  // TERN_ENGINE_BASE_TASK_SHARES_H_
