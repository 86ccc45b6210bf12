#include "engine/runtime/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace tern {

std::size_t PlannedBytes(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

MemoryPlan PlanMemory(const std::vector<TensorLifetime>& tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&tensors](std::size_t a, std::size_t b) {
                     return tensors[a].bytes > tensors[b].bytes;
                   });
  MemoryPlan plan;
  plan.offset.assign(tensors.size(), 0);
  // Placed tensors, by offset.
  std::vector<std::size_t> placed;
  for (const std::size_t i : order) {
    const std::size_t bytes = PlannedBytes(tensors[i].bytes);
    std::size_t offset = 0;
    for (const std::size_t j : placed) {
      const bool together = tensors[i].first <= tensors[j].last &&
                            tensors[j].first <= tensors[i].last;
      if (!together) continue;
      if (offset + bytes <= plan.offset[j]) break;
      offset =
          std::max(offset, plan.offset[j] + PlannedBytes(tensors[j].bytes));
    }
    plan.offset[i] = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&plan](std::size_t a, std::size_t b) {
                                     return plan.offset[a] < plan.offset[b];
                                   }),
                  i);
  }
  return plan;
}

}  // namespace tern
