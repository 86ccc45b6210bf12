#include "server/metrics.h"

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/exposition.h"

namespace tern::server {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using tern::testing::Exposition;
using tern::testing::ParseExposition;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;

Exposition Scrape(const Metrics& metrics) {
  std::string error;
  const Exposition exposition = ParseExposition(metrics.Serialize(), &error);
  EXPECT_EQ(error, "");
  return exposition;
}

TEST(MetricsTest, CallsAreCountedByMethodAndCode) {
  Metrics metrics({"1.2.3", "avx2"});
  metrics.OnCallDone("S.A", absl::StatusCode::kOk, 0.001);
  metrics.OnCallDone("S.A", absl::StatusCode::kOk, 0.001);
  metrics.OnCallDone("S.A", absl::StatusCode::kNotFound, 10);
  metrics.OnCallDone("S.B", absl::StatusCode::kOk, 0.001);
  const Exposition now = Scrape(metrics);
  EXPECT_EQ(now.at(R"(tern_requests_total{code="OK",method="S.A"})"), 2);
  EXPECT_EQ(now.at(R"(tern_requests_total{code="NOT_FOUND",method="S.A"})"), 1);
  EXPECT_EQ(now.at(R"(tern_requests_total{code="OK",method="S.B"})"), 1);
  EXPECT_EQ(now.at(R"(tern_request_seconds_count{method="S.A"})"), 3);
  EXPECT_NEAR(now.at(R"(tern_request_seconds_sum{method="S.A"})"), 10.002,
              1e-9);
  EXPECT_EQ(now.at(R"(tern_request_seconds_bucket{le="+Inf",method="S.A"})"),
            3);
}

TEST(MetricsTest, BuildInfoNamesVersionAndIsa) {
  Metrics metrics({"1.2.3", "avx2"});
  EXPECT_EQ(
      Scrape(metrics).at(R"(tern_build_info{isa="avx2",version="1.2.3"})"), 1);
}

TEST(MetricsTest, ResidentBytesAreThoseOfThisProcess) {
  Metrics metrics({"1", "x"});
  const double before = Scrape(metrics).at("tern_process_resident_bytes");
  EXPECT_GT(before, 1 << 20);
  const std::vector<char> touched(64 << 20, 1);
  EXPECT_GT(Scrape(metrics).at("tern_process_resident_bytes"),
            before + (60 << 20))
      << touched[0];
}

TEST(MetricsTest, ModelSeriesCountWhatHappens) {
  Metrics metrics({"1", "x"});
  const auto observer = metrics.ForModel("shoes", 3);
  observer->Executed(8, microseconds(500));
  observer->Executed(1, microseconds(100));
  observer->Queued(milliseconds(2));
  observer->Decoded(milliseconds(3));
  observer->Dropped(DropReason::kQueueRequests);
  observer->Dropped(DropReason::kExpired);
  observer->Dropped(DropReason::kExpired);
  const Exposition now = Scrape(metrics);
  const std::string model = R"(model="shoes")";
  const std::string version = R"(version="3")";
  const std::string both = "{" + model + "," + version + "}";
  EXPECT_EQ(now.at("tern_inferences_total" + both), 9);
  EXPECT_EQ(now.at("tern_executions_total" + both), 2);
  EXPECT_EQ(now.at("tern_inference_seconds_count" + both), 2);
  EXPECT_NEAR(now.at("tern_inference_seconds_sum" + both), 600e-6, 1e-12);
  EXPECT_EQ(now.at("tern_batch_size_sum" + both), 9);
  EXPECT_EQ(
      now.at(R"(tern_batch_size_bucket{le="1",)" + model + "," + version + "}"),
      1);
  EXPECT_EQ(now.at("tern_queue_seconds_count" + both), 1);
  EXPECT_NEAR(now.at("tern_decode_seconds_sum" + both), 3e-3, 1e-12);
  EXPECT_EQ(now.at("tern_dropped_requests_total{" + model +
                   R"(,reason="expired",)" + version + "}"),
            2);
  EXPECT_EQ(now.at("tern_dropped_requests_total{" + model +
                   R"(,reason="queue_requests",)" + version + "}"),
            1);
}

TEST(MetricsTest, SeriesLiveThroughReloadsAndGoWithTheVersion) {
  Metrics metrics({"1", "x"});
  const std::string series = R"(tern_inferences_total{model="m",version="1"})";
  metrics.ForModel("m", 1)->Executed(1, microseconds(1));
  EXPECT_EQ(Scrape(metrics).at(series), 1);
  auto reloaded = metrics.ForModel("m", 1);
  reloaded->Executed(1, microseconds(1));
  EXPECT_EQ(Scrape(metrics).at(series), 2);
  metrics.RemoveModel("m", 1);
  // Its last requests still count.
  reloaded->Executed(1, microseconds(1));
  reloaded.reset();
  EXPECT_THAT(Scrape(metrics), Not(Contains(Key(series))));
  metrics.RemoveModel("m", 1);
  metrics.RemoveModel("unknown", 1);
}

TEST(MetricsTest, AVersionThatComesBackWhileTheOldOneDrainsIsNotLost) {
  Metrics metrics({"1", "x"});
  auto old_one = metrics.ForModel("m", 1);
  metrics.RemoveModel("m", 1);
  auto new_one = metrics.ForModel("m", 1);
  old_one.reset();
  new_one->Executed(1, microseconds(1));
  EXPECT_EQ(
      Scrape(metrics).at(R"(tern_inferences_total{model="m",version="1"})"), 1);
}

TEST(MetricsTest, GaugesShowTheSourceAtTheScrape) {
  Metrics metrics({"1", "x"});
  GaugeValues values;
  values.ready = true;
  values.memory.arena_bytes = 4096;
  values.models.resize(2);
  values.models[0].model = "m";
  values.models[0].version = 1;
  values.models[0].state = ModelState::kReady;
  values.models[0].digest = "ab";
  values.models[0].packed_bytes = 100;
  values.models[0].float32_bytes = 1600;
  values.models[0].queue.requests = 5;
  values.models[0].queue.bytes = 500;
  values.models[1].model = "m";
  values.models[1].version = 2;
  values.models[1].state = ModelState::kFailed;
  metrics.SetGaugeSource([&values] { return values; });
  Exposition now = Scrape(metrics);
  EXPECT_EQ(now.at("tern_ready"), 1);
  EXPECT_EQ(now.at("tern_arena_bytes"), 4096);
  EXPECT_EQ(now.at(R"(tern_model_state{model="m",state="READY",version="1"})"),
            1);
  EXPECT_EQ(now.at(R"(tern_model_state{model="m",state="FAILED",version="1"})"),
            0);
  EXPECT_EQ(now.at(R"(tern_model_state{model="m",state="FAILED",version="2"})"),
            1);
  EXPECT_EQ(now.at(R"(tern_model_packed_bytes{model="m",version="1"})"), 100);
  EXPECT_EQ(now.at(R"(tern_model_float32_bytes{model="m",version="1"})"), 1600);
  EXPECT_EQ(now.at(R"(tern_queue_requests{model="m",version="1"})"), 5);
  EXPECT_EQ(now.at(R"(tern_queue_bytes{model="m",version="1"})"), 500);
  EXPECT_EQ(now.at(R"(tern_model_info{digest="ab",model="m",version="1"})"), 1);
  EXPECT_THAT(
      now,
      Not(Contains(Key(R"(tern_model_packed_bytes{model="m",version="2"})"))));
  values.models.clear();
  values.ready = false;
  now = Scrape(metrics);
  EXPECT_EQ(now.at("tern_ready"), 0);
  EXPECT_THAT(metrics.Serialize(), Not(HasSubstr("tern_model_state")));
}

TEST(MetricsTest, LoadsAreCountedByResult) {
  Metrics metrics({"1", "x"});
  metrics.OnLoaded("m", milliseconds(20), true);
  metrics.OnLoaded("m", milliseconds(20), false);
  const Exposition now = Scrape(metrics);
  EXPECT_EQ(now.at(R"(tern_model_loads_total{model="m",result="ok"})"), 1);
  EXPECT_EQ(now.at(R"(tern_model_loads_total{model="m",result="failed"})"), 1);
  EXPECT_NEAR(now.at(R"(tern_model_load_seconds_sum{model="m"})"), 0.04, 1e-9);
}

TEST(MetricsTest, ThreadsMayObserveAndScrapeTogether) {
  Metrics metrics({"1", "x"});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&metrics, i] {
      for (int n = 0; n < 200; ++n) {
        metrics.OnCallDone("S.A", absl::StatusCode::kOk, 0.001);
        const auto observer = metrics.ForModel("m", i % 2);
        observer->Executed(1, microseconds(1));
        if (n % 50 == 0) metrics.RemoveModel("m", i % 2);
        if (n % 50 == 25) metrics.Serialize();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(
      Scrape(metrics).at(R"(tern_requests_total{code="OK",method="S.A"})"),
      800);
}

}  // namespace
}  // namespace tern::server
