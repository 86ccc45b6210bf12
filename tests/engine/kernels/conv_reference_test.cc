// The reference convolution against sums worked out by hand.

#include <gtest/gtest.h>

#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/kernels/kernels.h"

namespace tern {
namespace {

std::vector<float> Convolve(const ConvGeometry& g, int batch,
                            const std::vector<std::uint8_t>& input,
                            const std::vector<std::int8_t>& codes,
                            const std::vector<std::uint8_t>& pad = {}) {
  const std::vector<float> multiplier(g.filters, 1.0F);
  const std::vector<float> bias(g.filters, 0.0F);
  std::vector<float> output(std::size_t{1} * batch * g.out_h * g.out_w *
                            g.filters);
  AlignedBuffer packed(kConvReference.packed_bytes(g));
  kConvReference.pack(g, codes.data(), packed.as<std::uint8_t>());
  AlignedBuffer scratch(kConvReference.scratch_bytes(g, batch, 1));
  ConvCall call;
  call.geometry = &g;
  call.batch = batch;
  call.input = input.data();
  call.pad_value = pad.empty() ? nullptr : pad.data();
  call.packed = packed.as<std::uint8_t>();
  call.epilogue.multiplier = multiplier.data();
  call.epilogue.bias = bias.data();
  call.epilogue.output_type = OutputType::kF32;
  call.output = output.data();
  kConvReference.begin(call, 1, scratch.data());
  for (int task = 0; task < kConvReference.tasks(g, batch, 1); ++task) {
    kConvReference.run(call, 1, task, scratch.data());
  }
  return output;
}

TEST(ConvReference, LinearIsARowTimesEachFilter) {
  const ConvGeometry g{.in_c = 3, .filters = 2};
  EXPECT_EQ(Convolve(g, 2, {1, 2, 3, 255, 0, 10}, {1, -1, 1, 0, 1, 1}),
            (std::vector<float>{2, 5, 265, 10}));
}

TEST(ConvReference, ThreeByThreeWithPadding) {
  const ConvGeometry g{.in_h = 2,
                       .in_w = 2,
                       .in_c = 1,
                       .out_h = 2,
                       .out_w = 2,
                       .filters = 1,
                       .kernel_h = 3,
                       .kernel_w = 3,
                       .pad_top = 1,
                       .pad_left = 1};
  // The kernel's rows: (1 0 0) (0 1 0) (0 0 -1).
  EXPECT_EQ(Convolve(g, 1, {1, 2, 3, 4}, {1, 0, 0, 0, 1, 0, 0, 0, -1}),
            (std::vector<float>{1 - 4, 2, 3, 1 + 4}));
}

TEST(ConvReference, PaddingReadsThePadValueOfItsChannel) {
  const ConvGeometry g{.in_h = 1,
                       .in_w = 1,
                       .in_c = 2,
                       .out_h = 1,
                       .out_w = 1,
                       .filters = 1,
                       .kernel_h = 1,
                       .kernel_w = 3,
                       .pad_left = 1};
  // Taps: (pad, pad), (pixel), (pad, pad).
  EXPECT_EQ(Convolve(g, 1, {100, 50}, {1, -1, 1, 1, 1, 0}, {7, 3}),
            (std::vector<float>{7 - 3 + 150 + 7}));
}

TEST(ConvReference, StridesSkipPositions) {
  const ConvGeometry g{.in_h = 3,
                       .in_w = 5,
                       .in_c = 1,
                       .out_h = 2,
                       .out_w = 2,
                       .filters = 1,
                       .kernel_h = 1,
                       .kernel_w = 2,
                       .stride_h = 2,
                       .stride_w = 3};
  EXPECT_EQ(Convolve(g, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14},
                     {1, 1}),
            (std::vector<float>{1, 7, 21, 27}));
}

}  // namespace
}  // namespace tern
