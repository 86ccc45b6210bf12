#include "server/worker_pool.h"

#include <atomic>

#include "gtest/gtest.h"
#include "server/mutex.h"

namespace tern::server {
namespace {

// A door that works wait at until it is opened.
class Gate {
 public:
  void Open() {
    MutexLock lock(&mu_);
    open_ = true;
    news_.SignalAll();
  }
  void Wait() {
    MutexLock lock(&mu_);
    ++waiting_;
    news_.SignalAll();
    while (!open_) news_.Wait(&mu_);
  }
  void AwaitWaiting(int count) {
    MutexLock lock(&mu_);
    while (waiting_ < count) news_.Wait(&mu_);
  }

 private:
  Mutex mu_;
  CondVar news_;
  bool open_ = false;
  int waiting_ = 0;
};

TEST(WorkerPoolTest, RunsEverythingBeforeItEnds) {
  std::atomic<int> ran{0};
  {
    WorkerPool pool(2, 1000);
    for (int i = 0; i < 1000; ++i) {
      while (!pool.TryPost([&ran] { ++ran; })) {
      }
    }
  }
  EXPECT_EQ(ran, 1000);
}

TEST(WorkerPoolTest, RunsAsManyAtATimeAsItHasThreads) {
  Gate gate;
  WorkerPool pool(3, 10);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pool.TryPost([&gate] { gate.Wait(); }));
  }
  gate.AwaitWaiting(3);
  gate.Open();
}

TEST(WorkerPoolTest, RefusesWhatDoesNotFit) {
  Gate gate;
  std::atomic<int> ran{0};
  {
    WorkerPool pool(1, 2);
    ASSERT_TRUE(pool.TryPost([&gate] { gate.Wait(); }));
    gate.AwaitWaiting(1);
    EXPECT_TRUE(pool.TryPost([&ran] { ++ran; }));
    EXPECT_TRUE(pool.TryPost([&ran] { ++ran; }));
    EXPECT_FALSE(pool.TryPost([&ran] { ran = 100; }));
    gate.Open();
  }
  EXPECT_EQ(ran, 2);
}

}  // namespace
}  // namespace tern::server
