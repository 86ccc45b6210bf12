#include <random>

#include "engine/kernels/kernels.h"
#include "gtest/gtest.h"
#include "tests/engine/kernels/conv_case.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

// What winograd_test samples, at length.
TEST(WinogradLongTest, EqualsTheDefinitionOnRandomLayers) {
  int kernels = 0;
  for (const KernelTable* table : TablesToTest()) {
    for (const ConvKernel* kernel : table->conv) {
      if (kernel->name != "winograd") continue;
      ++kernels;
      std::mt19937 random(7);
      for (int trial = 0; trial < 2500; ++trial) {
        const ConvCase c = Random3x3Case(&random);
        const int threads = 1 + trial % 4;
        ASSERT_EQ(RunKernel(c, *kernel, threads, &random), c.Expected())
            << table->name << ": " << c.Describe() << ", threads " << threads;
      }
    }
  }
  if (kernels == 0) GTEST_SKIP() << "no table of this CPU has Winograd";
}

}  // namespace
}  // namespace tern
