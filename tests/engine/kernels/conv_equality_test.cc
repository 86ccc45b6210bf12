// Every convolution kernel of every table equals the reference bit for bit.

#include <gtest/gtest.h>

#include <string>

#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/conv_tester.h"
#include "tests/testing/required_isa.h"

namespace tern {
namespace {

using testing::ConvTester;
using testing::Inputs;
using testing::RandomGeometry;
using testing::Residual;
using testing::Weights;

// Sanitizers slow these loops down ten to a hundred times; they see a share of
// the cases, all of which release builds compare.
#if defined(__SANITIZE_THREAD__)
constexpr int kOneIn = 40;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int kOneIn = 5;
#else
constexpr int kOneIn = 1;
#endif

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

class ConvEquality : public ::testing::TestWithParam<NamedKernel> {
 protected:
  const ConvKernel& kernel() const { return *GetParam().kernel; }

  void SetUp() override {
    SkipUnlessSupported(GetParam().table->name,
                        GetParam().table->is_supported());
  }

  void ExpectEqual(const ConvTester& tester) {
    if (!tester.AppliesTo(kernel())) return;
    tester.ExpectEqualsReference(kernel());
    ++compared_;
  }

  void TearDown() override {
    if (!IsSkipped()) {
      EXPECT_GT(compared_, 0) << "no layer of this test suits the kernel";
    }
  }

  int compared_ = 0;
};

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

TEST_P(ConvEquality, RandomLayers) {
  for (std::uint64_t seed = 0; seed < 400; seed += kOneIn) {
    ConvTester tester(Geometry(seed));
    tester.Seed(seed)
        .Batch(static_cast<int>(seed % 4 + 1))
        .Threads(static_cast<int>(seed / 4 % 4 + 1))
        .WithResidual(static_cast<Residual>(seed / 5 % 3))
        .Output(static_cast<OutputType>(seed / 2 % 3))
        .Bits(static_cast<int>(seed % 5 == 0 ? seed % 8 + 1 : 8));
    if (seed % 7 == 0) tester.PadValue();
    ExpectEqual(tester);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

TEST_P(ConvEquality, ExtremeInputsAndWeights) {
  for (std::uint64_t seed = 0; seed < 48; seed += std::min(kOneIn, 7)) {
    ConvTester tester(Geometry(seed + 1000));
    tester.Seed(seed)
        .OfInputs(static_cast<Inputs>(seed % 4))
        .OfWeights(static_cast<Weights>(seed / 4 % 4))
        .Output(seed % 2 == 0 ? OutputType::kF32 : OutputType::kU8);
    ExpectEqual(tester);
  }
}

TEST_P(ConvEquality, FusedMaxPool) {
  int pooled = 0;
  for (std::uint64_t seed = 0; seed < 120; seed += std::min(kOneIn, 10)) {
    const ConvGeometry g = Geometry(3 * seed);
    if (g.out_h < 2 || g.out_w < 2 || !kernel().fuses_max_pool(g)) continue;
    ConvTester tester(g);
    tester.Seed(seed)
        .Batch(static_cast<int>(seed % 3 + 1))
        .Threads(static_cast<int>(seed % 2 + 1))
        .MaxPool();
    if (!tester.AppliesTo(kernel())) continue;
    ExpectEqual(tester);
    ++pooled;
  }
  compared_ = 1;
  if (pooled == 0) GTEST_SKIP() << "does not fuse max-pool";
}

TEST_P(ConvEquality, EveryBatchTo33) {
  ConvGeometry g{.in_h = 5,
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
  for (int batch = 1; batch <= 33; batch += std::min(kOneIn, 16)) {
    for (const int threads : {1, 2, 3, 4}) {
      ExpectEqual(ConvTester(g).Batch(batch).Threads(threads).Seed(batch));
      ExpectEqual(ConvTester(linear).Batch(batch).Threads(threads).Seed(batch));
    }
  }
}

// The layers that the networks of this project have.
TEST_P(ConvEquality, FirstLayers) {
  for (const int channels : {1, 3}) {
    for (const int kernel_size : {3, 5, 7}) {
      if (kOneIn > 10 && kernel_size != 5) continue;
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
          ExpectEqual(ConvTester(g).Batch(2).Threads(2));
          ExpectEqual(ConvTester(g).Batch(3).PadValue());
        }
      }
    }
  }
  // Winograd kernels need more channels.
  compared_ = 1;
}

INSTANTIATE_TEST_SUITE_P(Kernels, ConvEquality,
                         ::testing::ValuesIn(AllKernels()),
                         [](const auto& param_info) {
                           return std::string(param_info.param.table->name) +
                                  "_" +
                                  std::string(param_info.param.kernel->name);
                         });

}  // namespace
}  // namespace tern
