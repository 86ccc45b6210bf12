#include "server/batching/batch_queue.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

using std::chrono::microseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr TimePoint kStart{std::chrono::hours(1)};

struct Counts final : ModelObserver {
  void Dropped(DropReason reason) override {
    ++dropped[static_cast<int>(reason)];
  }
  void Executed(int rows, Nanos /*duration*/) override {
    batches.push_back(rows);
  }
  void Queued(Nanos duration) override { queued.push_back(duration); }
  void Decoded(Nanos /*duration*/) override {}

  int of(DropReason reason) const { return dropped[static_cast<int>(reason)]; }

  int dropped[kDropReasons] = {};
  std::vector<int> batches;
  std::vector<Nanos> queued;
};

class BatchQueueTest : public ::testing::Test {
 protected:
  using TaskPtr = std::shared_ptr<Task>;

  void Make(const QueueOptions& options) {
    queue_ = std::make_unique<BatchQueue>(1, options, &counts_);
  }

  TaskPtr NewTask(int rows, int priority = 0, TimePoint deadline = kNever) {
    auto task = std::make_shared<Task>();
    task->max_rows = rows;
    task->bytes = 100;
    task->cost_per_row = microseconds(10);
    task->priority = priority;
    task->deadline = deadline;
    return task;
  }

  void Admit(const TaskPtr& task) { queue_->Admit(task, ++sequence_); }

  TaskPtr Put(int rows, int priority = 0, TimePoint deadline = kNever) {
    TaskPtr task = NewTask(rows, priority, deadline);
    Admit(task);
    queue_->Enqueue(task, std::vector<Row>(rows), now_, finished_);
    return task;
  }

  // (task, first row, rows) of a batch.
  struct Part {
    TaskPtr task;
    int first;
    int rows;
    friend bool operator==(const Part&, const Part&) = default;
  };
  std::vector<Part> Take() {
    last_ = queue_->Take(now_);
    std::vector<Part> parts;
    for (const Batch::Part& part : last_.parts) {
      parts.push_back({part.task, part.first_row, part.rows});
    }
    return parts;
  }
  void Return(const absl::Status& status = absl::OkStatus()) {
    queue_->Return(last_, status, now_, now_ + microseconds(5), finished_);
  }

  Counts counts_;
  std::unique_ptr<BatchQueue> queue_;
  std::uint64_t sequence_ = 0;
  TimePoint now_ = kStart;
  FinishedTasks finished_;
  Batch last_;
};

TEST_F(BatchQueueTest, ABatchFormsAcrossRequestsInOrderOfArrival) {
  Make({.max_batch_size = 8});
  const TaskPtr a = Put(2);
  const TaskPtr b = Put(3);
  EXPECT_TRUE(queue_->Ready(now_));
  EXPECT_THAT(Take(), ElementsAre(Part{a, 0, 2}, Part{b, 0, 3}));
  EXPECT_EQ(last_.cost, microseconds(50));
  EXPECT_FALSE(queue_->Ready(now_));
  Return();
  EXPECT_THAT(finished_, ElementsAre(a, b));
  EXPECT_THAT(counts_.batches, ElementsAre(5));
  EXPECT_EQ(queue_->inference_count(), 5u);
  EXPECT_EQ(queue_->execution_count(), 1u);
  EXPECT_EQ(queue_->bytes(), 0u);
}

TEST_F(BatchQueueTest, ARequestLargerThanABatchIsSplitAndFinishesOnce) {
  Make({.max_batch_size = 4});
  const TaskPtr a = Put(10);
  const TaskPtr b = Put(1);
  EXPECT_THAT(Take(), ElementsAre(Part{a, 0, 4}));
  const Batch first = last_;
  EXPECT_THAT(Take(), ElementsAre(Part{a, 4, 4}));
  const Batch second = last_;
  EXPECT_THAT(Take(), ElementsAre(Part{a, 8, 2}, Part{b, 0, 1}));
  // The pieces may come back in any order.
  Return();
  EXPECT_THAT(finished_, ElementsAre(b));
  queue_->Return(first, absl::OkStatus(), now_, now_, finished_);
  EXPECT_THAT(finished_, ElementsAre(b));
  queue_->Return(second, absl::OkStatus(), now_, now_, finished_);
  EXPECT_THAT(finished_, ElementsAre(b, a));
}

TEST_F(BatchQueueTest, HigherPriorityGoesFirstAndEqualsInOrder) {
  Make({.max_batch_size = 1});
  const TaskPtr low = Put(1, -5);
  const TaskPtr first = Put(1, 0);
  const TaskPtr high = Put(1, 7);
  const TaskPtr second = Put(1, 0);
  EXPECT_THAT(Take(), ElementsAre(Part{high, 0, 1}));
  EXPECT_THAT(Take(), ElementsAre(Part{first, 0, 1}));
  EXPECT_THAT(Take(), ElementsAre(Part{second, 0, 1}));
  EXPECT_THAT(Take(), ElementsAre(Part{low, 0, 1}));
}

