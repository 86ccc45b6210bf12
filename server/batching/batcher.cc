#include "server/batching/batcher.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/batching/prediction.h"

namespace tern::server {
namespace {

std::string Micros(Nanos span) {
  return absl::StrCat(
      std::chrono::duration_cast<std::chrono::microseconds>(span).count(),
      " us");
}

absl::Status Draining() {
  return absl::UnavailableError("the server is shutting down");
}

}  // namespace

Batcher::Batcher(const BatcherOptions& options, Clock* clock,
                 std::unique_ptr<Scheduler> scheduler)
    : clock_(clock),
      scheduler_(std::move(scheduler)),
      running_(std::max(1, options.executors)) {
  const int executors = std::max(1, options.executors);
  for (int i = 0; i < executors; ++i) {
    executors_.emplace_back([this, i] { ExecutorLoop(i); });
  }
  timer_thread_ = std::thread([this] { TimerLoop(); });
}

Batcher::~Batcher() {
  Drain(clock_->Now());
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    work_.SignalAll();
    timer_.SignalAll();
  }
  for (std::thread& executor : executors_) executor.join();
  timer_thread_.join();
}

QueueId Batcher::AddQueue(const QueueOptions& options, BatchFn run,
                          ModelObserver* observer) {
  MutexLock lock(&mu_);
  const QueueId id = next_queue_++;
  Entry& entry = queues_[id];
  entry.queue = std::make_unique<BatchQueue>(id, options, observer);
  entry.run = std::make_shared<const BatchFn>(std::move(run));
  return id;
}

void Batcher::RemoveQueue(QueueId queue) {
  MutexLock lock(&mu_);
  Entry* entry = Find(queue);
  TERN_CHECK(entry != nullptr && entry->queue->requests() == 0);
  Update(*entry, clock_->Now());
  queues_.erase(queue);
}

absl::Status Batcher::Admit(QueueId queue, const std::shared_ptr<Task>& task) {
  MutexLock lock(&mu_);
  Entry* entry = Find(queue);
  if (entry == nullptr) return absl::NotFoundError("the model was unloaded");
  if (draining_) {
    if (entry->queue->observer() != nullptr) {
      entry->queue->observer()->Dropped(DropReason::kDraining);
    }
    return Draining();
  }
  const TimePoint now = clock_->Now();
  TERN_RETURN_IF_ERROR(entry->queue->CheckRoom(*task));
  TERN_RETURN_IF_ERROR(CheckDeadline(*entry->queue, *task, now));
  entry->queue->Admit(task, next_sequence_++);
  Update(*entry, now);
  return absl::OkStatus();
}

bool Batcher::BeginPrepare(const std::shared_ptr<Task>& task) {
  MutexLock lock(&mu_);
  if (task->state_ != Task::State::kAdmitted) return false;
  task->state_ = Task::State::kPreparing;
  return true;
}

bool Batcher::Dropped(const std::shared_ptr<Task>& task) {
  MutexLock lock(&mu_);
  return !task->outcome_.status.ok();
}

void Batcher::Enqueue(const std::shared_ptr<Task>& task,
                      std::vector<Row> rows) {
  FinishedTasks finished;
  {
    MutexLock lock(&mu_);
    // A task that was dropped meanwhile may have outlived its queue.
    Entry* entry = Find(task->queue_);
    if (entry == nullptr) return;
    const TimePoint now = clock_->Now();
    entry->queue->Enqueue(task, std::move(rows), now, finished);
    finishing_ += static_cast<int>(finished.size());
    Update(*entry, now);
  }
  Finish(std::move(finished));
}

void Batcher::Cancel(const std::shared_ptr<Task>& task) {
  FinishedTasks finished;
  {
    MutexLock lock(&mu_);
    Entry* entry = Find(task->queue_);
    if (entry == nullptr) return;
    entry->queue->Drop(task, absl::CancelledError("the caller cancelled"),
                       DropReason::kCancelled, finished);
    finishing_ += static_cast<int>(finished.size());
    Update(*entry, clock_->Now());
  }
  Finish(std::move(finished));
}

int Batcher::Drain(TimePoint deadline) {
  FinishedTasks finished;
  int dropped = 0;
  {
    MutexLock lock(&mu_);
    draining_ = true;
    while (!Idle() && clock_->Now() < deadline) {
      clock_->WaitUntil(&idle_, &mu_, deadline);
    }
    for (auto& [id, entry] : queues_) {
      dropped += entry.queue->DropAll(Draining(), finished);
      Update(entry, clock_->Now());
    }
    finishing_ += static_cast<int>(finished.size());
  }
  Finish(std::move(finished));
  MutexLock lock(&mu_);
  while (!Idle()) idle_.Wait(&mu_);
  return dropped;
}

QueueStats Batcher::Stats(QueueId queue) const {
  MutexLock lock(&mu_);
  const auto it = queues_.find(queue);
  if (it == queues_.end()) return {};
  const BatchQueue& q = *it->second.queue;
  return {q.requests(), q.bytes(), q.inference_count(), q.execution_count()};
}

void Batcher::ExecutorLoop(int executor) {
  for (;;) {
    Work work;
    FinishedTasks expired;
    bool taken = false;
    {
      MutexLock lock(&mu_);
      while (!(taken = TakeBatch(executor, work, expired)) && expired.empty() &&
             !stopping_) {
        work_.Wait(&mu_);
      }
      if (!taken && expired.empty()) return;
      finishing_ += static_cast<int>(expired.size());
    }
    Finish(std::move(expired));
    if (taken) {
      ReturnBatch(executor, work, (*work.run)(executor, work.batch.rows));
    }
  }
}

