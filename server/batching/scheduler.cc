#include "server/batching/scheduler.h"

#include <algorithm>

#include "engine/base/status_macros.h"

namespace tern::server {

void RoundRobinScheduler::Activate(QueueId queue) { turn_.push_back(queue); }

void RoundRobinScheduler::Deactivate(QueueId queue) {
  const auto it = std::find(turn_.begin(), turn_.end(), queue);
  TERN_CHECK(it != turn_.end());
  turn_.erase(it);
}

std::optional<QueueId> RoundRobinScheduler::Next() {
  if (turn_.empty()) return std::nullopt;
  const QueueId queue = turn_.front();
  turn_.pop_front();
  turn_.push_back(queue);
  return queue;
}

void RoundRobinScheduler::Charge(QueueId /*queue*/, Nanos /*cost*/) {}

}  // namespace tern::server
