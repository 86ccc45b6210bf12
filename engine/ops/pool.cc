#include "engine/ops/pool.h"

#include <algorithm>

#include "engine/base/task_shares.h"

namespace tern {
namespace {

class Pool : public Op {
 public:
  Pool(const KernelTable& table, const PoolLayer& layer)
      : function_(layer.average ? table.average_pool : table.max_pool),
        layer_(layer) {}

  std::string Kernel(int) const override {
    return layer_.average ? "average_pool" : "max_pool";
  }

  std::size_t ScratchBytes(int, int) const override { return 0; }

  absl::Status Run(const OpCall& call) const override {
    PoolCall pool;
    pool.geometry = &layer_.geometry;
    pool.input_type = layer_.input_type;
    pool.input = call.input;
    pool.output = call.output;
    pool.output_type = layer_.output_type;
    pool.multiplier = layer_.multiplier;
    pool.low = layer_.low;
    pool.high = layer_.high;
    const int rows = call.batch * layer_.geometry.out_h;
    const int threads = call.pool->threads();
    const int tasks = std::min(rows, 2 * threads);
    TaskShares shares(tasks, threads);
    call.pool->ParallelForSlots(std::min(threads, tasks), [&](std::size_t,
                                                              int slot) {
      for (int task = shares.Take(slot); task >= 0; task = shares.Take(slot)) {
        const int first = RowOf(task, rows, tasks);
        function_(pool, first, RowOf(task + 1, rows, tasks) - first);
      }
    });
    return absl::OkStatus();
  }

 private:
  static int RowOf(int task, int rows, int tasks) {
    return static_cast<int>(std::int64_t{rows} * task / tasks);
  }

  PoolFunction function_;
  PoolLayer layer_;
};

}  // namespace

std::unique_ptr<Op> MakePool(const KernelTable& table, const PoolLayer& layer) {
  return std::make_unique<Pool>(table, layer);
}

}  // namespace tern
