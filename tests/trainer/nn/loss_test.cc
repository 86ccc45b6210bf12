#include "trainer/nn/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace tern::trainer {
namespace {

TEST(LossTest, TwoClassesByHand) {
  // softmax(0, ln 3) = 1/4, 3/4.
  const std::vector<float> logits = {0, std::log(3.0F)};
  const std::vector<std::uint8_t> labels = {1};
  std::vector<float> gradients(2);
  const LossResult result =
      SoftmaxCrossEntropy(logits, labels, 0, 2, absl::MakeSpan(gradients));
  EXPECT_NEAR(result.loss_sum, -std::log(0.75), 1e-7);
  EXPECT_EQ(result.correct, 1);
  EXPECT_NEAR(gradients[0], 2 * 0.25, 1e-7);
  EXPECT_NEAR(gradients[1], 2 * -0.25, 1e-7);
}

TEST(LossTest, SmoothingMixesInTheUniformTarget) {
  const std::vector<float> logits = {0, std::log(3.0F)};
  const std::vector<std::uint8_t> labels = {1};
  const LossResult result = SoftmaxCrossEntropy(logits, labels, 0.2, 1, {});
  EXPECT_NEAR(result.loss_sum, -0.9 * std::log(0.75) - 0.1 * std::log(0.25),
              1e-7);
}

TEST(LossTest, LargeLogitsDoNotOverflow) {
  const std::vector<float> logits = {1000, -1000, 0};
  const std::vector<std::uint8_t> labels = {1};
  const LossResult result = SoftmaxCrossEntropy(logits, labels, 0, 1, {});
  EXPECT_NEAR(result.loss_sum, 2000, 1e-3);
  EXPECT_EQ(result.correct, 0);
}

TEST(LossTest, TheFirstOfEqualLogitsCounts) {
  const std::vector<float> logits = {1, 1, 1, 1};
  const std::vector<std::uint8_t> labels = {0, 1};
  EXPECT_EQ(SoftmaxCrossEntropy(logits, labels, 0, 1, {}).correct, 1);
}

}  // namespace
}  // namespace tern::trainer
