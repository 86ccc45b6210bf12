// FakeClock: time that moves only when a test says so. Advance wakes whoever
// waits for a moment that has come; nothing sleeps.
//
// Thread-safe. Advance must not race with the end of a waiter's lock.

#ifndef TERN_TESTS_TESTING_FAKE_CLOCK_H_
#define TERN_TESTS_TESTING_FAKE_CLOCK_H_

#include <cstddef>
#include <iterator>
#include <list>

#include "server/clock.h"
#include "server/mutex.h"

namespace tern::server {

class FakeClock final : public Clock {
 public:
  TimePoint Now() const override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return now_;
  }

  void WaitUntil(CondVar* cv, Mutex* mu, TimePoint until) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    std::list<Waiter>::iterator self;
    {
      MutexLock lock(&mu_);
      if (now_ >= until) return;
      waiters_.push_back({cv, mu});
      self = std::prev(waiters_.end());
      changed_.SignalAll();
    }
    cv->Wait(mu);
    MutexLock lock(&mu_);
    waiters_.erase(self);
  }

  // Returns when that many threads wait for this clock.
  void AwaitWaiters(std::size_t count) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    while (waiters_.size() < count) changed_.Wait(&mu_);
  }

  void Advance(Nanos span) ABSL_LOCKS_EXCLUDED(mu_) {
    std::list<Waiter> waiters;
    {
      MutexLock lock(&mu_);
      now_ += span;
      waiters = waiters_;
    }
    // A waiter holds its lock from before it reads the time until it waits, so
    // a signal under that lock cannot fall in between.
    for (const Waiter& waiter : waiters) Wake(waiter);
  }

 private:
  struct Waiter {
    CondVar* cv;
    Mutex* mu;
  };

  static void Wake(const Waiter& waiter) {
    MutexLock lock(waiter.mu);
    waiter.cv->SignalAll();
  }

  mutable Mutex mu_;
  CondVar changed_;
  TimePoint now_ ABSL_GUARDED_BY(mu_){std::chrono::hours(1)};
  std::list<Waiter> waiters_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tern::server

#endif  // TERN_TESTS_TESTING_FAKE_CLOCK_H_
