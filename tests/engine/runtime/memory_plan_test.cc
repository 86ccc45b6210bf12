#include "engine/runtime/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tern {
namespace {

void ExpectDisjointWhileLive(const std::vector<TensorLifetime>& tensors,
                             const MemoryPlan& plan) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(plan.offset[i] % 64, 0);
    EXPECT_LE(plan.offset[i] + tensors[i].bytes, plan.arena_bytes);
    for (std::size_t j = 0; j < i; ++j) {
      if (tensors[i].first > tensors[j].last ||
          tensors[j].first > tensors[i].last) {
        continue;
      }
      EXPECT_TRUE(plan.offset[i] + tensors[i].bytes <= plan.offset[j] ||
                  plan.offset[j] + tensors[j].bytes <= plan.offset[i])
          << "tensors " << i << " and " << j << " overlap while both live";
    }
  }
}

TEST(MemoryPlan, LiveTensorsNeverOverlap) {
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    std::vector<TensorLifetime> tensors(random() % 30 + 1);
    for (TensorLifetime& tensor : tensors) {
      const int first = static_cast<int>(random() % 20);
      tensor = {random() % 1000, first, first + static_cast<int>(random() % 6)};
    }
    ExpectDisjointWhileLive(tensors, PlanMemory(tensors));
  }
}

TEST(MemoryPlan, AChainNeedsRoomForTwoNeighbours) {
  const MemoryPlan plan = PlanMemory(
      {{640, 0, 1}, {6400, 1, 2}, {640, 2, 3}, {6400, 3, 4}, {64, 4, 5}});
  EXPECT_EQ(plan.arena_bytes, 7040);
}

TEST(MemoryPlan, AResidualKeepsItsInputAlive) {
  const std::vector<TensorLifetime> tensors = {
      {64, 0, 3}, {64, 1, 2}, {64, 2, 3}};
  const MemoryPlan plan = PlanMemory(tensors);
  ExpectDisjointWhileLive(tensors, plan);
  EXPECT_EQ(plan.arena_bytes, 192);
}

}  // namespace
}  // namespace tern
