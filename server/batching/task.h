// Task: one request on its way through the batcher. It knows pictures, bytes,
// cost, deadline and priority, and nothing of RPCs or of the engine.
//
// Life: made by the caller, admitted (Batcher::Admit), made ready (Enqueue),
// executed in one or more batches, finished. `done` is called exactly once
// for an admitted task, on any thread, without a lock held, after which the
// batcher touches neither the rows nor the task. It is never called for a task
// that was refused.
//
// Thread rule: the public fields are set before Admit and only read after.
// Everything else belongs to the batcher, under its lock.

#ifndef TERN_SERVER_BATCHING_TASK_H_
#define TERN_SERVER_BATCHING_TASK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/clock.h"

namespace tern::server {

using QueueId = std::uint64_t;

// One picture in, its logits out. The memory is the caller's and lives until
// `done`.
struct Row {
  absl::Span<const std::uint8_t> pixels;
  absl::Span<float> logits;
};

struct RowOutcome {
  // Not OK: this row has no logits.
  absl::Status status;
  // Rows in the batch that held this one; 0 where it never ran.
  int batch_size = 0;
};

struct TaskOutcome {
  // OK: every row ran (its own status may still be an error).
  // DEADLINE_EXCEEDED, CANCELLED, UNAVAILABLE: dropped, rows that had not
  // started never ran.
  absl::Status status;
  // In the order of Enqueue; empty where the task was dropped before it.
  std::vector<RowOutcome> rows;
  // From Enqueue until the last batch with a row of this task started.
  Nanos queue_time{0};
  // From the first such batch's start to the last one's end.
  Nanos inference_time{0};
};

struct Task {
  // At most this many rows will be enqueued.
  int max_rows = 1;
  // Memory that the request holds; counts against the queue's bound.
  std::size_t bytes = 0;
  // Predicted time of one row on one executor.
  Nanos cost_per_row{0};
  TimePoint deadline = kNever;
  // Larger goes first among the tasks of one queue.
  int priority = 0;
  std::function<void(TaskOutcome)> done;

 private:
  friend class BatchQueue;
  friend class Batcher;

  enum class State { kNew, kAdmitted, kPreparing, kQueued, kFinished };

  State state_ = State::kNew;
  QueueId queue_ = 0;
  // Arrival order, for first come, first served among equals.
  std::uint64_t sequence_ = 0;
  std::vector<Row> rows_;
  // rows_[0, taken_) have been put into batches, of which `running_` rows have
  // not come back.
  int taken_ = 0;
  int running_ = 0;
  TimePoint ready_at_{};
  TimePoint first_start_{};
  TimePoint last_start_{};
  TimePoint last_end_{};
  TaskOutcome outcome_;
};

// A task that is over and whose `done` is still to be called, once no lock is
// held.
using FinishedTasks = std::vector<std::shared_ptr<Task>>;

}  // namespace tern::server

#endif  // TERN_SERVER_BATCHING_TASK_H_