TEST_F(BatchQueueTest, RefusesMoreRequestsThanItsBoundWithAdvice) {
  Make({.max_requests = 2});
  Put(3);
  Put(3);
  const absl::Status status = queue_->CheckRoom(*NewTask(1));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("2 requests wait"));
  // 60 us of backlog; advice has a floor.
  EXPECT_EQ(RetryDelayOf(status), std::chrono::milliseconds(10));
  EXPECT_EQ(counts_.of(DropReason::kQueueRequests), 1);
  Take();
  EXPECT_FALSE(queue_->CheckRoom(*NewTask(1)).ok()) << "running ones count";
  Return();
  EXPECT_TRUE(queue_->CheckRoom(*NewTask(1)).ok());
}

TEST_F(BatchQueueTest, RefusesMoreBytesThanItsBound) {
  Make({.max_bytes = 250});
  Put(1);
  EXPECT_TRUE(queue_->CheckRoom(*NewTask(1)).ok());
  Put(1);
  const absl::Status full = queue_->CheckRoom(*NewTask(1));
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()),
              HasSubstr("200 of 250 bytes taken, 100 more"));
  EXPECT_TRUE(RetryDelayOf(full).has_value());

  const TaskPtr giant = NewTask(1);
  giant->bytes = 251;
  const absl::Status never = queue_->CheckRoom(*giant);
  EXPECT_EQ(never.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(RetryDelayOf(never).has_value()) << "waiting would not help";
  EXPECT_EQ(counts_.of(DropReason::kQueueBytes), 2);
}

TEST_F(BatchQueueTest, AnIncompleteBatchWaitsExactlyTheQueueDelay) {
  Make({.max_batch_size = 4, .max_queue_delay = microseconds(10)});
  Put(1);
  EXPECT_EQ(queue_->ReadyAt(), kStart + microseconds(10));
  now_ += microseconds(9);
  EXPECT_FALSE(queue_->Ready(now_));
  now_ += microseconds(1);
  EXPECT_TRUE(queue_->Ready(now_));
}

TEST_F(BatchQueueTest, AFullBatchDoesNotWait) {
  Make({.max_batch_size = 4, .max_queue_delay = microseconds(10)});
  Put(3);
  EXPECT_FALSE(queue_->Ready(now_));
  Put(1);
  EXPECT_TRUE(queue_->Ready(now_));
}

TEST_F(BatchQueueTest, TheQueueDelayNeverMakesATaskMissItsDeadline) {
  Make({.max_batch_size = 4, .max_queue_delay = microseconds(100)});
  Put(2, 0, kStart + microseconds(50));  // costs 20 us
  EXPECT_EQ(queue_->ReadyAt(), kStart + microseconds(30));
}

TEST_F(BatchQueueTest, ATaskExpiresAtItsDeadlineAndNotBefore) {
  Make({});
  const TaskPtr task = Put(2, 0, kStart + microseconds(10));
  EXPECT_EQ(queue_->NextExpiry(), kStart + microseconds(10));
  now_ += microseconds(9);
  queue_->DropExpired(now_, finished_);
  EXPECT_THAT(finished_, IsEmpty());
  now_ += microseconds(1);
  queue_->DropExpired(now_, finished_);
  EXPECT_THAT(finished_, ElementsAre(task));
  EXPECT_EQ(counts_.of(DropReason::kExpired), 1);
  EXPECT_FALSE(queue_->Ready(now_)) << "what expired must not run";
  EXPECT_EQ(queue_->Backlog(), Nanos(0));
  EXPECT_EQ(queue_->requests(), 0);
  EXPECT_EQ(queue_->NextExpiry(), kNever);
}

TEST_F(BatchQueueTest, ATaskThatRunsDoesNotExpire) {
  Make({});
  const TaskPtr task = Put(2, 0, kStart + microseconds(10));
  Take();
  EXPECT_EQ(queue_->NextExpiry(), kNever);
  now_ += microseconds(20);
  queue_->DropExpired(now_, finished_);
  EXPECT_THAT(finished_, IsEmpty());
  Return();
  EXPECT_THAT(finished_, ElementsAre(task));
  EXPECT_EQ(counts_.of(DropReason::kExpired), 0);
}

TEST_F(BatchQueueTest, TheUnstartedRowsOfASplitTaskAreDroppedTheOthersReturn) {
  Make({.max_batch_size = 2});
  const TaskPtr task = Put(5, 0, kStart + microseconds(10));
  Take();
  now_ += microseconds(10);
  queue_->DropExpired(now_, finished_);
  EXPECT_THAT(finished_, IsEmpty()) << "two rows still run";
  EXPECT_FALSE(queue_->Ready(now_));
  Return();
  EXPECT_THAT(finished_, ElementsAre(task));
  EXPECT_EQ(queue_->inference_count(), 2u);
  EXPECT_EQ(queue_->bytes(), 0u);
}

