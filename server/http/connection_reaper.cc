#include "server/http/connection_reaper.h"

#include <sys/socket.h>

#include <algorithm>

namespace tern::server {

ConnectionReaper::ConnectionReaper() : thread_([this] { Run(); }) {}

ConnectionReaper::~ConnectionReaper() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    news_.SignalAll();
  }
  thread_.join();
}

void ConnectionReaper::SetDeadline(const void* connection, int fd,
                                   TimePoint deadline) {
  MutexLock lock(&mu_);
  entries_[connection] = {fd, deadline};
  if (deadline < next_) news_.Signal();
}

void ConnectionReaper::Remove(const void* connection) {
  MutexLock lock(&mu_);
  entries_.erase(connection);
}

TimePoint ConnectionReaper::Reap(TimePoint now) {
  TimePoint next = kNever;
  for (auto& [connection, entry] : entries_) {
    if (entry.deadline <= now) {
      shutdown(entry.fd, SHUT_RDWR);
      entry.deadline = kNever;
    }
    next = std::min(next, entry.deadline);
  }
  return next;
}

void ConnectionReaper::Run() {
  RealClock clock;
  MutexLock lock(&mu_);
  while (!stopping_) {
    next_ = Reap(clock.Now());
    clock.WaitUntil(&news_, &mu_, next_);
  }
}

}  // namespace tern::server