void Batcher::TimerLoop() {
  for (;;) {
    FinishedTasks finished;
    {
      MutexLock lock(&mu_);
      for (CollectDue(finished); finished.empty() && !stopping_;
           CollectDue(finished)) {
        timer_until_ = wakeups_.empty() ? kNever : wakeups_.begin()->first;
        clock_->WaitUntil(&timer_, &mu_, timer_until_);
      }
      if (finished.empty()) return;
      finishing_ += static_cast<int>(finished.size());
    }
    Finish(std::move(finished));
  }
}

bool Batcher::TakeBatch(int executor, Work& work, FinishedTasks& finished) {
  for (;;) {
    const std::optional<QueueId> next = scheduler_->Next();
    if (!next.has_value()) return false;
    Entry* entry = Find(*next);
    TERN_CHECK(entry != nullptr);
    const TimePoint now = clock_->Now();
    // The timer may be late: what has expired must not run.
    entry->queue->DropExpired(now, finished);
    if (entry->queue->Ready(now)) {
      work.queue = *next;
      work.run = entry->run;
      work.batch = entry->queue->Take(now);
      work.start = now;
      scheduler_->Charge(*next, work.batch.cost);
      running_[executor] = {true, now + work.batch.cost};
      Update(*entry, now);
      return true;
    }
    Update(*entry, now);
  }
}

void Batcher::ReturnBatch(int executor, const Work& work,
                          const absl::Status& status) {
  FinishedTasks finished;
  {
    MutexLock lock(&mu_);
    Entry* entry = Find(work.queue);
    TERN_CHECK(entry != nullptr);
    const TimePoint now = clock_->Now();
    entry->queue->Return(work.batch, status, work.start, now, finished);
    finishing_ += static_cast<int>(finished.size());
    running_[executor].busy = false;
    Update(*entry, now);
  }
  Finish(std::move(finished));
}

void Batcher::CollectDue(FinishedTasks& finished) {
  const TimePoint now = clock_->Now();
  while (!wakeups_.empty() && wakeups_.begin()->first <= now) {
    Entry* entry = Find(wakeups_.begin()->second);
    entry->queue->DropExpired(now, finished);
    Update(*entry, now);
  }
}

void Batcher::Update(Entry& entry, TimePoint now) {
  const BatchQueue& queue = *entry.queue;
  const bool ready = queue.Ready(now);
  if (ready && !entry.active) scheduler_->Activate(queue.id());
  if (!ready && entry.active) scheduler_->Deactivate(queue.id());
  entry.active = ready;
  if (ready) work_.Signal();

  const TimePoint wake_at =
      std::min(queue.NextExpiry(), ready ? kNever : queue.ReadyAt());
  if (wake_at != entry.wake_at) {
    wakeups_.erase({entry.wake_at, queue.id()});
    if (wake_at != kNever) wakeups_.emplace(wake_at, queue.id());
    entry.wake_at = wake_at;
    if (wake_at < timer_until_) timer_.Signal();
  }

  busy_queues_ +=
      int(queue.Backlog() > Nanos(0)) - int(entry.backlog > Nanos(0));
  backlog_ += queue.Backlog() - entry.backlog;
  entry.backlog = queue.Backlog();
  requests_ += queue.requests() - entry.requests;
  entry.requests = queue.requests();
}

absl::Status Batcher::CheckDeadline(const BatchQueue& queue, const Task& task,
                                    TimePoint now) const {
  if (task.deadline == kNever) return absl::OkStatus();
  const Nanos left = task.deadline - now;
  const Nanos needed = PredictedTime(queue, task, now);
  if (left > Nanos(0) && needed <= left) return absl::OkStatus();
  if (queue.observer() != nullptr) {
    queue.observer()->Dropped(left > Nanos(0) ? DropReason::kPredictedLate
                                              : DropReason::kExpired);
  }
  if (left <= Nanos(0)) {
    return absl::DeadlineExceededError("the deadline passed before arrival");
  }
  return absl::DeadlineExceededError(absl::StrCat(
      "the deadline is in ", Micros(left),
      ", the request is predicted to be done in ", Micros(needed)));
}

// Other models get their turns meanwhile: at most as much as this one each.
Nanos Batcher::PredictedTime(const BatchQueue& queue, const Task& task,
                             TimePoint now) const {
  const Nanos own = task.cost_per_row * task.max_rows;
  const Nanos last_batch =
      task.cost_per_row *
      std::min(task.max_rows, queue.options().max_batch_size);
  const Nanos ahead = queue.CostAhead(task.priority);
  const int others = busy_queues_ - int(queue.Backlog() > Nanos(0));
  const Nanos others_cost =
      std::min(backlog_ - queue.Backlog(), (ahead + own) * others);
  std::vector<Nanos> busy;
  for (const Running& running : running_) {
    busy.push_back(running.busy ? running.predicted_end - now : Nanos(0));
  }
  return TimeToFree(std::move(busy), ahead + others_cost + own - last_batch) +
         last_batch;
}

Batcher::Entry* Batcher::Find(QueueId queue) {
  const auto it = queues_.find(queue);
  return it == queues_.end() ? nullptr : &it->second;
}

bool Batcher::Idle() const { return requests_ == 0 && finishing_ == 0; }

void Batcher::Finish(FinishedTasks finished) {
  for (std::shared_ptr<Task>& task : finished) {
    // Lets go of what `done` holds before the task counts as over.
    std::exchange(task->done, nullptr)(std::move(task->outcome_));
    task.reset();
    MutexLock lock(&mu_);
    --finishing_;
    if (Idle()) idle_.SignalAll();
  }
}

}  // namespace tern::server
