#include "trainer/run/train_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "tests/trainer/synthetic.h"
#include "trainer/export/export.h"
#include "trainer/run/evaluation.h"

namespace tern::trainer {
namespace {

using ::testing::HasSubstr;

const std::atomic<bool> kGoOn{false};

// Trains and packs; the file's bytes.
std::string TrainedFile(const TrainOptions& options, int threads) {
  ThreadPool pool(threads);
  auto run = TrainRun::Create(options, SyntheticData(360, 1), &pool);
  EXPECT_TRUE(run.ok()) << run.status();
  EXPECT_TRUE((*run)->Train(kGoOn).ok());
  EXPECT_TRUE((*run)->LoadBest().ok());
  const auto model = ExportNetwork((*run)->network(), (*run)->input());
  EXPECT_TRUE(model.ok()) << model.status();
  const auto file =
      EncodeModel(*model, options.seed, (*run)->data().picture(0));
  EXPECT_TRUE(file.ok()) << file.status();
  return *file;
}

absl::Span<const std::uint8_t> Bytes(const std::string& s) {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}

double TestAccuracy(const std::string& file) {
  const auto kernels = SelectKernels("reference");
  const auto model = Model::Load(Bytes(file), **kernels, {});
  EXPECT_TRUE(model.ok()) << model.status();
  ThreadPool pool(1);
  const Dataset test = SyntheticData(400, 2);
  const auto logits = EngineLogits(**model, test, 32, pool, [](std::size_t) {});
  EXPECT_TRUE(logits.ok()) << logits.status();
  return MeasureAccuracy(*logits, test.labels).top1_rate();
}

TrainOptions With(const TrainOptions& base,
                  const std::function<void(TrainOptions&)>& change) {
  TrainOptions options = base;
  change(options);
  return options;
}

TEST(TrainRunTest, EveryQuantiserLearnsAndServes) {
  for (const auto quantizer : {WeightQuantizer::kTwn, WeightQuantizer::kBwn,
                               WeightQuantizer::kFloat}) {
    const auto options = With(SyntheticOptions(), [&](TrainOptions& o) {
      o.quantizer = quantizer;
      o.epochs = 5;
    });
    EXPECT_GT(TestAccuracy(TrainedFile(options, 1)), 0.95)
        << QuantizerName(quantizer);
  }
}

TEST(TrainRunTest, TheSameSeedGivesTheSameBytesForAnyThreads) {
  const TrainOptions options = SyntheticOptions();
  const std::string file = TrainedFile(options, 1);
  EXPECT_EQ(TrainedFile(options, 1), file);
  EXPECT_EQ(TrainedFile(options, 3), file);
  EXPECT_NE(TrainedFile(With(options, [](TrainOptions& o) { o.seed = 2; }), 1),
            file);
}

TEST(TrainRunTest, InterruptedAndResumedIsTheSameAsNever) {
  const TrainOptions options = SyntheticOptions();
  const std::string file = TrainedFile(options, 1);
  const auto resumed = With(options, [](TrainOptions& o) { o.resume = true; });
  std::filesystem::remove(options.checkpoint);
  ThreadPool pool(1);
  auto first = TrainRun::Create(options, SyntheticData(360, 1), &pool);
  ASSERT_TRUE(first.ok()) << first.status();
  std::atomic<bool> stop{false};
  // Somewhere in the middle; wherever that is, the bits must agree.
  std::thread interrupt([&] {
    while (!std::filesystem::exists(options.checkpoint)) {
      std::this_thread::yield();
    }
    stop.store(true);
  });
  const absl::Status status = (*first)->Train(stop);
  interrupt.join();
  if (!status.ok()) {
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
    EXPECT_THAT(status.message(), HasSubstr("--resume"));
  }
  EXPECT_EQ(TrainedFile(resumed, 1), file);
  // A finished run resumes to the same result at once.
  EXPECT_EQ(TrainedFile(resumed, 1), file);
}

TEST(TrainRunTest, StoppedBeforeTheFirstStepStillLeavesACheckpoint) {
  const TrainOptions options = SyntheticOptions();
  const std::string file = TrainedFile(options, 1);
  std::filesystem::remove(options.checkpoint);
  ThreadPool pool(1);
  auto run = TrainRun::Create(options, SyntheticData(360, 1), &pool);
  const std::atomic<bool> stop{true};
  EXPECT_EQ((*run)->Train(stop).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(
      TrainedFile(With(options, [](TrainOptions& o) { o.resume = true; }), 1),
      file);
}

TEST(TrainRunTest, ResumeRefusesAnotherRun) {
  const TrainOptions options = SyntheticOptions();
  TrainedFile(options, 1);
  ThreadPool pool(1);
  const auto other = TrainRun::Create(With(options,
                                           [](TrainOptions& o) {
                                             o.resume = true;
                                             o.seed = 9;
                                           }),
                                      SyntheticData(360, 1), &pool);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(other.status().message(), HasSubstr("seed '1', not '9'"));
}

TEST(TrainRunTest, ALossThatIsNotFiniteStopsTheRun) {
  const auto options = With(SyntheticOptions(), [](TrainOptions& o) {
    o.rate.rate = 1000;
    o.sgd.weight_decay = 1;
    o.quantizer = WeightQuantizer::kFloat;
    o.epochs = 50;
  });
  ThreadPool pool(1);
  auto run = TrainRun::Create(options, SyntheticData(360, 1), &pool);
  ASSERT_TRUE(run.ok()) << run.status();
  const absl::Status status = (*run)->Train(kGoOn);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("not a finite number"));
}

TEST(TrainRunTest, OptionsAreCheckedByName) {
  ThreadPool pool(1);
  const auto error = [&](const std::function<void(TrainOptions&)>& change) {
    return std::string(TrainRun::Create(With(SyntheticOptions(), change),
                                        SyntheticData(360, 1), &pool)
                           .status()
                           .message());
  };
  EXPECT_THAT(error([](TrainOptions& o) { o.epochs = 0; }),
              HasSubstr("--epochs is 0, must be 1.."));
  EXPECT_THAT(error([](TrainOptions& o) { o.shards = 3; }),
              HasSubstr("--batch is 32, must be a multiple of --shards, 3"));
  EXPECT_THAT(error([](TrainOptions& o) { o.validation = 350; }),
              HasSubstr("360 pictures"));
  EXPECT_THAT(error([](TrainOptions& o) { o.network = "lenet5"; }),
              HasSubstr("12 x 12 x 1, the network reads 28 x 28 x 1"));
  EXPECT_THAT(error([](TrainOptions& o) { o.network = "nosuch"; }),
              HasSubstr("built-in ones (lenet5"));
}

}  // namespace
}  // namespace tern::trainer
