// Every convolution kernel of every table equals the definition bit for bit.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/conv_case.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

struct NamedKernel {
  const KernelTable* table;
  const ConvKernel* kernel;
};

std::vector<NamedKernel> AllKernels() {
  std::vector<NamedKernel> kernels;
  for (const KernelTable* table : AllKernelTables()) {
    for (const ConvKernel* kernel : table->conv) {
      kernels.push_back({table, kernel});
    }
  }
  return kernels;
}

// Layers with 3x3 kernels and stride 1 often enough for kernels that only take
// those.
ConvGeometry Geometry(std::uint64_t seed) {
  ConvGeometry g = RandomGeometry(seed);
  if (seed % 3 != 0 || g.in_h < 2 || g.in_w < 2) return g;
  g.kernel_h = g.kernel_w = 3;
  g.stride_h = g.stride_w = 1;
  g.pad_top = g.pad_left = 1;
  g.out_h = g.in_h;
  g.out_w = g.in_w;
  return g;
}

class ConvEquality : public ::testing::TestWithParam<NamedKernel> {
 protected:
  const ConvKernel& kernel() const { return *GetParam().kernel; }

  void SetUp() override { SkipUnlessSupported(*GetParam().table); }

  // Compares one in `one_in_` of the cases that the kernel takes, the first
  // among them: a share of all cases could miss each of these.
  void ExpectEqual(const ConvCase& c, int threads) {
    if (!kernel().applies(c.geometry, c.codes.data())) return;
    if (taken_++ % one_in_ != 0) return;
    EXPECT_EQ(RunKernel(c, kernel(), threads, &random_), c.Expected())
        << c.Describe() << ", threads " << threads;
    ++compared_;
  }

  ConvCase Layer(const ConvGeometry& geometry, int batch) {
    return RandomCase(geometry, batch, &random_);
  }

  std::mt19937 random_{20240229};
  int one_in_ = kOneIn;
  int taken_ = 0;
  int compared_ = 0;
};

TEST_P(ConvEquality, RandomLayers) {
  for (std::uint64_t seed = 0; seed < 400 && !HasFailure(); ++seed) {
    ConvCase c = Layer(Geometry(seed), static_cast<int>(seed % 4 + 1));
    SetOutput(&c, static_cast<OutputType>(seed / 2 % 3),
              static_cast<int>(seed % 5 == 0 ? seed % 8 + 1 : 8));
    if (seed / 5 % 3 == 1) AddResidual(&c, OutputType::kU8, &random_);
    if (seed / 5 % 3 == 2) AddResidual(&c, OutputType::kS16, &random_);
    if (seed % 7 == 0) AddPadValue(&c, &random_);
    ExpectEqual(c, static_cast<int>(seed / 4 % 4 + 1));
  }
  EXPECT_GT(compared_, 0);
}

// All zeros, all 255, only these two; all +1, all -1, mostly zeros.
TEST_P(ConvEquality, ExtremeInputsAndWeights) {
  one_in_ = std::min(kOneIn, 7);
  for (std::uint64_t seed = 0; seed < 48; ++seed) {
    ConvCase c = Layer(Geometry(seed + 1000), 1);
    SetOutput(&c, seed % 2 == 0 ? OutputType::kF32 : OutputType::kU8);
    const auto inputs = seed % 4;
    for (std::uint8_t& x : c.input) {
      if (inputs == 1) x = 0;
      if (inputs == 2) x = 255;
      if (inputs == 3) x = x % 2 == 0 ? 0 : 255;
    }
    const auto weights = seed / 4 % 4;
    for (std::int8_t& code : c.codes) {
      if (weights == 1) code = 1;
      if (weights == 2) code = -1;
      if (weights == 3 && random_() % 16 != 0) code = 0;
    }
    ExpectEqual(c, 1);
  }
  EXPECT_GT(compared_, 0);
}

// Fast paths leave clamping to conversions and packing where that is the same.
TEST_P(ConvEquality, ClampsValuesThatLeaveInt32) {
  const ConvGeometry g{.in_h = 6,
                       .in_w = 6,
                       .in_c = 64,
                       .out_h = 6,
                       .out_w = 6,
                       .filters = 64,
                       .kernel_h = 3,
                       .kernel_w = 3,
                       .pad_top = 1,
                       .pad_left = 1};
  one_in_ = std::min(kOneIn, 7);
  for (const OutputType type : {OutputType::kU8, OutputType::kS16}) {
    for (const float low : {0.0F, 3.0F}) {
      for (const float bias : {-1e30F, -3e9F, -40.0F, 3e9F, 1e30F}) {
        ConvCase c = Layer(g, 1);
        SetOutput(&c, type);
        if (type == OutputType::kU8) c.epilogue.low = low;
        std::fill(c.bias.begin(), c.bias.end(), bias);
        ExpectEqual(c, 1);
      }
    }
  }
  EXPECT_GT(compared_, 0);
}

