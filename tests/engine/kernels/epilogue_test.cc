// The epilogue of every table: worked examples, and equality with the
// reference.

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

class EpilogueOf : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  void SetUp() override { SkipUnlessSupported(*GetParam()); }

  template <typename T>
  std::vector<T> Apply(const std::vector<float>& acc, Epilogue e,
                       OutputType type, int filters) {
    e.output_type = type;
    if (type == OutputType::kS16) {
      e.low = -32768;
      e.high = 32767;
    }
    std::vector<T> output(acc.size());
    GetParam()->epilogue(acc.data(), static_cast<int>(acc.size()) / filters,
                         filters, e, output.data());
    return output;
  }

  // With multiplier 1 and bias 0.
  template <typename T>
  std::vector<T> ApplyPlain(const std::vector<float>& acc, OutputType type) {
    const std::vector<float> ones(acc.size(), 1);
    const std::vector<float> zeros(acc.size(), 0);
    Epilogue e;
    e.multiplier = ones.data();
    e.bias = zeros.data();
    return Apply<T>(acc, e, type, static_cast<int>(acc.size()));
  }
};

TEST_P(EpilogueOf, RoundsHalfToEven) {
  const std::vector<float> half(6, 0.5F);
  const std::vector<float> zeros(6, 0);
  Epilogue e;
  e.multiplier = half.data();
  e.bias = zeros.data();
  EXPECT_EQ(Apply<std::uint8_t>({1, 3, 5, 7, 2, 509}, e, OutputType::kU8, 6),
            (std::vector<std::uint8_t>{0, 2, 2, 4, 1, 254}));
  EXPECT_EQ(
      Apply<std::int16_t>({-1, -3, -5, 1, 3, -32767}, e, OutputType::kS16, 6),
      (std::vector<std::int16_t>{0, -2, -2, 0, 2, -16384}));
}

TEST_P(EpilogueOf, ClampsBeforeConverting) {
  // Far outside of int32, where a conversion would yield anything.
  EXPECT_EQ(ApplyPlain<std::uint8_t>({1e30F, -1e30F, 256, -1, 255, 0.4F},
                                     OutputType::kU8),
            (std::vector<std::uint8_t>{255, 0, 255, 0, 255, 0}));
  EXPECT_EQ(ApplyPlain<std::int16_t>({1e30F, -1e30F, 32768, -32769},
                                     OutputType::kS16),
            (std::vector<std::int16_t>{32767, -32768, 32767, -32768}));
}

TEST_P(EpilogueOf, InfinityClamps) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(ApplyPlain<std::uint8_t>({inf, -inf}, OutputType::kU8),
            (std::vector<std::uint8_t>{255, 0}));
}

TEST_P(EpilogueOf, FewerBitsClampLower) {
  const std::vector<float> ones(3, 1);
  const std::vector<float> zeros(3, 0);
  Epilogue e;
  e.multiplier = ones.data();
  e.bias = zeros.data();
  e.high = 63;
  EXPECT_EQ(Apply<std::uint8_t>({62.4F, 63, 200}, e, OutputType::kU8, 3),
            (std::vector<std::uint8_t>{62, 63, 63}));
}

// Scale and bias are one fused operation: the product is not rounded first.
TEST_P(EpilogueOf, ProductAndSumRoundOnce) {
  const std::vector<float> multiplier = {1.0F + 0x1p-23F};
  const std::vector<float> bias = {-16777214.0F};
  Epilogue e;
  e.multiplier = multiplier.data();
  e.bias = bias.data();
  // 16777215 * (1 + 2^-23) = 16777217 - 2^-23; rounded first it would be
  // 16777216 and the result 2.
  EXPECT_EQ(
      Apply<float>({16777215.0F}, e, OutputType::kF32, 1),
      (std::vector<float>{std::fmaf(16777215.0F, multiplier[0], bias[0])}));
  EXPECT_NE(std::fmaf(16777215.0F, multiplier[0], bias[0]), 2.0F);
}

