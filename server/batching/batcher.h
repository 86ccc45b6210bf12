// Batcher: runs requests of many models on a few executors, in batches that
// form across requests of one model version.
//
//   Admit -> (prepare) -> Enqueue -> queue of the model -> executor -> done
//
// An executor is a thread that runs one batch at a time. A free executor takes
// at once what is queued; batches grow while executors are busy. A timer
// thread drops tasks at their deadline, whether or not an executor is free;
// what was dropped never runs.
//
// Thread-safe. Lifetime: `done` and batch functions may run until Drain
// returns; the destructor drains without patience.

#ifndef TERN_SERVER_BATCHING_BATCHER_H_
#define TERN_SERVER_BATCHING_BATCHER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/batching/batch_queue.h"
#include "server/batching/model_observer.h"
#include "server/batching/scheduler.h"
#include "server/batching/task.h"
#include "server/clock.h"
#include "server/mutex.h"

namespace tern::server {

// Runs the rows as one batch on the calling executor's thread and fills their
// logits. The status holds for every row. `executor` is 0..executors-1: no two
// calls run at a time for the same one, so it may index state of its own.
using BatchFn =
    std::function<absl::Status(int executor, absl::Span<const Row> rows)>;

struct BatcherOptions {
  // Batches that run at the same time, at least 1.
  int executors = 1;
};

struct QueueStats {
  int requests = 0;
  std::size_t bytes = 0;
  std::uint64_t inference_count = 0;
  std::uint64_t execution_count = 0;
};

class Batcher {
 public:
  // Starts the threads. `clock` must outlive the batcher.
  Batcher(const BatcherOptions& options, Clock* clock,
          std::unique_ptr<Scheduler> scheduler);
  ~Batcher();
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  // A queue for one model version. `observer` outlives the queue and may be
  // null. `options` must be valid.
  QueueId AddQueue(const QueueOptions& options, BatchFn run,
                   ModelObserver* observer) ABSL_LOCKS_EXCLUDED(mu_);
  // All tasks of the queue must be over; its function is not called any more.
  void RemoveQueue(QueueId queue) ABSL_LOCKS_EXCLUDED(mu_);

  // Takes the task in, or refuses it at once: RESOURCE_EXHAUSTED (queue full,
  // with a retry delay), DEADLINE_EXCEEDED (passed, or predicted to pass
  // before the queue ahead and the task itself are done), UNAVAILABLE
  // (draining), NOT_FOUND (no such queue).
  absl::Status Admit(QueueId queue, const std::shared_ptr<Task>& task)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Call before working on an admitted task's rows. False: the task is over,
  // leave it. True: it does not end before Enqueue.
  bool BeginPrepare(const std::shared_ptr<Task>& task) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether work on the task's rows is in vain because it expired or was
  // cancelled meanwhile; Enqueue it without rows then.
  bool Dropped(const std::shared_ptr<Task>& task) ABSL_LOCKS_EXCLUDED(mu_);
  // The rows of an admitted task, at most max_rows, are ready to run. None:
  // the task finishes here.
  void Enqueue(const std::shared_ptr<Task>& task, std::vector<Row> rows)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Drops what has not started of an admitted task, which then finishes with
  // CANCELLED once its running rows are back. A task that has started in whole
  // finishes as it would. Any time, any number of times.
  void Cancel(const std::shared_ptr<Task>& task) ABSL_LOCKS_EXCLUDED(mu_);

  // Refuses new tasks and returns when all admitted ones are over. At
  // `deadline` those that have not started are dropped (UNAVAILABLE). Returns
  // how many were.
  int Drain(TimePoint deadline) ABSL_LOCKS_EXCLUDED(mu_);

  QueueStats Stats(QueueId queue) const ABSL_LOCKS_EXCLUDED(mu_);
  int executors() const { return static_cast<int>(executors_.size()); }

 private:
  struct Entry {
    std::unique_ptr<BatchQueue> queue;
    std::shared_ptr<const BatchFn> run;
    // What scheduler, timer and totals were last told.
    bool active = false;
    TimePoint wake_at = kNever;
    Nanos backlog{0};
    int requests = 0;
  };
  // A batch on its way through an executor.
  struct Work {
    QueueId queue = 0;
    std::shared_ptr<const BatchFn> run;
    Batch batch;
    TimePoint start{};
  };
  // What an executor is busy with, for predictions.
  struct Running {
    bool busy = false;
    TimePoint predicted_end{};
  };

  void ExecutorLoop(int executor) ABSL_LOCKS_EXCLUDED(mu_);
  void TimerLoop() ABSL_LOCKS_EXCLUDED(mu_);
  // The next batch, if there is one; tasks found expired go to `finished`.
  bool TakeBatch(int executor, Work& work, FinishedTasks& finished)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ReturnBatch(int executor, const Work& work, const absl::Status& status)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Handles the queues whose time has come.
  void CollectDue(FinishedTasks& finished) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Tells scheduler, executors and timer what changed in a queue.
  void Update(Entry& entry, TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // DEADLINE_EXCEEDED where the task cannot make its deadline.
  absl::Status CheckDeadline(const BatchQueue& queue, const Task& task,
                             TimePoint now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // How long until a task of `queue` would be done, by the predicted costs.
  Nanos PredictedTime(const BatchQueue& queue, const Task& task,
                      TimePoint now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Entry* Find(QueueId queue) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether nothing is admitted and every `done` has returned.
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Calls `done` of each. `finished` was filled under the lock and counted in
  // finishing_.
  void Finish(FinishedTasks finished) ABSL_LOCKS_EXCLUDED(mu_);

  Clock* const clock_;
  mutable Mutex mu_;
  std::unique_ptr<Scheduler> scheduler_ ABSL_GUARDED_BY(mu_);
  std::map<QueueId, Entry> queues_ ABSL_GUARDED_BY(mu_);
  std::vector<Running> running_ ABSL_GUARDED_BY(mu_);
  QueueId next_queue_ ABSL_GUARDED_BY(mu_) = 1;
  std::uint64_t next_sequence_ ABSL_GUARDED_BY(mu_) = 1;
  // Over all queues: predicted work not started, queues with some, requests.
  Nanos backlog_ ABSL_GUARDED_BY(mu_){0};
  int busy_queues_ ABSL_GUARDED_BY(mu_) = 0;
  int requests_ ABSL_GUARDED_BY(mu_) = 0;
  // Tasks that are over and whose `done` has not returned.
  int finishing_ ABSL_GUARDED_BY(mu_) = 0;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // (wake_at, id) of the queues that the timer has to look at.
  std::set<std::pair<TimePoint, QueueId>> wakeups_ ABSL_GUARDED_BY(mu_);
  // What the timer thread sleeps for; it may find that nothing is due.
  TimePoint timer_until_ ABSL_GUARDED_BY(mu_) = kNever;
  CondVar work_;
  CondVar timer_;
  CondVar idle_;

  std::vector<std::thread> executors_;
  std::thread timer_thread_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_BATCHING_BATCHER_H_
