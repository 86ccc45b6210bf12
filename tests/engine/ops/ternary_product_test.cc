// A ternary layer's op: which kernel a batch runs on, and pooling along the
// way or in scratch.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>

#include "engine/base/aligned_buffer.h"
#include "engine/ops/pool.h"
#include "engine/ops/product.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

ProductLayer RandomLayer(int height, int width, int channels, int filters) {
  std::minstd_rand random(3);
  ProductLayer layer;
  ConvGeometry& g = layer.geometry;
  g.in_h = g.out_h = height;
  g.in_w = g.out_w = width;
  g.in_c = channels;
  g.filters = filters;
  g.kernel_h = g.kernel_w = 3;
  g.pad_top = g.pad_left = 1;
  layer.weights.ternary.resize(std::size_t{9} * channels * filters);
  for (std::int8_t& code : layer.weights.ternary)
    code = static_cast<std::int8_t>(static_cast<int>(random() % 3) - 1);
  layer.weights.multiplier.assign(filters, 0.05F);
  layer.weights.bias.assign(filters, 90.5F);
  return layer;
}

std::unique_ptr<Op> PoolOf(const ConvGeometry& g) {
  PoolLayer layer;
  layer.geometry.in_h = g.out_h;
  layer.geometry.in_w = g.out_w;
  layer.geometry.channels = g.filters;
  layer.geometry.out_h = g.out_h / 2;
  layer.geometry.out_w = g.out_w / 2;
  layer.geometry.kernel_h = layer.geometry.kernel_w = 2;
  layer.geometry.stride_h = layer.geometry.stride_w = 2;
  return MakePool(ReferenceKernels(), layer);
}

std::vector<std::uint8_t> RandomBytes(std::size_t size, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<std::uint8_t> bytes(size);
  std::generate(bytes.begin(), bytes.end(), random);
  return bytes;
}

// `output_bytes` of one picture.
std::vector<std::uint8_t> RunOp(const Op& op, const ProductLayer& layer,
                                std::size_t output_bytes, int batch,
                                int threads) {
  const ConvGeometry& g = layer.geometry;
  const std::size_t inputs = std::size_t{1} * batch * g.in_h * g.in_w * g.in_c;
  AlignedBuffer input(inputs);
  const auto bytes = RandomBytes(inputs, 5);
  std::copy(bytes.begin(), bytes.end(), input.as<std::uint8_t>());
  const auto residual =
      RandomBytes(std::size_t{1} * batch * g.out_h * g.out_w * g.filters, 6);
  AlignedBuffer scratch(op.ScratchBytes(batch, threads));
  std::vector<std::uint8_t> output(output_bytes * batch);
  ThreadPool pool(threads);
  OpCall call;
  call.batch = batch;
  call.input = input.data();
  if (layer.has_residual) call.residual = residual.data();
  call.output = output.data();
  call.scratch = scratch.data();
  call.pool = &pool;
  EXPECT_TRUE(op.Run(call).ok());
  return output;
}

// Whether they do it along the way or not.
TEST(TernaryProduct, EveryKernelPools) {
  // An odd row and column; more pictures than are pooled at a time.
  for (const auto& [height, width, batch] :
       {std::tuple{9, 7, 3}, {8, 8, 1}, {64, 72, 8}}) {
    for (const bool residual : {false, true}) {
      ProductLayer layer = RandomLayer(height, width, 16, 64);
      layer.has_residual = residual;
      layer.residual_scale = 0.25F;
      const std::size_t pooled =
          std::size_t{1} * (height / 2) * (width / 2) * 64;
      const auto op = [&](const ConvKernel& kernel) {
        return MakeTernaryProduct({&kernel}, layer, PoolOf(layer.geometry));
      };
      const auto expected = RunOp(*op(kConvReference), layer, pooled, batch, 1);
      for (const KernelTable* table : TablesToTest()) {
        for (const ConvKernel* kernel : table->conv) {
          for (const int threads : {1, 2}) {
            EXPECT_EQ(RunOp(*op(*kernel), layer, pooled, batch, threads),
                      expected)
                << table->name << " " << kernel->name << ", " << height << "x"
                << width << ", residual " << residual;
          }
        }
      }
    }
  }
}

// The oracle above pools in scratch itself.
TEST(TernaryProduct, PoolingInScratchEqualsAPoolBehindTheLayer) {
  const ProductLayer layer = RandomLayer(64, 72, 16, 64);
  constexpr int kBatch = 8;
  const std::size_t outputs = std::size_t{64} * 72 * 64;
  const auto product = MakeTernaryProduct({&kConvReference}, layer, nullptr);
  auto unpooled = RunOp(*product, layer, outputs, kBatch, 1);
  std::vector<std::uint8_t> expected(unpooled.size() / 4);
  unpooled.resize(unpooled.size() + kOverreadBytes);
  ThreadPool pool(1);
  OpCall call;
  call.batch = kBatch;
  call.input = unpooled.data();
  call.output = expected.data();
  call.pool = &pool;
  ASSERT_TRUE(PoolOf(layer.geometry)->Run(call).ok());
  const auto both =
      MakeTernaryProduct({&kConvReference}, layer, PoolOf(layer.geometry));
  EXPECT_EQ(RunOp(*both, layer, outputs / 4, kBatch, 1), expected);
}

TEST(TernaryProduct, EachBatchRunsOnTheKernelThatPredictsTheLeast) {
  ConvKernel small = kConvReference;
  small.name = "small";
  small.predicted_ns = [](const ConvGeometry&, int batch) {
    return 10.0 * batch;
  };
  ConvKernel large = kConvReference;
  large.name = "large";
  large.predicted_ns = [](const ConvGeometry&, int batch) {
    return 25.0 + batch;
  };
  const auto op =
      MakeTernaryProduct({&small, &large}, RandomLayer(3, 3, 16, 4), nullptr);
  EXPECT_EQ(op->Kernel(1), "small");
  EXPECT_EQ(op->Kernel(2), "small");
  EXPECT_EQ(op->Kernel(3), "large");
  EXPECT_EQ(op->Kernel(64), "large");
}

// One copy of the weights serves all kernels of a table.
TEST(TernaryProduct, KernelsOfATableReadTheSamePackedWeights) {
  for (const KernelTable* table : AllKernelTables()) {
    for (const ConvKernel* kernel : table->conv) {
      EXPECT_EQ(kernel->pack, table->conv[0]->pack) << table->name;
      EXPECT_EQ(kernel->packed_bytes, table->conv[0]->packed_bytes);
    }
  }
}

}  // namespace
}  // namespace tern
