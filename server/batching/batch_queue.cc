#include "server/batching/batch_queue.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

// Advice shorter than this asks for a storm, longer is a guess.
constexpr Nanos kMinRetryDelay = std::chrono::milliseconds(10);
constexpr Nanos kMaxRetryDelay = std::chrono::seconds(10);

}  // namespace

absl::Status QueueOptions::Validate() const {
  if (max_batch_size < 1) {
    return InvalidField("max_batch_size",
                        absl::StrCat("want >= 1, got ", max_batch_size));
  }
  if (max_requests < 1) {
    return InvalidField("max_requests",
                        absl::StrCat("want >= 1, got ", max_requests));
  }
  if (max_bytes < 1) return InvalidField("max_bytes", "want >= 1, got 0");
  if (max_queue_delay < Nanos(0)) {
    return InvalidField(
        "max_queue_delay",
        absl::StrCat("want >= 0, got ", max_queue_delay.count(), " ns"));
  }
  return absl::OkStatus();
}

BatchQueue::BatchQueue(QueueId id, const QueueOptions& options,
                       ModelObserver* observer)
    : id_(id), options_(options), observer_(observer) {
  TERN_CHECK(options.Validate().ok());
}

BatchQueue::Order BatchQueue::OrderOf(const Task& task) {
  return {-task.priority, task.sequence_};
}

// An incomplete batch leaves when its oldest task has waited long enough, or
// when waiting longer would make a task late.
TimePoint BatchQueue::StartBy(const Task& task) const {
  const Nanos cost = task.cost_per_row * static_cast<int>(task.rows_.size());
  return std::min(AddOrNever(task.ready_at_, options_.max_queue_delay),
                  task.deadline - cost);
}

absl::Status BatchQueue::CheckRoom(const Task& task) const {
  const bool full = admitted_.size() >= std::size_t(options_.max_requests);
  const bool too_large = task.bytes > options_.max_bytes;
  if (!full && !too_large && task.bytes <= options_.max_bytes - bytes_) {
    return absl::OkStatus();
  }
  if (observer_ != nullptr) {
    observer_->Dropped(full ? DropReason::kQueueRequests
                            : DropReason::kQueueBytes);
  }
  if (too_large) {  // never fits: no advice to try again
    return absl::ResourceExhaustedError(
        absl::StrCat("the request holds ", task.bytes,
                     " bytes, the model's queue takes ", options_.max_bytes));
  }
  std::string message =
      full ? absl::StrCat("the model's queue is full: ", admitted_.size(),
                          " requests wait")
           : absl::StrCat("the model's queue is full: ", bytes_, " of ",
                          options_.max_bytes, " bytes taken, ", task.bytes,
                          " more asked for");
  return WithRetryDelay(
      absl::ResourceExhaustedError(message),
      std::clamp<Nanos>(backlog_, kMinRetryDelay, kMaxRetryDelay));
}

void BatchQueue::Admit(const std::shared_ptr<Task>& task,
                       std::uint64_t sequence) {
  TERN_CHECK(task->state_ == Task::State::kNew && task->max_rows >= 0);
  task->state_ = Task::State::kAdmitted;
  task->queue_ = id_;
  task->sequence_ = sequence;
  admitted_.emplace(sequence, task);
  bytes_ += task->bytes;
  AddBacklog(*task, task->max_rows);
  if (task->deadline != kNever) expiry_.emplace(task->deadline, sequence);
}

void BatchQueue::Enqueue(const std::shared_ptr<Task>& task,
                         std::vector<Row> rows, TimePoint now,
                         FinishedTasks& finished) {
  if (task->state_ == Task::State::kFinished) return;
  TERN_CHECK(task->state_ == Task::State::kAdmitted ||
             task->state_ == Task::State::kPreparing);
  TERN_CHECK(rows.size() <= std::size_t(task->max_rows));
  task->state_ = Task::State::kQueued;
  task->ready_at_ = task->first_start_ = task->last_start_ = task->last_end_ =
      now;
  if (!task->outcome_.status.ok()) {  // dropped while it was being prepared
    FinishIfOver(task, finished);
    return;
  }
  const int count = static_cast<int>(rows.size());
  AddBacklog(*task, count - task->max_rows);
  task->rows_ = std::move(rows);
  task->outcome_.rows.resize(count);
  if (count == 0) {
    expiry_.erase({task->deadline, task->sequence_});
    FinishIfOver(task, finished);
    return;
  }
  queued_rows_ += count;
  queued_.emplace(OrderOf(*task), task);
  start_by_.emplace(StartBy(*task), task->sequence_);
}

bool BatchQueue::Ready(TimePoint now) const {
  return queued_rows_ > 0 && ReadyAt() <= now;
}

TimePoint BatchQueue::ReadyAt() const {
  if (queued_rows_ == 0) return kNever;
  if (queued_rows_ >= options_.max_batch_size) return TimePoint::min();
  return start_by_.begin()->first;
}

