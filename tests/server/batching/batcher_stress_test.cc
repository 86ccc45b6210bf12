// Many callers, models and executors at once, with deadlines, cancellations
// and a clock that jumps: each caller gets its own rows back, once.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/batching/batcher.h"
#include "tests/server/batching/gate.h"
#include "tests/testing/fake_clock.h"

namespace tern::server {
namespace {

using std::chrono::microseconds;

constexpr int kExecutors = 3;
constexpr int kQueues = 3;
constexpr int kMaxBatch = 7;
constexpr int kCallers = 4;
constexpr int kRequests = 1500;

// A row's pixels name it; its logits must name it too.
struct RowName {
  std::uint32_t request = 0;
  std::uint32_t row = 0;
};

struct Request {
  std::shared_ptr<Task> task = std::make_shared<Task>();
  std::vector<std::array<std::uint8_t, sizeof(RowName)>> pixels;
  std::vector<std::array<float, 2>> logits;
  TaskOutcome outcome;
  std::atomic<int> calls{0};
  Gate done;

  Request(std::uint32_t id, int rows) : pixels(rows), logits(rows, {-1, -1}) {
    for (int i = 0; i < rows; ++i) {
      const RowName name{id, static_cast<std::uint32_t>(i)};
      std::memcpy(pixels[i].data(), &name, sizeof(name));
    }
    task->max_rows = rows;
    task->bytes = 10;
    task->done = [this](TaskOutcome o) {
      outcome = std::move(o);
      ++calls;
      done.Open();
    };
  }
  std::vector<Row> Rows() {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      rows.push_back(
          {absl::MakeConstSpan(pixels[i]), absl::MakeSpan(logits[i])});
    }
    return rows;
  }
};

class Stress {
 public:
  Stress() {
    for (int i = 0; i < kQueues; ++i) {
      QueueOptions options{.max_batch_size = kMaxBatch, .max_requests = 8};
      options.max_queue_delay = microseconds(i * 3);
      queues_.push_back(batcher_.AddQueue(
          options,
          [this](int executor, absl::Span<const Row> rows) {
            return Run(executor, rows);
          },
          nullptr));
    }
  }

  void CallerLoop(int caller) {
    std::mt19937 random(caller);
    auto pick = [&](int n) { return static_cast<int>(random() % n); };
    for (int i = 0; i < kRequests; ++i) {
      const int rows = 1 + pick(20);
      Request request(caller * kRequests + i, rows);
      request.task->priority = pick(3);
      request.task->cost_per_row = Nanos(pick(100));
      if (pick(3) == 0) {
        request.task->deadline = clock_.Now() + microseconds(1 + pick(20));
      }
      if (!batcher_.Admit(queues_[pick(kQueues)], request.task).ok()) {
        ++refused_;
        EXPECT_EQ(request.calls, 0);
        continue;
      }
      const bool prepare = pick(2) == 0;
      if (!prepare || batcher_.BeginPrepare(request.task)) {
        batcher_.Enqueue(request.task, request.Rows());
      }
      if (pick(4) == 0) batcher_.Cancel(request.task);
      request.done.Wait();
      Check(request, caller * kRequests + i);
    }
  }

  void Check(const Request& request, std::uint32_t id) {
    EXPECT_EQ(request.calls, 1);
    const bool ok = request.outcome.status.ok();
    ++(ok ? answered_ : dropped_);
    EXPECT_TRUE(!ok || request.outcome.rows.size() == request.pixels.size());
    for (std::size_t i = 0; i < request.outcome.rows.size(); ++i) {
      const RowOutcome& row = request.outcome.rows[i];
      const bool ran = row.batch_size > 0;
      EXPECT_EQ(ran, row.status.ok());
      EXPECT_TRUE(ran || !ok);
      EXPECT_LE(row.batch_size, kMaxBatch);
      EXPECT_EQ(request.logits[i][0], ran ? float(id) : -1.0F);
      EXPECT_EQ(request.logits[i][1], ran ? float(i) : -1.0F);
      rows_run_ += int(ran);
    }
  }

  void Finish() {
    EXPECT_EQ(batcher_.Drain(kNever), 0);
    std::uint64_t counted = 0;
    for (const QueueId queue : queues_) {
      const QueueStats stats = batcher_.Stats(queue);
      EXPECT_EQ(stats.requests, 0);
      EXPECT_EQ(stats.bytes, 0u);
      counted += stats.inference_count;
      batcher_.RemoveQueue(queue);
    }
    EXPECT_EQ(counted, rows_run_.load());
    EXPECT_EQ(answered_ + dropped_ + refused_, kCallers * kRequests);
    EXPECT_GT(answered_, 0);
    EXPECT_GT(dropped_, 0);
  }

  FakeClock& clock() { return clock_; }

 private:
  absl::Status Run(int executor, absl::Span<const Row> rows) {
    EXPECT_FALSE(busy_[executor].exchange(true)) << "two batches at once";
    EXPECT_LE(rows.size(), std::size_t(kMaxBatch));
    for (const Row& row : rows) {
      RowName name;
      std::memcpy(&name, row.pixels.data(), sizeof(name));
      row.logits[0] = float(name.request);
      row.logits[1] = float(name.row);
    }
    busy_[executor] = false;
    return absl::OkStatus();
  }

  FakeClock clock_;
  std::array<std::atomic<bool>, kExecutors> busy_{};
  std::atomic<int> answered_{0}, dropped_{0}, refused_{0};
  std::atomic<std::uint64_t> rows_run_{0};
  std::vector<QueueId> queues_;
  Batcher batcher_{BatcherOptions{kExecutors}, &clock_,
                   std::make_unique<RoundRobinScheduler>()};
};

TEST(BatcherStress, EveryCallerGetsItsOwnRowsExactlyOnce) {
  Stress stress;
  std::vector<std::thread> callers;
  callers.reserve(kCallers);
  std::atomic<int> running{kCallers};
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&, i] {
      stress.CallerLoop(i);
      --running;
    });
  }
  while (running > 0) {
    stress.clock().Advance(microseconds(1));
    std::this_thread::yield();
  }
  for (std::thread& caller : callers) caller.join();
  stress.Finish();
}

}  // namespace
}  // namespace tern::server
