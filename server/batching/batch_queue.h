// BatchQueue: the requests of one model version that wait, and the rule by
// which they form batches. A passive state machine: it has no thread, no lock
// and no clock; time is an argument.
//
// Order: higher priority first, then arrival. A batch is filled row by row in
// that order up to max_batch_size, so a request may be spread over several
// batches; it never ends later than it would if it were kept whole.
//
// Thread-compatible; the Batcher keeps it under its lock.

#ifndef TERN_SERVER_BATCHING_BATCH_QUEUE_H_
#define TERN_SERVER_BATCHING_BATCH_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/batching/model_observer.h"
#include "server/batching/task.h"
#include "server/clock.h"

namespace tern::server {

struct QueueOptions {
  // Behaviour. Rows in one batch, at least 1.
  int max_batch_size = 64;
  // Admitted requests that have not finished; more are refused. At least 1.
  int max_requests = 1024;
  // Their Task::bytes together; a request that is larger alone never fits.
  std::size_t max_bytes = std::size_t{256} << 20;

  // Performance. How long an incomplete batch waits for company though an
  // executor is free. 0 (default): not at all; batches then form only while
  // executors are busy, which costs no latency.
  Nanos max_queue_delay{0};

  // INVALID_ARGUMENT names the field.
  absl::Status Validate() const;
};

// Rows that run together, and which tasks they belong to.
struct Batch {
  struct Part {
    std::shared_ptr<Task> task;
    int first_row = 0;
    int rows = 0;
  };
  std::vector<Part> parts;
  std::vector<Row> rows;
  Nanos cost{0};
};

class BatchQueue {
 public:
  BatchQueue(QueueId id, const QueueOptions& options, ModelObserver* observer);

  // RESOURCE_EXHAUSTED where the task does not fit the bounds, with the advice
  // to come back when the backlog should be done.
  absl::Status CheckRoom(const Task& task) const;
  // Counts the task against the bounds. There must be room.
  void Admit(const std::shared_ptr<Task>& task, std::uint64_t sequence);
  // The task's rows may run from now on. Puts the task into `finished` where
  // there are none.
  void Enqueue(const std::shared_ptr<Task>& task, std::vector<Row> rows,
               TimePoint now, FinishedTasks& finished);

  // Whether a batch may start at `now`; if not, when it may unless more comes
  // (kNever where nothing waits).
  bool Ready(TimePoint now) const;
  TimePoint ReadyAt() const;
  // Takes the next batch; there must be a queued row.
  Batch Take(TimePoint now);
  // The batch has run; `status` holds for each of its rows.
  void Return(const Batch& batch, const absl::Status& status, TimePoint start,
              TimePoint end, FinishedTasks& finished);

  // Drops what has not started. Rows that run come back by Return first.
  void Drop(const std::shared_ptr<Task>& task, absl::Status status,
            DropReason reason, FinishedTasks& finished);
  void DropExpired(TimePoint now, FinishedTasks& finished);
  // Returns how many tasks were dropped.
  int DropAll(const absl::Status& status, FinishedTasks& finished);
  // When the next task expires, kNever where none does.
  TimePoint NextExpiry() const;

  // Work admitted and not started, of tasks that go before a new one of
  // `priority`.
  Nanos CostAhead(int priority) const;
  Nanos Backlog() const { return backlog_; }
  int requests() const { return static_cast<int>(admitted_.size()); }
  std::size_t bytes() const { return bytes_; }
  QueueId id() const { return id_; }
  const QueueOptions& options() const { return options_; }
  ModelObserver* observer() const { return observer_; }

  // Rows and batches that ran without error.
  std::uint64_t inference_count() const { return inference_count_; }
  std::uint64_t execution_count() const { return execution_count_; }

 private:
  // Priority descending, then sequence ascending.
  using Order = std::pair<int, std::uint64_t>;
  static Order OrderOf(const Task& task);
  TimePoint StartBy(const Task& task) const;
  // Counts rows as work to start, or no longer.
  void AddBacklog(const Task& task, int rows);
  // Forgets that the task has rows to start.
  void Unqueue(const Task& task);
  void FinishIfOver(const std::shared_ptr<Task>& task, FinishedTasks& finished);

  const QueueId id_;
  const QueueOptions options_;
  ModelObserver* const observer_;

  // Every task that is not finished, by arrival.
  std::map<std::uint64_t, std::shared_ptr<Task>> admitted_;
  // Those with rows to start.
  std::map<Order, std::shared_ptr<Task>> queued_;
  // (deadline, sequence) of those not yet dropped or all started.
  std::set<std::pair<TimePoint, std::uint64_t>> expiry_;
  // (latest start, sequence) of queued_, for max_queue_delay.
  std::set<std::pair<TimePoint, std::uint64_t>> start_by_;
  // Predicted work not started, all and by priority.
  Nanos backlog_{0};
  std::map<int, Nanos> backlog_by_priority_;
  std::size_t bytes_ = 0;
  int queued_rows_ = 0;
  std::uint64_t inference_count_ = 0;
  std::uint64_t execution_count_ = 0;
};

}  // namespace tern::server

#endif  // TERN_SERVER_BATCHING_BATCH_QUEUE_H_
