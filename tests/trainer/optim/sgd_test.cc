#include "trainer/optim/sgd.h"

#include <gtest/gtest.h>

#include <vector>

namespace tern::trainer {
namespace {

TEST(SgdTest, TwoStepsByHand) {
  Parameter decayed{"w", {1.0F}, {0.5F}, true};
  Parameter free{"b", {1.0F}, {0.5F}, false};
  Sgd sgd({&decayed, &free}, {.momentum = 0.5, .weight_decay = 0.1});
  ThreadPool pool(1);
  sgd.Step(0.1, pool);
  EXPECT_FLOAT_EQ(decayed.value[0], 1 - 0.1F * 0.6F);
  EXPECT_FLOAT_EQ(free.value[0], 1 - 0.1F * 0.5F);
  sgd.Step(0.1, pool);
  EXPECT_FLOAT_EQ(free.value[0], 0.95F - 0.1F * (0.25F + 0.5F));
  EXPECT_FLOAT_EQ(sgd.Velocities()[1][0], 0.75F);
}

TEST(SgdTest, ThreadsDoNotChangeTheResult) {
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 3}) {
    Parameter w{"w", std::vector<float>(100001), std::vector<float>(100001),
                true};
    for (std::size_t i = 0; i < w.value.size(); ++i) {
      w.value[i] = static_cast<float>(i % 97) * 0.01F;
      w.gradient[i] = static_cast<float>(i % 89) * 0.1F;
    }
    Sgd sgd({&w}, {});
    ThreadPool pool(threads);
    for (int i = 0; i < 3; ++i) sgd.Step(0.01, pool);
    results.push_back(w.value);
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(ScheduleTest, WarmsUpThenFalls) {
  const RateOptions cosine = {Schedule::kCosine, 1.0, 2};
  EXPECT_DOUBLE_EQ(LearningRate(cosine, 10, 0), 0);
  EXPECT_DOUBLE_EQ(LearningRate(cosine, 10, 1), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(cosine, 10, 2), 1);
  EXPECT_NEAR(LearningRate(cosine, 10, 6), 0.5, 1e-12);
  EXPECT_NEAR(LearningRate(cosine, 10, 10), 0, 1e-12);
  double last = 1;
  for (double at = 2; at < 10; at += 0.1) {
    const double rate = LearningRate(cosine, 10, at);
    EXPECT_LE(rate, last + 1e-12);
    last = rate;
  }
}

TEST(ScheduleTest, StepsAtSixtyAndEightyFivePercent) {
  const RateOptions step = {Schedule::kStep, 1.0, 0};
  EXPECT_DOUBLE_EQ(LearningRate(step, 100, 59.9), 1);
  EXPECT_DOUBLE_EQ(LearningRate(step, 100, 60), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(step, 100, 85), 0.01);
  const RateOptions constant = {Schedule::kConstant, 0.3, 0};
  EXPECT_DOUBLE_EQ(LearningRate(constant, 100, 99), 0.3);
}

TEST(ScheduleTest, ParsesNames) {
  EXPECT_EQ(*ParseSchedule("step"), Schedule::kStep);
  EXPECT_FALSE(ParseSchedule("linear").ok());
}

}  // namespace
}  // namespace tern::trainer
