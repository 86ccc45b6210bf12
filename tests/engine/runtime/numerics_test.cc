// NUMERICS.md by hand: small models whose logits are worked out on paper, on
// every table.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/kernels/kernels.h"
#include "tests/testing/tables_to_test.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using testing::AsBytes;
using testing::TinyModel;

// Multiplier 1, bias 0, zero point 0, and weights that copy input k to output
// k: what a test changes is what it shows.
TinyModel CopyingModel(std::string_view graph) {
  TinyModel model = testing::MakeTinyModel(graph, 1);
  model.header.mutable_input_quantization()->clear_zero_point();
  for (NodeWeights& w : model.weights) {
    std::fill(w.multiplier.begin(), w.multiplier.end(), 1.0F);
    std::fill(w.bias.begin(), w.bias.end(), 0.0F);
    std::fill(w.ternary.begin(), w.ternary.end(), std::int8_t{0});
    const std::size_t filters = w.bias.size();
    for (std::size_t k = 0; k < filters && !w.ternary.empty(); ++k) {
      w.ternary[k * (w.ternary.size() / filters) + k] = 1;
    }
  }
  return model;
}

class NumericsOf : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  void SetUp() override { SkipUnlessSupported(*GetParam()); }

  std::vector<float> Logits(const TinyModel& model,
                            const std::vector<std::uint8_t>& picture) {
    LoadOptions options;
    options.verify_golden = false;
    const std::string file = testing::TinyModelBytes(model);
    const auto loaded = Model::Load(AsBytes(file), *GetParam(), options);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    if (!loaded.ok()) return {};
    ThreadPool pool(1);
    Session session(&pool);
    std::vector<float> logits((*loaded)->classes());
    const absl::Status status =
        session.Run(**loaded, picture, 1, absl::MakeSpan(logits));
    EXPECT_TRUE(status.ok()) << status;
    return logits;
  }
};

TEST_P(NumericsOf, BitsBoundAnActivation) {
  TinyModel model = CopyingModel(R"(
    input { height: 1 width: 1 channels: 3 }
    node { name: "a" linear { filters: 3 } activation: ACTIVATION_RELU }
    node { name: "logits" linear { filters: 3 } })");
  EXPECT_EQ(Logits(model, {3, 8, 200}), (std::vector<float>{3, 8, 200}));
  model.header.mutable_quantization(0)->set_bits(3);
  EXPECT_EQ(Logits(model, {3, 8, 200}), (std::vector<float>{3, 7, 7}));
}

// A layer that reads the picture sums raw pixels; where it is padded it reads
// the zero point of the channel.
TEST_P(NumericsOf, TernaryLayersSumRawPixelsAndPadWithTheZeroPoint) {
  TinyModel model = CopyingModel(R"(
    input { height: 1 width: 1 channels: 3 }
    node { name: "logits"
           conv2d { filters: 2 kernel_h: 3 kernel_w: 3
                    padding { top: 1 bottom: 1 left: 1 right: 1 } } })");
  for (const int zero_point : {100, 7, 0}) {
    model.header.mutable_input_quantization()->add_zero_point(zero_point);
  }
  auto& codes = model.weights[0].ternary;
  std::fill(codes.begin(), codes.end(), std::int8_t{1});
  std::fill(codes.begin() + 27, codes.end(), std::int8_t{-1});
  const float sum = 200 + 50 + 9 + 8 * (100 + 7 + 0);
  EXPECT_EQ(Logits(model, {200, 50, 9}), (std::vector<float>{sum, -sum}));
}

TEST_P(NumericsOf, GridLayersSumPixelsMinusZeroPointAndPadWithZero) {
  TinyModel model = CopyingModel(R"(
    input { height: 1 width: 1 channels: 3 }
    node { name: "logits" weights: WEIGHT_KIND_GRID
           conv2d { filters: 2 kernel_h: 3 kernel_w: 3
                    padding { top: 1 bottom: 1 left: 1 right: 1 } } })");
  for (const int zero_point : {100, 7, 0}) {
    model.header.mutable_input_quantization()->add_zero_point(zero_point);
  }
  auto& grid = model.weights[0].grid;
  std::fill(grid.begin(), grid.end(), std::int16_t{5});
  std::fill(grid.begin() + 27, grid.end(), std::int16_t{-3});
  const float sum = (20 - 100) + (50 - 7) + 9;
  EXPECT_EQ(Logits(model, {20, 50, 9}),
            (std::vector<float>{5 * sum, -3 * sum}));
}

