// Places tensors in one arena so that tensors that live at the same time never
// overlap. Pure functions, thread-safe.

#ifndef TERN_ENGINE_RUNTIME_MEMORY_PLAN_H_
#define TERN_ENGINE_RUNTIME_MEMORY_PLAN_H_

#include <cstddef>
#include <vector>

namespace tern {

// Live from step `first` to step `last`, both included. Bytes are for one
// picture; for a batch every size and offset is multiplied by it.
struct TensorLifetime {
  std::size_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryPlan {
  // In the order of the lifetimes; multiples of 64.
  std::vector<std::size_t> offset;
  std::size_t arena_bytes = 0;
};

// Room for a tensor of `bytes` a picture, a multiple of 64. Over-reads of a
// tensor stay inside the arena, which has kOverreadBytes behind it.
std::size_t PlannedBytes(std::size_t bytes);

// Largest first, each at the lowest offset that is free while it lives.
MemoryPlan PlanMemory(const std::vector<TensorLifetime>& tensors);

}  // namespace tern

#endif  // TERN_ENGINE_RUNTIME_MEMORY_PLAN_H_
