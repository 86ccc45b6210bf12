#include "server/batching/batcher.h"

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/status_details.h"
#include "tests/server/batching/gate.h"
#include "tests/testing/fake_clock.h"

namespace tern::server {
namespace {

using absl::StatusCode;
using std::chrono::microseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// One caller with its pictures; picture i is the single byte first + i.
struct Caller {
  std::shared_ptr<Task> task = std::make_shared<Task>();
  std::vector<std::uint8_t> pixels;
  std::vector<float> logits;
  TaskOutcome outcome;
  Gate done;

  Caller(int rows, std::uint8_t first) : pixels(rows), logits(rows, -1.0F) {
    for (int i = 0; i < rows; ++i) pixels[i] = first + i;
    task->max_rows = rows;
    task->bytes = 10;
    task->cost_per_row = microseconds(10);
    task->done = [this](TaskOutcome o) {
      EXPECT_FALSE(done.IsOpen()) << "done was called twice";
      outcome = std::move(o);
      done.Open();
    };
  }
  std::vector<Row> Rows() {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      rows.push_back(
          {absl::MakeConstSpan(&pixels[i], 1), absl::MakeSpan(&logits[i], 1)});
    }
    return rows;
  }
  StatusCode Wait() {
    done.Wait();
    return outcome.status.code();
  }
  // Each picture was answered by what it holds.
  void ExpectAnswered() {
    EXPECT_EQ(Wait(), StatusCode::kOk) << outcome.status;
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      EXPECT_EQ(logits[i], float(pixels[i]));
      EXPECT_TRUE(outcome.rows[i].status.ok());
    }
  }
};

class BatcherTest : public ::testing::Test {
 protected:
  void Start(int executors = 1) {
    batcher_ =
        std::make_unique<Batcher>(BatcherOptions{executors}, &clock_,
                                  std::make_unique<RoundRobinScheduler>());
    plug_queue_ = batcher_->AddQueue(
        {},
        [this](int, absl::Span<const Row>) {
          plugged_.Open();
          release_.Wait();
          return absl::OkStatus();
        },
        nullptr);
  }
  ~BatcherTest() override { release_.Open(); }

  QueueId AddEcho(const QueueOptions& options) {
    return batcher_->AddQueue(
        options,
        [this](int, absl::Span<const Row> rows) {
          std::vector<int> batch;
          for (const Row& row : rows) {
            row.logits[0] = row.pixels[0];
            batch.push_back(row.pixels[0]);
          }
          MutexLock lock(&mu_);
          batches_.push_back(batch);
          return absl::OkStatus();
        },
        nullptr);
  }

  std::unique_ptr<Caller> Submit(QueueId queue, int rows, std::uint8_t first,
                                 int priority = 0,
                                 TimePoint deadline = kNever) {
    auto caller = std::make_unique<Caller>(rows, first);
    caller->task->priority = priority;
    caller->task->deadline = deadline;
    const absl::Status status = batcher_->Admit(queue, caller->task);
    EXPECT_TRUE(status.ok()) << status;
    if (status.ok()) batcher_->Enqueue(caller->task, caller->Rows());
    return caller;
  }

  absl::Status TryAdmit(QueueId queue, Caller& caller, TimePoint deadline,
                        int priority = 0) {
    caller.task->deadline = deadline;
    caller.task->priority = priority;
    return batcher_->Admit(queue, caller.task);
  }

  // Keeps one executor busy until Release.
  void Plug() {
    plug_ = Submit(plug_queue_, 1, 0);
    plugged_.Wait();
  }
  void Release() { release_.Open(); }

  std::vector<std::vector<int>> batches() {
    MutexLock lock(&mu_);
    return batches_;
  }

  FakeClock clock_;
  Gate plugged_, release_;
  Mutex mu_;
  std::vector<std::vector<int>> batches_ ABSL_GUARDED_BY(mu_);
  // Callers outlive the batcher: it may still call `done`.
  std::unique_ptr<Caller> plug_;
  QueueId plug_queue_ = 0;
  std::unique_ptr<Batcher> batcher_;
};

TEST_F(BatcherTest, AFreeExecutorTakesWhatIsQueuedWithoutWaiting) {
  Start();
  const QueueId queue = AddEcho({});
  auto caller = Submit(queue, 3, 10);
  caller->ExpectAnswered();  // the clock never moves
  EXPECT_EQ(caller->outcome.rows[1].batch_size, 3);
  const QueueStats stats = batcher_->Stats(queue);
  EXPECT_EQ(stats.inference_count, 3u);
  EXPECT_EQ(stats.execution_count, 1u);
}