Batch BatchQueue::Take(TimePoint now) {
  TERN_CHECK(queued_rows_ > 0);
  Batch batch;
  int room = options_.max_batch_size;
  while (room > 0 && !queued_.empty()) {
    const std::shared_ptr<Task> task = queued_.begin()->second;
    const int left = static_cast<int>(task->rows_.size()) - task->taken_;
    const int rows = std::min(room, left);
    const auto first = task->rows_.begin() + task->taken_;
    batch.rows.insert(batch.rows.end(), first, first + rows);
    batch.parts.push_back({task, task->taken_, rows});
    batch.cost += task->cost_per_row * rows;
    if (task->taken_ == 0) task->first_start_ = now;
    task->last_start_ = now;
    task->running_ += rows;
    AddBacklog(*task, -rows);
    if (rows == left) {
      Unqueue(*task);
      if (observer_ != nullptr) observer_->Queued(now - task->ready_at_);
    } else {
      queued_rows_ -= rows;
    }
    task->taken_ += rows;
    room -= rows;
  }
  return batch;
}

void BatchQueue::Return(const Batch& batch, const absl::Status& status,
                        TimePoint start, TimePoint end,
                        FinishedTasks& finished) {
  const int size = static_cast<int>(batch.rows.size());
  for (const Batch::Part& part : batch.parts) {
    Task& task = *part.task;
    for (int i = 0; i < part.rows; ++i) {
      task.outcome_.rows[part.first_row + i] = {status, size};
    }
    task.running_ -= part.rows;
    task.last_end_ = end;
    FinishIfOver(part.task, finished);
  }
  if (!status.ok()) return;
  inference_count_ += size;
  ++execution_count_;
  if (observer_ != nullptr) observer_->Executed(size, end - start);
}

void BatchQueue::Drop(const std::shared_ptr<Task>& task, absl::Status status,
                      DropReason reason, FinishedTasks& finished) {
  const bool over = task->state_ == Task::State::kFinished;
  if (over || !task->outcome_.status.ok()) return;
  const bool waits_for_rows = task->state_ != Task::State::kQueued;
  const int left = waits_for_rows
                       ? task->max_rows
                       : static_cast<int>(task->rows_.size()) - task->taken_;
  if (!waits_for_rows && left == 0) return;
  AddBacklog(*task, -left);
  if (waits_for_rows) {
    expiry_.erase({task->deadline, task->sequence_});
  } else {
    Unqueue(*task);
    std::fill(task->outcome_.rows.begin() + task->taken_,
              task->outcome_.rows.end(), RowOutcome{status, 0});
  }
  task->outcome_.status = std::move(status);
  if (observer_ != nullptr) observer_->Dropped(reason);
  FinishIfOver(task, finished);
}

void BatchQueue::DropExpired(TimePoint now, FinishedTasks& finished) {
  while (!expiry_.empty() && expiry_.begin()->first <= now) {
    const std::shared_ptr<Task> task = admitted_.at(expiry_.begin()->second);
    Drop(task,
         absl::DeadlineExceededError("the deadline passed before the request "
                                     "could run"),
         DropReason::kExpired, finished);
  }
}

int BatchQueue::DropAll(const absl::Status& status, FinishedTasks& finished) {
  std::vector<std::shared_ptr<Task>> tasks;
  for (const auto& [sequence, task] : admitted_) tasks.push_back(task);
  int dropped = 0;
  for (const std::shared_ptr<Task>& task : tasks) {
    const bool was_ok = task->outcome_.status.ok();
    Drop(task, status, DropReason::kDraining, finished);
    if (was_ok && !task->outcome_.status.ok()) ++dropped;
  }
  return dropped;
}

TimePoint BatchQueue::NextExpiry() const {
  return expiry_.empty() ? kNever : expiry_.begin()->first;
}

Nanos BatchQueue::CostAhead(int priority) const {
  Nanos ahead{0};
  for (auto it = backlog_by_priority_.lower_bound(priority);
       it != backlog_by_priority_.end(); ++it) {
    ahead += it->second;
  }
  return ahead;
}

void BatchQueue::AddBacklog(const Task& task, int rows) {
  const Nanos cost = task.cost_per_row * rows;
  backlog_ += cost;
  const auto it = backlog_by_priority_.try_emplace(task.priority, 0).first;
  it->second += cost;
  if (it->second == Nanos(0)) backlog_by_priority_.erase(it);
}

void BatchQueue::Unqueue(const Task& task) {
  queued_rows_ -= static_cast<int>(task.rows_.size()) - task.taken_;
  queued_.erase(OrderOf(task));
  start_by_.erase({StartBy(task), task.sequence_});
  expiry_.erase({task.deadline, task.sequence_});
}

void BatchQueue::FinishIfOver(const std::shared_ptr<Task>& task,
                              FinishedTasks& finished) {
  const bool dropped = !task->outcome_.status.ok();
  if (task->state_ == Task::State::kPreparing || task->running_ > 0) return;
  if (!dropped && task->taken_ < static_cast<int>(task->rows_.size())) return;
  task->state_ = Task::State::kFinished;
  task->outcome_.queue_time = task->last_start_ - task->ready_at_;
  task->outcome_.inference_time = task->last_end_ - task->first_start_;
  bytes_ -= task->bytes;
  admitted_.erase(task->sequence_);
  finished.push_back(task);
}

}  // namespace tern::server
