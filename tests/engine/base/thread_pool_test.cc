#include "engine/base/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

namespace tern {
namespace {

class ThreadPoolOf : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolOf, CallsEveryIndexOnce) {
  ThreadPool pool(GetParam());
  for (const std::size_t n : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<std::atomic<int>> calls(n);
    pool.ParallelFor(n, [&](std::size_t i) { calls[i].fetch_add(1); });
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(calls[i].load(), 1) << i;
  }
}

TEST_P(ThreadPoolOf, WhatTasksWroteIsVisibleAfterwards) {
  ThreadPool pool(GetParam());
  std::vector<std::size_t> values(50);
  for (std::size_t round = 0; round < 2000; ++round) {
    pool.ParallelFor(values.size(),
                     [&](std::size_t i) { values[i] = round + i; });
    const std::size_t sum =
        std::accumulate(values.begin(), values.end(), std::size_t{0});
    ASSERT_EQ(sum, 50 * round + 1225);
  }
}

// Scratch is handed out by slot, so two tasks must never share one.
TEST_P(ThreadPoolOf, SlotsAreNeverShared) {
  ThreadPool pool(GetParam());
  std::vector<std::atomic<bool>> busy(GetParam());
  std::atomic<int> shared{0};
  for (int round = 0; round < 300; ++round) {
    pool.ParallelForSlots(16, [&](std::size_t, int slot) {
      if (busy.at(slot).exchange(true)) shared.fetch_add(1);
      busy[slot].store(false);
    });
  }
  EXPECT_EQ(shared.load(), 0);
}

// Helpers that have gone to sleep between jobs must wake up, and those that
// wake up late must not disturb the next job.
TEST_P(ThreadPoolOf, SurvivesPauses) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 50; ++round) {
    if (round % 5 == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    std::atomic<int> calls{0};
    pool.ParallelFor(9, [&](std::size_t) { calls.fetch_add(1); });
    ASSERT_EQ(calls.load(), 9);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolOf, ::testing::Values(1, 2, 3, 8));

TEST(ThreadPool, CountsTheCallingThread) {
  EXPECT_EQ(ThreadPool(3).threads(), 3);
  EXPECT_EQ(ThreadPool(1).threads(), 1);
}

TEST(ThreadPool, SeveralPoolsWorkAtTheSameTime) {
  std::vector<std::thread> owners;
  std::atomic<int> calls{0};
  for (int t = 0; t < 3; ++t) {
    owners.emplace_back([&calls] {
      ThreadPool pool(2);
      for (int round = 0; round < 200; ++round) {
        pool.ParallelFor(8, [&](std::size_t) { calls.fetch_add(1); });
      }
    });
  }
  for (std::thread& owner : owners) owner.join();
  EXPECT_EQ(calls.load(), 3 * 200 * 8);
}

TEST(UsableCpus, IsAtLeastOneAndAtMostTheMachine) {
  EXPECT_GE(UsableCpus(), 1);
  EXPECT_LE(UsableCpus(),
            std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
}

TEST(UsableCpus, RespectsTheAffinityMask) {
  cpu_set_t old;
  ASSERT_EQ(sched_getaffinity(0, sizeof(old), &old), 0);
  int first = 0;
  while (!CPU_ISSET(first, &old)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(UsableCpus(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(old), &old), 0);
}

}  // namespace
}  // namespace tern
