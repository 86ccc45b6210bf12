// ConnectionReaper: cuts off connections that take too long.
//
// libmicrohttpd's own timeout only sees silence; a sender that drips bytes
// would stay for ever. A connection has a deadline for its present phase; when
// it passes, the socket is shut down and libmicrohttpd closes it.
//
// Thread-safe. One thread.

#ifndef TERN_SERVER_HTTP_CONNECTION_REAPER_H_
#define TERN_SERVER_HTTP_CONNECTION_REAPER_H_

#include <thread>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "server/clock.h"
#include "server/mutex.h"

namespace tern::server {

class ConnectionReaper {
 public:
  ConnectionReaper();
  ~ConnectionReaper();
  ConnectionReaper(const ConnectionReaper&) = delete;
  ConnectionReaper& operator=(const ConnectionReaper&) = delete;

  // `connection` is a name for the socket until Remove, which must come before
  // the socket is closed.
  void SetDeadline(const void* connection, int fd, TimePoint deadline);
  void Remove(const void* connection);

 private:
  struct Entry {
    int fd = -1;
    TimePoint deadline = kNever;
  };

  void Run();
  // Shuts down what is late; returns the next deadline.
  TimePoint Reap(TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex mu_;
  CondVar news_;
  std::unordered_map<const void*, Entry> entries_ ABSL_GUARDED_BY(mu_);
  TimePoint next_ ABSL_GUARDED_BY(mu_) = kNever;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_HTTP_CONNECTION_REAPER_H_
