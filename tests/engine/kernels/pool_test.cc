// Pooling of every table: worked examples, and equality with the reference.

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

class PoolOf : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  void SetUp() override { SkipUnlessSupported(*GetParam()); }
};

TEST_P(PoolOf, MaxNeverChoosesPadding) {
  PoolGeometry g;
  g.in_h = g.in_w = 2;
  g.channels = 1;
  g.out_h = g.out_w = 2;
  g.kernel_h = g.kernel_w = 2;
  g.stride_h = g.stride_w = 2;
  g.pad_top = g.pad_left = 1;
  std::vector<std::int16_t> input = {-5, -6, -7, -8};
  const std::vector<std::int16_t> expected = input;
  input.resize(input.size() + kOverreadBytes);
  std::vector<std::int16_t> output(4);
  PoolCall call;
  call.geometry = &g;
  call.input_type = OutputType::kS16;
  call.input = input.data();
  call.output = output.data();
  GetParam()->max_pool(call, 0, 2);
  EXPECT_EQ(output, expected);
}

TEST_P(PoolOf, AverageCountsPaddingAsZerosAndRoundsHalfToEven) {
  PoolGeometry g;
  g.in_h = 1;
  g.in_w = 3;
  g.channels = 1;
  g.out_h = 1;
  g.out_w = 2;
  g.kernel_h = 1;
  g.kernel_w = g.stride_w = 2;
  std::vector<std::uint8_t> input = {2, 3, 7};
  input.resize(input.size() + kOverreadBytes);
  std::vector<std::uint8_t> output(2);
  PoolCall call;
  call.geometry = &g;
  call.input = input.data();
  call.output = output.data();
  call.multiplier = 0.5F;
  GetParam()->average_pool(call, 0, 1);
  // 5/2 and (7 + padding)/2, both half-way.
  EXPECT_EQ(output, (std::vector<std::uint8_t>{2, 4}));
}

PoolGeometry RandomPool(std::mt19937& random) {
  const auto between = [&random](int low, int high) {
    return low + static_cast<int>(random() % (high - low + 1));
  };
  PoolGeometry g;
  g.kernel_h = between(1, 4);
  g.kernel_w = between(1, 4);
  g.stride_h = between(1, 3);
  g.stride_w = between(1, 3);
  g.pad_top = between(0, g.kernel_h - 1);
  g.pad_left = between(0, g.kernel_w - 1);
  g.in_h = between(g.kernel_h, 9);
  g.in_w = between(g.kernel_w, 9);
  g.out_h = (g.in_h + g.pad_top - g.kernel_h) / g.stride_h + 1;
  g.out_w = (g.in_w + g.pad_left - g.kernel_w) / g.stride_w + 1;
  g.channels = between(1, 140);
  return g;
}

TEST_P(PoolOf, EqualsTheReference) {
  std::mt19937 random(9);
  for (int round = 0; round < 300; ++round) {
    const PoolGeometry g = RandomPool(random);
    const int batch = round % 3 + 1;
    const auto type = round % 2 == 0 ? OutputType::kU8 : OutputType::kS16;
    std::vector<std::uint8_t> input(std::size_t{1} * batch * g.in_h * g.in_w *
                                        g.channels * ElementBytes(type) +
                                    kOverreadBytes);
    for (std::uint8_t& x : input) x = static_cast<std::uint8_t>(random());
    const std::size_t bytes = std::size_t{1} * batch * g.out_h * g.out_w *
                              g.channels * ElementBytes(type);
    std::vector<std::uint8_t> expected(bytes + 1, 0xA5);
    std::vector<std::uint8_t> actual(bytes + 1, 0xA5);
    PoolCall call;
    call.geometry = &g;
    call.input_type = call.output_type = type;
    call.input = input.data();
    call.multiplier = 1.0F / static_cast<float>(g.kernel_h * g.kernel_w);
    if (type == OutputType::kS16) {
      call.low = -32768;
      call.high = 32767;
    }
    const int rows = batch * g.out_h;
    for (const bool average : {false, true}) {
      const auto run = [&](const KernelTable& table, void* output) {
        call.output = output;
        const PoolFunction pool = average ? table.average_pool : table.max_pool;
        pool(call, 0, rows / 2);
        pool(call, rows / 2, rows - rows / 2);
      };
      run(ReferenceKernels(), expected.data());
      run(*GetParam(), actual.data());
      ASSERT_EQ(actual, expected)
          << "round " << round << " average " << average;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, PoolOf,
                         ::testing::ValuesIn(AllKernelTables().begin(),
                                             AllKernelTables().end()),
                         [](const auto& param_info) {
                           return std::string(param_info.param->name);
                         });

}  // namespace
}  // namespace tern
