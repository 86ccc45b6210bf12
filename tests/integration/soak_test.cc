// A server under everything at once, for long: calls, calls given up, new
// versions put in and taken out, nonsense, scrapes. Each answer is right to the
// last bit, and what the process holds stays level.
//
// Takes TERN_SOAK_SECONDS, 60 where unset.

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"

namespace tern::server {
namespace {

using testing::kLenet5;

constexpr int kRounds = 10;

std::chrono::milliseconds RoundTime() {
  int seconds = 60;
  if (const char* text = std::getenv("TERN_SOAK_SECONDS"); text != nullptr) {
    EXPECT_TRUE(absl::SimpleAtoi(text, &seconds) && seconds > 0)
        << "TERN_SOAK_SECONDS: want a positive number, got '" << text << "'";
  }
  return std::chrono::milliseconds(seconds * 1000 / kRounds);
}

// What this process holds.
struct Holdings {
  std::ptrdiff_t heap_bytes;
  std::ptrdiff_t descriptors;
  std::ptrdiff_t threads;
};

std::ptrdiff_t EntriesOf(const char* directory) {
  return std::distance(std::filesystem::directory_iterator(directory), {});
}

Holdings Measure() {
  // Where a block lies, in the heap or in pages of its own, changes with time.
  const struct mallinfo2 memory = mallinfo2();
  return {static_cast<std::ptrdiff_t>(memory.uordblks + memory.hblkhd),
          EntriesOf("/proc/self/fd"), EntriesOf("/proc/self/task")};
}

// A request and the logits that each version of its model owes.
struct Question {
  v1::ClassifyRequest request;
  std::vector<float> odd, even;
};

class SoakTest : public ServerTest {
 protected:
  SoakTest() {
    PutModel("steady", 1, OddFile());
    PutModel("changing", 1, OddFile());
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      Question& q = questions_.emplace_back();
      q.request = RawRequest("", kLenet5, 10 * seed,
                             static_cast<int>(seed % 3) * 4 + 1);
      q.request.set_return_logits(true);
      q.odd = OfflineLogits(OddFile(), q.request);
      q.even = OfflineLogits(EvenFile(), q.request);
    }
  }

  static std::string OddFile() { return ModelFileBytes(1, kLenet5); }
  static std::string EvenFile() { return ModelFileBytes(2, kLenet5); }