// 65,793 * 255 = 2^24 - 1: the largest sum that a filter may have.
TEST_P(NumericsOf, GridSumsAreExactAtTheirBound) {
  TinyModel model = CopyingModel(R"(
    input { height: 1 width: 1 channels: 3 }
    node { name: "logits" weights: WEIGHT_KIND_GRID linear { filters: 3 } })");
  model.weights[0].grid = {32767, 32767, 259,   -32767, -32767, -259,  //
                           32767, 1,     -32767};
  EXPECT_EQ(Logits(model, {255, 255, 255}),
            (std::vector<float>{16777215, -16777215, 255}));
  for (int c = 0; c < 3; ++c) {
    model.header.mutable_input_quantization()->add_zero_point(255);
  }
  EXPECT_EQ(Logits(model, {0, 0, 0}),
            (std::vector<float>{-16777215, 16777215, -255}));
}

TEST_P(NumericsOf, LogitsAreNeitherRoundedNorClamped) {
  TinyModel model = CopyingModel(R"(
    input { height: 1 width: 1 channels: 3 }
    node { name: "logits" linear { filters: 3 } })");
  model.weights[0].multiplier = {0.3F, 100, 0.25F};
  model.weights[0].bias = {-1000, 0, 0.125F};
  EXPECT_EQ(Logits(model, {7, 200, 1}),
            (std::vector<float>{std::fmaf(7, 0.3F, -1000), 20000, 0.375F}));
}

// a: u8; s: s16 from a; b: u8, which adds s to its bias.
constexpr std::string_view kShortcut = R"(
  input { height: 1 width: 1 channels: 3 }
  node { name: "a" linear { filters: 3 } activation: ACTIVATION_RELU }
  node { name: "s" input: "a" linear { filters: 3 } }
  node { name: "b" input: "a" residual: "s" linear { filters: 3 }
         activation: ACTIVATION_RELU }
  node { name: "logits" linear { filters: 3 } })";

TinyModel ShortcutModel(float residual_scale, float output_scale) {
  TinyModel model = CopyingModel(kShortcut);
  model.header.mutable_quantization(1)->set_scale(residual_scale);
  model.header.mutable_quantization(2)->set_scale(output_scale);
  std::fill(model.weights[2].ternary.begin(), model.weights[2].ternary.end(),
            std::int8_t{0});
  return model;
}

TEST_P(NumericsOf, SignedTensorsClampToS16) {
  TinyModel model = ShortcutModel(0.5F, 0.5F);
  model.weights[1].ternary = {1, 0, 0, 0, -1, 0, 0, 0, -1};
  model.weights[1].multiplier = {1000, 1000, 1};
  model.weights[2].bias = {-32767 + 100, 32768 + 100, 100};
  EXPECT_EQ(Logits(model, {200, 200, 5}), (std::vector<float>{100, 100, 95}));
}

// Multiplying by a rounded 1 / s_y yields the next float, which a tie shows.
TEST_P(NumericsOf, ResidualScaleIsTheQuotientOfTheScales) {
  const float s_r = 34.0F / 1024;
  const float s_y = 13.0F / 64;
  const float bias = -23.9615383F;
  TinyModel model = ShortcutModel(s_r, s_y);
  model.weights[2].bias.assign(3, bias);
  EXPECT_EQ(Logits(model, {168, 168, 168}), (std::vector<float>{3, 3, 3}));
  EXPECT_EQ(std::nearbyint(std::fmaf(168, s_r * (1 / s_y), bias)), 4);
}

// The factor of an average is computed in double and rounded once; the same in
// float is the float before, which a tie shows.
TEST_P(NumericsOf, AverageFactorIsComputedInDouble) {
  TinyModel model = CopyingModel(R"(
    input { height: 3 width: 3 channels: 1 }
    node { name: "a" conv2d { filters: 1 kernel_h: 1 kernel_w: 1 }
           activation: ACTIVATION_RELU }
    node { name: "p" global_avg_pool {} }
    node { name: "logits" linear { filters: 1 } })");
  const float s_x = 0.561F;
  const float s_y = 0.292F;
  model.header.mutable_quantization(0)->set_scale(s_x);
  model.header.mutable_quantization(1)->set_scale(s_y);
  // The sum of these is 438, their scaled average 93.5 to seven digits.
  EXPECT_EQ(Logits(model, {48, 48, 48, 48, 48, 48, 50, 50, 50}),
            (std::vector<float>{94}));
  EXPECT_EQ(std::nearbyint(438 * (s_x / (9 * s_y))), 93);
}

TEST_P(NumericsOf, FlattenKeepsRowColumnChannelOrder) {
  const TinyModel model = CopyingModel(R"(
    input { height: 2 width: 2 channels: 3 }
    node { name: "a" conv2d { filters: 3 kernel_h: 1 kernel_w: 1 }
           activation: ACTIVATION_RELU }
    node { name: "f" flatten {} }
    node { name: "logits" linear { filters: 12 } })");
  EXPECT_EQ(Logits(model, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}),
            (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
}

INSTANTIATE_TEST_SUITE_P(Tables, NumericsOf,
                         ::testing::ValuesIn(AllKernelTables().begin(),
                                             AllKernelTables().end()),
                         [](const auto& param_info) {
                           return std::string(param_info.param->name);
                         });

}  // namespace
}  // namespace tern
