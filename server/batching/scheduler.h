// Scheduler: which model's queue the next free executor serves.
//
// The batcher tells it which queues have a batch to run, asks for one each
// time an executor is free, and reports what the batch is predicted to cost,
// so that other policies (fair by cost, weighted) fit behind the same calls.
//
// Called under the batcher's lock; needs none of its own.

#ifndef TERN_SERVER_BATCHING_SCHEDULER_H_
#define TERN_SERVER_BATCHING_SCHEDULER_H_

#include <deque>
#include <optional>

#include "server/batching/task.h"
#include "server/clock.h"

namespace tern::server {

class Scheduler {
 public:
  virtual ~Scheduler() = default;

  // `queue` has a batch that may run now. It was not active before.
  virtual void Activate(QueueId queue) = 0;
  // It no longer has one. It was active before.
  virtual void Deactivate(QueueId queue) = 0;
  // An active queue, which stays active; none where no queue is.
  virtual std::optional<QueueId> Next() = 0;
  // A batch of `queue`, predicted to take `cost`, was started.
  virtual void Charge(QueueId queue, Nanos cost) = 0;
};

// Each active queue in turn, one batch each.
class RoundRobinScheduler final : public Scheduler {
 public:
  void Activate(QueueId queue) override;
  void Deactivate(QueueId queue) override;
  std::optional<QueueId> Next() override;
  void Charge(QueueId queue, Nanos cost) override;

 private:
  std::deque<QueueId> turn_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_BATCHING_SCHEDULER_H_