TEST_F(BatcherTest, WhatArrivesWhileExecutorsAreBusyRunsTogether) {
  Start();
  const QueueId queue = AddEcho({.max_batch_size = 8});
  Plug();
  auto a = Submit(queue, 1, 1);
  auto b = Submit(queue, 2, 2);
  auto c = Submit(queue, 1, 4);
  EXPECT_EQ(batcher_->Stats(queue).requests, 3);
  EXPECT_EQ(batcher_->Stats(queue).bytes, 30u);
  Release();
  for (Caller* caller : {a.get(), b.get(), c.get()}) {
    caller->ExpectAnswered();
    EXPECT_EQ(caller->outcome.rows[0].batch_size, 4);
  }
  EXPECT_THAT(batches(), ElementsAre(ElementsAre(1, 2, 3, 4)));
}

TEST_F(BatcherTest, AnIncompleteBatchLeavesAfterTheQueueDelay) {
  Start();
  const QueueId queue =
      AddEcho({.max_batch_size = 4, .max_queue_delay = microseconds(10)});
  auto a = Submit(queue, 1, 1);
  clock_.Advance(microseconds(9));
  EXPECT_THAT(batches(), IsEmpty());
  auto b = Submit(queue, 1, 2);
  clock_.Advance(microseconds(1));
  a->ExpectAnswered();
  b->ExpectAnswered();
  EXPECT_THAT(batches(), ElementsAre(ElementsAre(1, 2)));
  EXPECT_EQ(a->outcome.queue_time, microseconds(10));
  EXPECT_EQ(b->outcome.queue_time, microseconds(1));
}