  // Runs each of `jobs` again and again on a thread of its own for a round.
  static void RunRound(const std::vector<std::function<void(unsigned)>>& jobs) {
    const auto end = std::chrono::steady_clock::now() + RoundTime();
    std::vector<std::thread> threads;
    for (const auto& job : jobs) {
      threads.emplace_back([&job, end] {
        unsigned turn = 0;
        do {
          job(turn++);
        } while (std::chrono::steady_clock::now() < end && !HasFailure());
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  void Ask(const std::string& model, unsigned turn) {
    const Question& q = questions_[turn % questions_.size()];
    v1::ClassifyRequest request = q.request;
    request.mutable_model()->set_name(model);
    v1::ClassifyResponse response;
    const grpc::Status status = Classify(request, &response);
    ASSERT_TRUE(status.ok()) << model << ": " << status.error_message();
    const bool odd = response.answered_by().version() % 2 == 1;
    ASSERT_TRUE(SameBits(AllLogits(response), odd ? q.odd : q.even))
        << model << " version " << response.answered_by().version();
    ++answered_;
  }

  // Executors' buffers grow up to the largest batch, which may be long in
  // coming by chance.
  void FillExecutors() {
    v1::ClassifyRequest request =
        RawRequest("steady", kLenet5, 1, options_.max_batch_size);
    std::vector<std::thread> threads;
    threads.reserve(8);
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int call = 0; call < 8; ++call) {
          v1::ClassifyResponse response;
          EXPECT_TRUE(Classify(request, &response).ok());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  // Anything may come of it.
  void GiveUp(unsigned turn) {
    const Question& q = questions_[turn % questions_.size()];
    v1::ClassifyRequest request = q.request;
    request.mutable_model()->set_name("steady");
    if (turn % 2 == 0) {
      v1::ClassifyResponse response;
      static_cast<void>(Classify(request, &response, /*timeout_ms=*/1));
    } else {
      BackgroundCall call(inference_.get(), request);
      std::this_thread::sleep_for(std::chrono::microseconds(turn % 997));
    }
    ++given_up_;
  }

  // The next version comes, one before the last goes, an upload breaks off.
  void ChangeVersions() {
    const std::uint64_t next = version_ + 1;
    const std::string file = next % 2 == 1 ? OddFile() : EvenFile();
    v1::UploadResponse uploaded;
    grpc::Status status = Upload("changing", next, file, &uploaded);
    ASSERT_TRUE(status.ok()) << status.error_message();
    status = Delete("changing", version_);
    ASSERT_TRUE(status.ok()) << status.error_message();
    version_ = next;
    EXPECT_EQ(Upload("broken", 1, file, &uploaded,
                     {.chunk_bytes = 1024, .abort_after_chunks = 3})
                  .error_code(),
              grpc::CANCELLED);
  }

  void TalkNonsense(unsigned turn) {
    v1::ClassifyRequest request = questions_[0].request;
    v1::ClassifyResponse response;
    request.mutable_model()->set_name("absent");
    EXPECT_EQ(Classify(request, &response).error_code(), grpc::NOT_FOUND);
    request.mutable_model()->set_name("steady");
    request.mutable_images(0)->mutable_raw()->set_height(turn % 5);
    ASSERT_TRUE(Classify(request, &response).ok());
    EXPECT_EQ(response.results(0).status().code(), grpc::INVALID_ARGUMENT);
    HttpExchangeBytes(server_->http_address(),
                      std::string(turn % 3000 + 1, 'X') +
                          " / HTTP/1.1\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(HttpGet("/absent"), ::testing::HasSubstr(" 404 "));
  }

  void Scrape() {
    EXPECT_THAT(Metrics(), ::testing::Not(::testing::IsEmpty()));
    EXPECT_EQ(Health("steady"), grpc::health::v1::HealthCheckResponse::SERVING);
    NewChannel()->WaitForConnected(std::chrono::system_clock::now() +
                                   std::chrono::seconds(10));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }

  std::vector<Question> questions_;
  std::uint64_t version_ = 1;
  std::atomic<int> answered_ = 0, given_up_ = 0;
};

TEST_F(SoakTest, AnswersStayRightAndNothingGrows) {
  StartServer();
  FillExecutors();
  const auto ask = [this](const char* model) {
    return [this, model](unsigned turn) { Ask(model, turn); };
  };
  const std::vector<std::function<void(unsigned)>> jobs = {
      ask("steady"),
      ask("steady"),
      ask("changing"),
      ask("changing"),
      [this](unsigned turn) { GiveUp(turn); },
      [this](unsigned) { ChangeVersions(); },
      [this](unsigned turn) { TalkNonsense(turn); },
      [this](unsigned) { Scrape(); }};
  std::vector<Holdings> held;
  for (int round = 0; round < kRounds; ++round) {
    RunRound(jobs);
    ASSERT_FALSE(HasFailure()) << "in round " << round;
    // Calls that were given up end a little later.
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    held.push_back(Measure());
    std::printf("round %d: heap %td KiB, %td descriptors, %td threads\n", round,
                held.back().heap_bytes / 1024, held.back().descriptors,
                held.back().threads);
  }
  std::printf("%d answered, %d given up, %d versions\n", answered_.load(),
              given_up_.load(), static_cast<int>(version_));

  // The first rounds fill pools and caches.
  const auto most = [&held](std::ptrdiff_t Holdings::*what, int begin,
                            int end) {
    std::ptrdiff_t value = 0;
    for (int i = begin; i < end; ++i) value = std::max(value, held[i].*what);
    return value;
  };
  const int half = kRounds / 2;
  EXPECT_LE(most(&Holdings::heap_bytes, half, kRounds),
            most(&Holdings::heap_bytes, 1, half) + (512 << 10));
  EXPECT_LE(most(&Holdings::descriptors, half, kRounds),
            most(&Holdings::descriptors, 1, half) + 4);
  EXPECT_LE(most(&Holdings::threads, half, kRounds),
            most(&Holdings::threads, 1, half) + 2);
  EXPECT_TRUE(IncomingIsEmpty());
  EXPECT_EQ(ListModels("changing").size(), 1u);
}

}  // namespace
}  // namespace tern::server
