// Clock: where the server's monotonic time comes from. Production passes
// RealClock, tests a FakeClock that they advance by hand (tests/testing).
//
// Thread-safe. A clock must outlive everything that was given it.

#ifndef TERN_SERVER_CLOCK_H_
#define TERN_SERVER_CLOCK_H_

#include <chrono>

#include "absl/base/thread_annotations.h"
#include "server/mutex.h"

namespace tern::server {

// Monotonic: wall-clock jumps do not move deadlines.
using TimePoint = std::chrono::steady_clock::time_point;
using Nanos = std::chrono::nanoseconds;

// As a deadline: none.
inline constexpr TimePoint kNever = TimePoint::max();

class Clock {
 public:
  virtual ~Clock() = default;

  virtual TimePoint Now() const = 0;

  // Returns when `cv` is signalled, when this clock reaches `until`, or for no
  // reason: wait in a loop.
  virtual void WaitUntil(CondVar* cv, Mutex* mu, TimePoint until)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) = 0;
};

class RealClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
  void WaitUntil(CondVar* cv, Mutex* mu, TimePoint until) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (until == kNever) {
      cv->Wait(mu);
    } else {
      cv->WaitUntil(mu, until);
    }
  }
};

// `when` plus `span`, or kNever where that would overflow. span >= 0.
inline TimePoint AddOrNever(TimePoint when, Nanos span) {
  return span >= kNever - when ? kNever : when + span;
}

}  // namespace tern::server

#endif  // TERN_SERVER_CLOCK_H_
