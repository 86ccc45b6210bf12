#include "trainer/export/fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "tests/trainer/synthetic.h"
#include "trainer/export/export.h"
#include "trainer/export/float_reference.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/train_run.h"

namespace tern::trainer {
namespace {

using ::testing::ElementsAre;

TEST(FoldTest, BatchNormByHand) {
  ProductWeights product;
  product.quantizer = WeightQuantizer::kTwn;
  product.codes = {1, -1, 0, 1};
  product.scale = {0.5F, 2.0F};
  BatchNormNumbers norm;
  norm.gamma.value = {3, -3};
  norm.beta.value = {1, 1};
  norm.running_mean = {2, 2};
  norm.running_variance = {9 - kBatchNormEpsilon, 9 - kBatchNormEpsilon};
  const NodeWeights folded = FoldLayer(
      product, &norm, {.input = 0.25, .output = 0.125, .zero_point = {}});
  // Filter 1 has a negative gamma: negated codes, positive multiplier.
  EXPECT_THAT(folded.ternary, ElementsAre(1, -1, 0, -1));
  EXPECT_FLOAT_EQ(folded.multiplier[0], 0.5F * 0.25F / 0.125F);
  EXPECT_FLOAT_EQ(folded.multiplier[1], 2.0F * 0.25F / 0.125F);
  EXPECT_FLOAT_EQ(folded.bias[0], (1 - 2) / 0.125F);
  EXPECT_FLOAT_EQ(folded.bias[1], (1 + 2) / 0.125F);
}

// Every intermediate result in double, m and c rounded to f32 once: what
// rounding each step to f32 would give differs.
TEST(FoldTest, RoundsOnce) {
  constexpr int kFilters = 50;
  std::mt19937 random(1);
  const auto draw = [&random] {
    return static_cast<float>(random() % 9999 + 1) / 1000;
  };
  ProductWeights product;
  product.quantizer = WeightQuantizer::kTwn;
  BatchNormNumbers norm;
  for (int k = 0; k < kFilters; ++k) {
    product.codes.insert(product.codes.end(), {1, 1});
    product.scale.push_back(draw());
    norm.gamma.value.push_back(draw());
    norm.beta.value.push_back(draw());
    norm.running_mean.push_back(draw());
    norm.running_variance.push_back(draw());
  }
  const FoldScales scales{
      .input = draw(), .output = draw(), .zero_point = {77, 200}};
  const NodeWeights folded = FoldLayer(product, &norm, scales);
  int differ = 0;
  for (int k = 0; k < kFilters; ++k) {
    const auto fold = [&]<typename T>(T alpha) {
      const T g = T{norm.gamma.value[k]} /
                  std::sqrt(T{norm.running_variance[k]} + T{kBatchNormEpsilon});
      const T m = alpha * g * static_cast<T>(scales.input) /
                  static_cast<T>(scales.output);
      const T c = (T{norm.beta.value[k]} - g * T{norm.running_mean[k]}) /
                      static_cast<T>(scales.output) -
                  m * 277;
      return std::pair{static_cast<float>(m), static_cast<float>(c)};
    };
    const auto [m, c] = fold(static_cast<long double>(product.scale[k]));
    EXPECT_EQ(folded.multiplier[k], m) << k;
    EXPECT_EQ(folded.bias[k], c) << k;
    differ += fold(product.scale[k]) != std::pair{m, c} ? 1 : 0;
  }
  EXPECT_GT(differ, kFilters / 2);
}

TEST(FoldTest, ZeroPointOfThePictureMovesIntoTheBias) {
  ProductWeights product;
  product.quantizer = WeightQuantizer::kTwn;
  product.codes = {1, 1, -1, 1};  // two taps of two channels
  product.scale = {2.0F};
  product.bias.value = {10};
  const NodeWeights folded = FoldLayer(
      product, nullptr, {.input = 0.5, .output = 1, .zero_point = {100, 7}});
  EXPECT_FLOAT_EQ(folded.multiplier[0], 1);
  EXPECT_FLOAT_EQ(folded.bias[0], 10 - (100 + 7 - 100 + 7));
}

TEST(FoldTest, GridCodesAreNegatedToo) {
  ProductWeights product;
  product.quantizer = WeightQuantizer::kGrid;
  product.codes = {30000, -7};
  product.scale = {-0.5F};
  const NodeWeights folded = FoldLayer(product, nullptr, {});
  EXPECT_THAT(folded.grid, ElementsAre(-30000, 7));
  EXPECT_FLOAT_EQ(folded.multiplier[0], 0.5F);
}

struct Edges {
  EdgeLayer first;
  WeightQuantizer quantizer;
};

class FoldedRunTest : public ::testing::TestWithParam<Edges> {};

// A trained network, evaluated three ways: as trained (batch norm, fake
// quantisation), as the file emulated in floating point, and by the engine.
TEST_P(FoldedRunTest, EngineComputesWhatTheTrainerSaw) {
  TrainOptions options = SyntheticOptions();
  options.first_layer = GetParam().first;
  options.quantizer = GetParam().quantizer;
  options.epochs = 2;
  ThreadPool pool(2);
  auto run = TrainRun::Create(options, SyntheticData(360, 1), &pool);
  ASSERT_TRUE(run.ok()) << run.status();
  // One filter with negative gamma in each normalised layer.
  for (Parameter* parameter : (*run)->network().Parameters()) {
    if (parameter->name.ends_with("/gamma")) parameter->value[1] = -0.7F;
  }
  ASSERT_TRUE((*run)->Train(std::atomic<bool>(false)).ok());
  ASSERT_TRUE((*run)->LoadBest().ok());
  const auto model = ExportNetwork((*run)->network(), (*run)->input());
  ASSERT_TRUE(model.ok()) << model.status();
  const auto file = EncodeModel(*model, 1, (*run)->data().picture(0));
  ASSERT_TRUE(file.ok()) << file.status();
  const absl::Span<const std::uint8_t> bytes = {
      reinterpret_cast<const std::uint8_t*>(file->data()), file->size()};

  const Dataset test = SyntheticData(200, 5);
  std::vector<std::uint32_t> all(test.images());
  std::iota(all.begin(), all.end(), 0U);
  const auto trained =
      NetworkLogits((*run)->network(), test, all, (*run)->input(), pool);
  ASSERT_TRUE(trained.ok()) << trained.status();
  const auto parsed = ModelFile::Read(bytes, {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  auto reference = MakeFloatReference(*parsed, 2, 16);
  ASSERT_TRUE(reference.ok()) << reference.status();
  reference->network->SetActivations(Activations::kU8);
  const auto emulated =
      NetworkLogits(*reference->network, test, all, reference->input, pool);
  ASSERT_TRUE(emulated.ok()) << emulated.status();
  const auto kernels = SelectKernels("reference");
  const auto loaded = Model::Load(bytes, **kernels, {});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto engine = EngineLogits(**loaded, test, 7, pool, [](std::size_t) {});
  ASSERT_TRUE(engine.ok()) << engine.status();

  // Rounding ties that float arithmetic sees differently move one step of one
  // activation: rare and small.
  std::size_t far = 0;
  for (std::size_t i = 0; i < engine->size(); ++i) {
    EXPECT_NEAR((*engine)[i], (*emulated)[i], 0.1) << i;
    EXPECT_NEAR((*engine)[i], (*trained)[i], 0.1) << i;
    far += std::fabs((*engine)[i] - (*emulated)[i]) > 1e-3 ? 1 : 0;
  }
  EXPECT_LE(far, engine->size() / 50);
  EXPECT_GE(CountAgreement(*engine, *trained, 4), test.images() - 1);
  // Float activations differ by rounding alone.
  reference->network->SetActivations(Activations::kFloat);
  const auto plain =
      NetworkLogits(*reference->network, test, all, reference->input, pool);
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_GE(CountAgreement(*engine, *plain, 4), test.images() * 97 / 100);
  EXPECT_NE(*plain, *emulated);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, FoldedRunTest,
    ::testing::Values(Edges{EdgeLayer::kGrid, WeightQuantizer::kTwn},
                      Edges{EdgeLayer::kQuantizer, WeightQuantizer::kTwn},
                      Edges{EdgeLayer::kQuantizer, WeightQuantizer::kBwn},
                      Edges{EdgeLayer::kGrid, WeightQuantizer::kFloat}),
    [](const auto& param_info) {
      return std::string(param_info.param.first == EdgeLayer::kGrid
                             ? "GridFirst"
                             : "QuantisedFirst") +
             QuantizerName(param_info.param.quantizer);
    });

}  // namespace
}  // namespace tern::trainer