// The residual joins by a second fused operation, after scale and bias.
TEST_P(EpilogueOf, ResidualsJoinAfterScaleAndBias) {
  const std::vector<float> multiplier = {0.25F, 0.25F};
  const std::vector<float> bias = {10, 10};
  const std::vector<std::uint8_t> u8 = {4, 255};
  const std::vector<std::int16_t> s16 = {-1000, 1000};
  Epilogue e;
  e.multiplier = multiplier.data();
  e.bias = bias.data();
  e.residual = u8.data();
  e.residual_scale = 0.5F;
  EXPECT_EQ(Apply<std::uint8_t>({40, 40}, e, OutputType::kU8, 2),
            (std::vector<std::uint8_t>{22, 148}));
  e.residual = s16.data();
  e.residual_type = OutputType::kS16;
  e.residual_scale = 0.015F;
  EXPECT_EQ(Apply<std::uint8_t>({40, 40}, e, OutputType::kU8, 2),
            (std::vector<std::uint8_t>{5, 35}));
}

TEST_P(EpilogueOf, EqualsTheReference) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const int filters = static_cast<int>(random() % 70) + 1;
    const int rows = static_cast<int>(random() % 5) + 1;
    std::vector<float> acc(static_cast<std::size_t>(filters) * rows);
    for (float& a : acc) {
      a = static_cast<float>(static_cast<int>(random() % 40001) - 20000);
    }
    std::vector<float> multiplier(filters);
    std::vector<float> bias(filters);
    for (int k = 0; k < filters; ++k) {
      multiplier[k] = static_cast<float>(random() % 1000) / 32768;
      bias[k] = static_cast<float>(random() % 1000) / 7;
    }
    std::vector<std::int16_t> residual(acc.size());
    for (std::int16_t& r : residual) r = static_cast<std::int16_t>(random());
    Epilogue e;
    e.multiplier = multiplier.data();
    e.bias = bias.data();
    if (round % 3 != 0) {
      e.residual = residual.data();
      e.residual_type = round % 3 == 1 ? OutputType::kU8 : OutputType::kS16;
      e.residual_scale = 0.003F * static_cast<float>(round);
    }
    e.output_type = static_cast<OutputType>(round / 3 % 3);
    if (e.output_type == OutputType::kS16) {
      e.low = -32768;
      e.high = 32767;
    }
    // One byte more than the output, which must survive.
    const std::size_t bytes = acc.size() * ElementBytes(e.output_type);
    std::vector<std::uint8_t> expected(bytes + 1, 0xA5);
    std::vector<std::uint8_t> actual(bytes + 1, 0xA5);
    ReferenceKernels().epilogue(acc.data(), rows, filters, e, expected.data());
    GetParam()->epilogue(acc.data(), rows, filters, e, actual.data());
    ASSERT_EQ(actual, expected) << "round " << round;
  }
}

TEST_P(EpilogueOf, ConvertsPixels) {
  const std::vector<std::uint8_t> zero_point = {10, 255, 0};
  std::vector<std::uint8_t> pixels(101);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<std::uint8_t>(37 * i);
  }
  std::vector<float> converted(pixels.size() + 1, 7);
  GetParam()->convert(pixels.data(), 101, zero_point.data(), 3,
                      converted.data());
  for (int i = 0; i < 101; ++i) {
    EXPECT_EQ(converted[i], pixels[i] - zero_point[i % 3]) << i;
  }
  GetParam()->convert(pixels.data(), 101, nullptr, 0, converted.data());
  for (int i = 0; i < 101; ++i) EXPECT_EQ(converted[i], pixels[i]) << i;
  EXPECT_EQ(converted[101], 7);
}

INSTANTIATE_TEST_SUITE_P(Tables, EpilogueOf,
                         ::testing::ValuesIn(AllKernelTables().begin(),
                                             AllKernelTables().end()),
                         [](const auto& param_info) {
                           return std::string(param_info.param->name);
                         });

}  // namespace
}  // namespace tern
