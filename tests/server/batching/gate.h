// Gate: closed until Open; Wait returns once it is open.

#ifndef TERN_TESTS_SERVER_BATCHING_GATE_H_
#define TERN_TESTS_SERVER_BATCHING_GATE_H_

#include "server/mutex.h"

namespace tern::server {

class Gate {
 public:
  void Open() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    open_ = true;
    cv_.SignalAll();
  }
  void Wait() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    while (!open_) cv_.Wait(&mu_);
  }
  bool IsOpen() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return open_;
  }

 private:
  Mutex mu_;
  CondVar cv_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace tern::server

#endif  // TERN_TESTS_SERVER_BATCHING_GATE_H_
