// Gradients against numeric differences, for every layer in context.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/model/graph.h"
#include "trainer/nn/loss.h"
#include "trainer/nn/network.h"
#include "trainer/nn/product_op.h"
#include "trainer/random.h"

namespace tern::trainer {
namespace {

constexpr int kBatch = 6;

struct Case {
  std::string name;
  std::string graph;
};

model::v1::Graph Parse(const std::string& text) {
  auto graph = ParseGraphText(
      absl::StrCat("input { height: 9 width: 8 channels: 3 }\n", text));
  EXPECT_TRUE(graph.ok()) << graph.status();
  return *graph;
}

std::unique_ptr<Network> MakeNetwork(const model::v1::Graph& graph,
                                     WeightQuantizer quantizer) {
  NetworkOptions options;
  options.train = true;
  options.shard_batch = kBatch;
  const auto nodes = static_cast<std::size_t>(graph.node_size());
  options.quantizer.assign(nodes, quantizer);
  options.scale_per.assign(nodes, ScalePer::kFilter);
  auto network = Network::Create(graph, options);
  EXPECT_TRUE(network.ok()) << network.status();
  (*network)->Initialise(3);
  return *std::move(network);
}

void FillPictures(Network& network, std::uint64_t seed) {
  Random random(seed, Purpose::kAugment);
  for (float& x : network.Pictures(0)) {
    x = static_cast<float>(random.Normal());
  }
}

std::vector<std::uint8_t> Labels(std::int64_t classes) {
  std::vector<std::uint8_t> labels(kBatch);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] =
        static_cast<std::uint8_t>(i % static_cast<std::size_t>(classes));
  }
  return labels;
}

double Loss(Network& network, ThreadPool& pool) {
  EXPECT_TRUE(network.PrepareStep(pool).ok());
  EXPECT_TRUE(network.Forward(0, Pass::kTrain).ok());
  return SoftmaxCrossEntropy(network.Logits(0),
                             Labels(network.shapes().classes), 0.1, 1, {})
      .loss_sum;
}

void Gradients(Network& network, ThreadPool& pool) {
  ASSERT_TRUE(network.PrepareStep(pool).ok());
  ASSERT_TRUE(network.Forward(0, Pass::kTrain).ok());
  SoftmaxCrossEntropy(network.Logits(0), Labels(network.shapes().classes), 0.1,
                      1, network.LogitGradients(0));
  ASSERT_TRUE(network.Backward(0).ok());
  ASSERT_TRUE(network.FinishStep(pool).ok());
}

double Norm(const std::vector<float>& values) {
  double sum = 0;
  for (const float x : values) sum += double{x} * x;
  return std::sqrt(sum);
}

// Halfway between the parameter's gradient, along which the loss surely
// changes, and a random direction, which no component escapes.
std::vector<float> Direction(const Parameter& parameter, std::uint64_t trial) {
  Random random(trial, Purpose::kWeights, parameter.value.size());
  std::vector<float> direction(parameter.value.size());
  for (float& d : direction) d = static_cast<float>(random.Normal());
  const double norm = Norm(direction);
  const double gradient_norm = Norm(parameter.gradient);
  for (std::size_t i = 0; i < direction.size(); ++i) {
    direction[i] = static_cast<float>(direction[i] / norm +
                                      parameter.gradient[i] / gradient_norm);
  }
  return direction;
}

// The loss's change along `direction`, by moving the parameter a little.
double MeasuredSlope(Network& network, Parameter& parameter,
                     const std::vector<float>& direction, ThreadPool& pool) {
  constexpr float kStep = 1e-3F;
  const std::vector<float> value = parameter.value;
  const auto loss_at = [&](float step) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      parameter.value[i] = value[i] + step * direction[i];
    }
    return Loss(network, pool);
  };
  const double slope = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
  parameter.value = value;
  return slope;
}

class GradientTest : public ::testing::TestWithParam<Case> {};

