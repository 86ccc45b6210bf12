#include "engine/base/task_shares.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace tern {
namespace {

TEST(TaskShares, AThreadTakesItsOwnShareFirstThenTheOthers) {
  TaskShares shares(7, 3);
  std::vector<int> taken;
  for (int task = shares.Take(1); task >= 0; task = shares.Take(1)) {
    taken.push_back(task);
  }
  EXPECT_EQ(taken, (std::vector<int>{2, 3, 4, 5, 6, 0, 1}));
  EXPECT_EQ(shares.Take(0), -1);
}

TEST(TaskShares, ServesMoreThreadsThanTasks) {
  TaskShares shares(2, 4);
  EXPECT_EQ(shares.Take(3), 1);
  EXPECT_EQ(shares.Take(2), 0);
  EXPECT_EQ(shares.Take(0), -1);
}

TEST(TaskShares, GivesEachTaskToOneThread) {
  for (int round = 0; round < 200; ++round) {
    constexpr int kTasks = 50;
    TaskShares shares(kTasks, 3);
    std::vector<std::atomic<int>> runs(kTasks);
    std::vector<std::thread> threads;
    for (int slot = 0; slot < 3; ++slot) {
      threads.emplace_back([&shares, &runs, slot] {
        for (int task = shares.Take(slot); task >= 0;
             task = shares.Take(slot)) {
          runs[task].fetch_add(1);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::atomic<int>& count : runs) ASSERT_EQ(count.load(), 1);
  }
}

}  // namespace
}  // namespace tern