TEST_P(ConvEquality, EveryBatchTo33) {
  const ConvGeometry square{.in_h = 5,
                            .in_w = 6,
                            .in_c = 24,
                            .out_h = 5,
                            .out_w = 6,
                            .filters = 20,
                            .kernel_h = 3,
                            .kernel_w = 3,
                            .pad_top = 1,
                            .pad_left = 1};
  const ConvGeometry linear{.in_c = 77, .filters = 131};
  one_in_ = std::min(kOneIn, 17);
  for (int batch = 1; batch <= 33; ++batch) {
    for (const int threads : {1, 2, 3, 4}) {
      ExpectEqual(Layer(square, batch), threads);
      ExpectEqual(Layer(linear, batch), threads);
    }
  }
  EXPECT_GT(compared_, 0);
}

// Kernels that keep something of their input or weights in scratch keep parts
// of these, several at a time, or nothing at all.
TEST_P(ConvEquality, LayersThatExceedScratch) {
  one_in_ = std::min(kOneIn, 3);
  ExpectEqual(Layer({.in_c = 1000, .filters = 70}, 200), 1);
  ExpectEqual(Layer({.in_c = 4700, .filters = 150}, 90), 1);
  ExpectEqual(Layer({.in_c = 10500, .filters = 70}, 40), 2);
  if (!kernel().name.starts_with("direct")) return;
  EXPECT_GT(compared_, 0);
}

// The layers that the networks of this project have. Winograd takes none: it
// needs more channels.
TEST_P(ConvEquality, FirstLayers) {
  one_in_ = std::min(kOneIn, 5);
  for (const int channels : {1, 3}) {
    for (const int kernel_size : {3, 5, 7}) {
      for (const int stride : {1, 2}) {
        for (const int pad : {0, kernel_size / 2}) {
          ConvGeometry g;
          g.in_h = 23;
          g.in_w = 30;
          g.in_c = channels;
          g.filters = 32;
          g.kernel_h = g.kernel_w = kernel_size;
          g.stride_h = g.stride_w = stride;
          g.pad_top = g.pad_left = pad;
          g.out_h = (g.in_h + 2 * pad - kernel_size) / stride + 1;
          g.out_w = (g.in_w + 2 * pad - kernel_size) / stride + 1;
          ExpectEqual(Layer(g, 2), 2);
          ConvCase padded = Layer(g, 3);
          AddPadValue(&padded, &random_);
          ExpectEqual(padded, 1);
        }
      }
    }
  }
}

constexpr auto kNameOf = [](const auto& param_info) {
  return std::string(param_info.param.table->name) + "_" +
         std::string(param_info.param.kernel->name);
};

INSTANTIATE_TEST_SUITE_P(Kernels, ConvEquality,
                         ::testing::ValuesIn(AllKernels()), kNameOf);

// Of the kernels that can pool what they compute. GoogleTest fails where that
// is none.
std::vector<NamedKernel> FusingKernels() {
  const ConvGeometry g{.in_h = 8,
                       .in_w = 8,
                       .in_c = 16,
                       .out_h = 8,
                       .out_w = 8,
                       .filters = 16,
                       .kernel_h = 3,
                       .kernel_w = 3,
                       .pad_top = 1,
                       .pad_left = 1};
  std::vector<NamedKernel> kernels = AllKernels();
  std::erase_if(kernels, [&g](const NamedKernel& named) {
    return !named.kernel->fuses_max_pool(g);
  });
  return kernels;
}

class FusedMaxPool : public ConvEquality {};

TEST_P(FusedMaxPool, EqualsThePooledOutput) {
  one_in_ = std::min(kOneIn, 10);
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    const ConvGeometry g = Geometry(3 * seed);
    if (g.out_h < 2 || g.out_w < 2 || !kernel().fuses_max_pool(g)) continue;
    ConvCase c = Layer(g, static_cast<int>(seed % 3 + 1));
    c.epilogue.max_pool_2x2 = true;
    ExpectEqual(c, static_cast<int>(seed % 2 + 1));
  }
  EXPECT_GT(compared_, 0);
}

#if !defined(__x86_64__)
// Only Winograd does, which is for x86-64.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FusedMaxPool);
#endif
INSTANTIATE_TEST_SUITE_P(Kernels, FusedMaxPool,
                         ::testing::ValuesIn(FusingKernels()), kNameOf);

}  // namespace
}  // namespace tern