// The tolerance is a share of the gradient: however small it is, it does not
// pass where it is zero or something else.
TEST_P(GradientTest, MatchesNumericDifferences) {
  const model::v1::Graph graph = Parse(GetParam().graph);
  ThreadPool pool(1);
  auto network = MakeNetwork(graph, WeightQuantizer::kFloat);
  FillPictures(*network, 11);
  Gradients(*network, pool);
  for (Parameter* parameter : network->Parameters()) {
    const std::vector<float> gradient = parameter->gradient;
    ASSERT_GT(Norm(gradient), 0) << parameter->name;
    for (std::uint64_t trial = 0; trial < 4; ++trial) {
      const std::vector<float> direction = Direction(*parameter, trial);
      const double expected = std::inner_product(
          gradient.begin(), gradient.end(), direction.begin(), 0.0);
      const double measured =
          MeasuredSlope(*network, *parameter, direction, pool);
      EXPECT_NEAR(measured, expected, 0.03 * Norm(gradient))
          << parameter->name << ", direction " << trial;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layers, GradientTest,
    ::testing::Values(Case{"ConvBiasReluLinear", R"(
          node { name: "a" conv2d { filters: 5 kernel_h: 3 kernel_w: 2
                 stride_h: 2 stride_w: 1
                 padding { top: 1 bottom: 0 left: 1 right: 1 } }
                 activation: ACTIVATION_RELU }
          node { name: "f" flatten {} }
          node { name: "b" linear { filters: 7 } activation: ACTIVATION_RELU }
          node { name: "c" linear { filters: 4 } })"},
                      Case{"ConvBatchNormMaxPool", R"(
          node { name: "a" conv2d { filters: 18 kernel_h: 3 kernel_w: 3 }
                 batch_norm: true activation: ACTIVATION_RELU }
          node { name: "p" max_pool2d { kernel_h: 2 kernel_w: 2 } }
          node { name: "b" linear { filters: 9 } batch_norm: true
                 activation: ACTIVATION_RELU }
          node { name: "c" linear { filters: 3 } })"},
                      Case{"AveragePoolsAndGlobalPool", R"(
          node { name: "a" conv2d { filters: 6 kernel_h: 3 kernel_w: 3
                 padding { top: 1 bottom: 1 left: 1 right: 1 } }
                 activation: ACTIVATION_RELU }
          node { name: "p" avg_pool2d { kernel_h: 3 kernel_w: 3 stride_h: 2
                 stride_w: 2 padding { top: 1 left: 1 bottom: 1 right: 1 } } }
          node { name: "b" conv2d { filters: 8 kernel_h: 2 kernel_w: 2 }
                 batch_norm: true activation: ACTIVATION_RELU }
          node { name: "g" global_avg_pool {} }
          node { name: "c" linear { filters: 3 } })"},
                      Case{"ResidualsWithIdentityAndShortcut", R"(
          node { name: "a" conv2d { filters: 16 kernel_h: 3 kernel_w: 3
                 padding { top: 1 bottom: 1 left: 1 right: 1 } }
                 batch_norm: true activation: ACTIVATION_RELU }
          node { name: "b" conv2d { filters: 16 kernel_h: 3 kernel_w: 3
                 padding { top: 1 bottom: 1 left: 1 right: 1 } }
                 batch_norm: true residual: "a" activation: ACTIVATION_RELU }
          node { name: "s" input: "b" conv2d { filters: 20 kernel_h: 1
                 kernel_w: 1 stride_h: 2 stride_w: 2 } batch_norm: true }
          node { name: "d" input: "b" conv2d { filters: 20 kernel_h: 3
                 kernel_w: 3 stride_h: 2 stride_w: 2
                 padding { top: 1 bottom: 1 left: 1 right: 1 } }
                 batch_norm: true residual: "s" activation: ACTIVATION_RELU }
          node { name: "g" global_avg_pool {} }
          node { name: "c" linear { filters: 3 } })"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(StraightThroughTest, GradientIsThatOfTheQuantisedWeights) {
  const std::string text = R"(
    node { name: "a" conv2d { filters: 4 kernel_h: 3 kernel_w: 3 }
           activation: ACTIVATION_RELU }
    node { name: "c" linear { filters: 3 } })";
  ThreadPool pool(1);
  auto ternary = MakeNetwork(Parse(text), WeightQuantizer::kTwn);
  auto plain = MakeNetwork(Parse(text), WeightQuantizer::kFloat);
  FillPictures(*ternary, 2);
  FillPictures(*plain, 2);
  ASSERT_TRUE(ternary->PrepareStep(pool).ok());
  for (int node = 0; node < 2; ++node) {
    const ProductWeights& q = *ternary->Product(node);
    const std::size_t size = q.codes.size() / q.scale.size();
    std::vector<float>& w =
        plain->Parameters()[2 * static_cast<std::size_t>(node)]->value;
    for (std::size_t i = 0; i < w.size(); ++i) {
      w[i] = q.codes[i] * q.scale[i / size];
    }
  }
  Gradients(*ternary, pool);
  Gradients(*plain, pool);
  for (std::size_t p = 0; p < 4; ++p) {
    EXPECT_EQ(ternary->Parameters()[p]->gradient,
              plain->Parameters()[p]->gradient);
  }
}

}  // namespace
}  // namespace tern::trainer