TEST_F(BatcherTest, ATaskExpiresByTimerThoughNoExecutorIsFree) {
  Start();
  const QueueId queue = AddEcho({});
  Plug();
  // Predicted to be done in 20 us, and then the executor does not come back.
  auto late = Submit(queue, 1, 1, 0, clock_.Now() + microseconds(20));
  clock_.Advance(microseconds(19));
  EXPECT_FALSE(late->done.IsOpen());
  clock_.Advance(microseconds(1));
  EXPECT_EQ(late->Wait(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(late->outcome.rows[0].batch_size, 0);
  Release();
  Submit(queue, 1, 2)->ExpectAnswered();
  EXPECT_THAT(batches(), ElementsAre(ElementsAre(2))) << "it ran all the same";
}

TEST_F(BatcherTest, ACancelledTaskEndsAtOnceAndNeverRuns) {
  Start();
  const QueueId queue = AddEcho({});
  Plug();
  auto caller = Submit(queue, 2, 1);
  batcher_->Cancel(caller->task);
  EXPECT_EQ(caller->Wait(), StatusCode::kCancelled);
  batcher_->Cancel(caller->task);  // no second call of done
  Release();
  Submit(queue, 1, 9)->ExpectAnswered();
  EXPECT_THAT(batches(), ElementsAre(ElementsAre(9)));
}

TEST_F(BatcherTest, CancellingWhatRunsOrIsOverChangesNothing) {
  Start();
  Plug();
  batcher_->Cancel(plug_->task);
  EXPECT_FALSE(plug_->done.IsOpen());
  Release();
  EXPECT_EQ(plug_->Wait(), StatusCode::kOk);
  batcher_->Cancel(plug_->task);
}

TEST_F(BatcherTest, AFullQueueRefusesAtOnceWithAdvice) {
  Start();
  const QueueId queue = AddEcho({.max_requests = 1});
  Plug();
  auto first = Submit(queue, 1, 1);
  Caller second(1, 2);
  const absl::Status status = TryAdmit(queue, second, kNever);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryDelayOf(status).has_value());
  Release();
  first->ExpectAnswered();
  EXPECT_FALSE(second.done.IsOpen());
}

TEST_F(BatcherTest, RefusesWhatThePredictedCostSaysIsLate) {
  Start();
  const QueueId queue = AddEcho({});
  Plug();                            // 10 us
  auto ahead = Submit(queue, 3, 1);  // 30 us
  Caller a(1, 9);
  const TimePoint now = clock_.Now();
  const absl::Status status = TryAdmit(queue, a, now + microseconds(49));
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("in 49 us"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("done in 50 us"));
  EXPECT_TRUE(TryAdmit(queue, a, now + microseconds(50)).ok());
  // What runs is credited with the time that it has run.
  clock_.Advance(microseconds(4));
  Caller b(1, 9);
  EXPECT_FALSE(TryAdmit(queue, b, now + microseconds(59)).ok());
  EXPECT_TRUE(TryAdmit(queue, b, now + microseconds(60)).ok());
  batcher_->Enqueue(a.task, {});
  batcher_->Enqueue(b.task, {});
  Release();
  ahead->Wait();
}

TEST_F(BatcherTest, PredictionIgnoresLowerPriorityWorkOfTheSameModel) {
  Start();
  const QueueId queue = AddEcho({});
  Plug();
  auto low = Submit(queue, 5, 1, -1);
  Caller urgent(1, 9);
  const TimePoint now = clock_.Now();
  EXPECT_FALSE(TryAdmit(queue, urgent, now + microseconds(19)).ok());
  EXPECT_TRUE(TryAdmit(queue, urgent, now + microseconds(20)).ok());
  batcher_->Enqueue(urgent.task, {});
  Release();
  low->Wait();
}

TEST_F(BatcherTest, PredictionCountsOtherModelsOnlyForTheirTurns) {
  Start();
  const QueueId mine = AddEcho({});
  const QueueId other = AddEcho({});
  Plug();
  auto backlog = Submit(other, 50, 1);  // 500 us, of which 10 come first
  Caller caller(1, 9);
  const TimePoint now = clock_.Now();
  EXPECT_FALSE(TryAdmit(mine, caller, now + microseconds(29)).ok());
  EXPECT_TRUE(TryAdmit(mine, caller, now + microseconds(30)).ok());
  batcher_->Enqueue(caller.task, {});
  Release();
  backlog->Wait();
}

TEST_F(BatcherTest, PredictionKnowsAboutFreeExecutors) {
  Start(2);
  const QueueId queue = AddEcho({.max_batch_size = 1});
  Plug();
  Caller one(1, 1);
  const TimePoint now = clock_.Now();
  EXPECT_TRUE(TryAdmit(queue, one, now + microseconds(10)).ok());
  // Five rows in batches of one: 10 us of `one`, then the plug's 10 us on the
  // other executor and all of it shared by two: (10 + 10 + 40) / 2 + 10.
  Caller five(5, 1);
  EXPECT_FALSE(TryAdmit(queue, five, now + microseconds(39)).ok());
  EXPECT_TRUE(TryAdmit(queue, five, now + microseconds(40)).ok());
  batcher_->Enqueue(one.task, {});
  batcher_->Enqueue(five.task, {});
}

TEST_F(BatcherTest, RefusesADeadlineThatHasPassed) {
  Start();
  const QueueId queue = AddEcho({});
  Caller caller(1, 1);
  caller.task->cost_per_row = Nanos(0);
  EXPECT_EQ(TryAdmit(queue, caller, clock_.Now()).code(),
            StatusCode::kDeadlineExceeded);
}

TEST_F(BatcherTest, ModelsTakeTurns) {
  Start();
  const QueueId a = AddEcho({.max_batch_size = 1});
  const QueueId b = AddEcho({.max_batch_size = 1});
  Plug();
  auto many = Submit(a, 4, 10);
  auto few = Submit(b, 2, 20);
  Release();
  many->ExpectAnswered();
  few->ExpectAnswered();
  EXPECT_THAT(batches(),
              ElementsAre(ElementsAre(10), ElementsAre(20), ElementsAre(11),
                          ElementsAre(21), ElementsAre(12), ElementsAre(13)));
}

TEST_F(BatcherTest, ALargeRequestIsSplitAndPutTogether) {
  Start();
  const QueueId queue = AddEcho({.max_batch_size = 4});
  Plug();
  auto large = Submit(queue, 10, 100);
  auto small = Submit(queue, 1, 7);
  Release();
  large->ExpectAnswered();
  small->ExpectAnswered();
  EXPECT_EQ(large->outcome.rows[0].batch_size, 4);
  EXPECT_EQ(large->outcome.rows[9].batch_size, 3);
  EXPECT_THAT(batches(), ElementsAre(ElementsAre(100, 101, 102, 103),
                                     ElementsAre(104, 105, 106, 107),
                                     ElementsAre(108, 109, 7)));
}

TEST_F(BatcherTest, AFailedBatchFailsItsRowsAndNoOthers) {
  Start();
  const QueueId queue = batcher_->AddQueue(
      {.max_batch_size = 2},
      [](int, absl::Span<const Row> rows) {
        if (rows[0].pixels[0] == 1) return absl::InternalError("engine");
        return absl::OkStatus();
      },
      nullptr);
  auto caller = Submit(queue, 4, 1);
  EXPECT_EQ(caller->Wait(), StatusCode::kOk);
  std::vector<StatusCode> codes;
  for (const RowOutcome& row : caller->outcome.rows) {
    codes.push_back(row.status.code());
  }
  EXPECT_THAT(codes, ElementsAre(StatusCode::kInternal, StatusCode::kInternal,
                                 StatusCode::kOk, StatusCode::kOk));
}

TEST_F(BatcherTest, ATaskBeingPreparedEndsOnlyWhenItsWorkerIsDone) {
  Start();
  const QueueId queue = AddEcho({});
  Caller caller(2, 1);
  ASSERT_TRUE(TryAdmit(queue, caller, kNever).ok());
  EXPECT_TRUE(batcher_->BeginPrepare(caller.task));
  EXPECT_FALSE(batcher_->Dropped(caller.task));
  batcher_->Cancel(caller.task);
  EXPECT_TRUE(batcher_->Dropped(caller.task));
  EXPECT_FALSE(caller.done.IsOpen());
  batcher_->Enqueue(caller.task, caller.Rows());
  EXPECT_EQ(caller.Wait(), StatusCode::kCancelled);
  EXPECT_THAT(batches(), IsEmpty());
}

TEST_F(BatcherTest, ATaskThatExpiredBeforeItsTurnIsNotPrepared) {
  Start();
  const QueueId queue = AddEcho({});
  Caller caller(1, 1);
  ASSERT_TRUE(TryAdmit(queue, caller, clock_.Now() + microseconds(20)).ok());
  clock_.Advance(microseconds(20));
  EXPECT_EQ(caller.Wait(), StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(batcher_->BeginPrepare(caller.task));
}

TEST_F(BatcherTest, DoneMayAskAgain) {
  Start();
  const QueueId queue = AddEcho({});
  Caller second(1, 2);
  Caller first(1, 1);
  first.task->done = [&](TaskOutcome) {
    ASSERT_TRUE(batcher_->Admit(queue, second.task).ok());
    batcher_->Enqueue(second.task, second.Rows());
  };
  ASSERT_TRUE(TryAdmit(queue, first, kNever).ok());
  batcher_->Enqueue(first.task, first.Rows());
  second.ExpectAnswered();
}

TEST_F(BatcherTest, ARemovedQueueIsNotFound) {
  Start();
  const QueueId queue = AddEcho({});
  Submit(queue, 1, 1)->ExpectAnswered();
  batcher_->RemoveQueue(queue);
  Caller caller(1, 1);
  EXPECT_EQ(TryAdmit(queue, caller, kNever).code(), StatusCode::kNotFound);
  EXPECT_EQ(batcher_->Stats(queue).inference_count, 0u);
}

TEST_F(BatcherTest, DrainFinishesWhatWasAdmittedAndRefusesTheRest) {
  Start();
  const QueueId queue = AddEcho({});
  Plug();
  auto queued = Submit(queue, 2, 1);
  int dropped = -1;
  std::thread drain([&] { dropped = batcher_->Drain(kNever); });
  // Drain refuses before it waits; until it does, admit and take back.
  for (;;) {
    Caller probe(1, 1);
    const absl::Status status = TryAdmit(queue, probe, kNever);
    if (!status.ok()) {
      EXPECT_EQ(status.code(), StatusCode::kUnavailable);
      break;
    }
    batcher_->Cancel(probe.task);
    probe.Wait();
  }
  Release();
  drain.join();
  EXPECT_EQ(dropped, 0);
  EXPECT_TRUE(queued->done.IsOpen()) << "Drain returned before done";
  queued->ExpectAnswered();
}

TEST_F(BatcherTest, DrainDropsAtItsDeadlineWhatHasNotStarted) {
  Start();
  const QueueId queue = AddEcho({});
  Plug();
  auto queued = Submit(queue, 2, 1);
  int dropped = -1;
  std::thread drain(
      [&] { dropped = batcher_->Drain(clock_.Now() + microseconds(10)); });
  clock_.AwaitWaiters(2);  // the timer, and Drain
  clock_.Advance(microseconds(10));
  EXPECT_EQ(queued->Wait(), StatusCode::kUnavailable);
  Release();
  drain.join();
  EXPECT_EQ(dropped, 1);
  EXPECT_EQ(plug_->Wait(), StatusCode::kOk);
  EXPECT_THAT(batches(), IsEmpty());
}

TEST_F(BatcherTest, DestructionAnswersEveryone) {
  Start();
  const QueueId queue = AddEcho({});
  Plug();
  auto queued = Submit(queue, 2, 1);
  std::thread stop([&] { batcher_.reset(); });
  EXPECT_EQ(queued->Wait(), StatusCode::kUnavailable);
  Release();
  stop.join();
  EXPECT_EQ(plug_->Wait(), StatusCode::kOk);
}

}  // namespace
}  // namespace tern::server