TEST_F(BatchQueueTest, WorkAheadCountsEqualAndHigherPriorities) {
  Make({});
  Put(1, -1);
  Put(2, 0);
  Put(4, 1);
  Admit(NewTask(8, 2));  // still being prepared
  EXPECT_EQ(queue_->CostAhead(-1), microseconds(150));
  EXPECT_EQ(queue_->CostAhead(0), microseconds(140));
  EXPECT_EQ(queue_->CostAhead(1), microseconds(120));
  EXPECT_EQ(queue_->CostAhead(3), microseconds(0));
  EXPECT_EQ(queue_->Backlog(), microseconds(150));
  Take();
  EXPECT_EQ(queue_->Backlog(), microseconds(80));
}

TEST_F(BatchQueueTest, FewerRowsThanAnnouncedLeaveNoBacklogBehind) {
  Make({});
  const TaskPtr task = NewTask(5);
  Admit(task);
  EXPECT_EQ(queue_->Backlog(), microseconds(50));
  queue_->Enqueue(task, std::vector<Row>(2), now_, finished_);
  EXPECT_EQ(queue_->Backlog(), microseconds(20));
  EXPECT_THAT(Take(), ElementsAre(Part{task, 0, 2}));
  EXPECT_EQ(queue_->Backlog(), Nanos(0));
}

TEST_F(BatchQueueTest, NoRowsFinishAtOnce) {
  Make({});
  const TaskPtr task = NewTask(5, 0, kStart + microseconds(10));
  Admit(task);
  queue_->Enqueue(task, {}, now_, finished_);
  EXPECT_THAT(finished_, ElementsAre(task));
  EXPECT_EQ(queue_->Backlog(), Nanos(0));
  EXPECT_EQ(queue_->NextExpiry(), kNever);
}

TEST_F(BatchQueueTest, DroppedBeforeItsRowsCameAndEnqueuedLateIsIgnored) {
  Make({});
  const TaskPtr task = NewTask(5);
  Admit(task);
  queue_->Drop(task, absl::CancelledError("x"), DropReason::kCancelled,
               finished_);
  EXPECT_THAT(finished_, ElementsAre(task));
  queue_->Enqueue(task, std::vector<Row>(5), now_, finished_);
  EXPECT_THAT(finished_, ElementsAre(task)) << "finished twice";
  EXPECT_FALSE(queue_->Ready(now_));
}

TEST_F(BatchQueueTest, DropAllCountsWhatItDropped) {
  Make({.max_batch_size = 1});
  Put(1);
  Put(1);
  Take();
  EXPECT_EQ(queue_->DropAll(absl::UnavailableError("bye"), finished_), 1);
  EXPECT_EQ(counts_.of(DropReason::kDraining), 1);
  Return();
  EXPECT_EQ(finished_.size(), 2u);
}

TEST_F(BatchQueueTest, AFailedBatchCountsNothing) {
  Make({});
  const TaskPtr task = Put(3);
  Take();
  Return(absl::InternalError("engine"));
  EXPECT_THAT(finished_, ElementsAre(task));
  EXPECT_EQ(queue_->inference_count(), 0u);
  EXPECT_EQ(queue_->execution_count(), 0u);
}

TEST_F(BatchQueueTest, QueueTimeIsReportedWhenTheLastRowStarts) {
  Make({.max_batch_size = 2});
  Put(3);
  now_ += microseconds(5);
  Take();
  EXPECT_THAT(counts_.queued, IsEmpty());
  now_ += microseconds(7);
  Take();
  EXPECT_THAT(counts_.queued, ElementsAre(microseconds(12)));
}

TEST(QueueOptionsTest, ValidateNamesTheField) {
  EXPECT_TRUE(QueueOptions{}.Validate().ok());
  EXPECT_EQ(FieldOf(QueueOptions{.max_batch_size = 0}.Validate()),
            "max_batch_size");
  EXPECT_EQ(FieldOf(QueueOptions{.max_requests = 0}.Validate()),
            "max_requests");
  EXPECT_EQ(FieldOf(QueueOptions{.max_bytes = 0}.Validate()), "max_bytes");
  EXPECT_EQ(FieldOf(QueueOptions{.max_queue_delay = Nanos(-1)}.Validate()),
            "max_queue_delay");
}

TEST(DropReasonTest, EveryReasonHasItsOwnName) {
  std::vector<std::string> names;
  for (int i = 0; i < kDropReasons; ++i) {
    names.emplace_back(DropReasonName(static_cast<DropReason>(i)));
  }
  EXPECT_THAT(names,
              ElementsAre("queue_requests", "queue_bytes", "predicted_late",
                          "expired", "cancelled", "draining"));
}

}  // namespace
}  // namespace tern::server
