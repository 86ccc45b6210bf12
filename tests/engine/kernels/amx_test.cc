// What AMX asks of those who use it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>

#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/conv_case.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

const KernelTable& AmxTable() {
  const auto tables = AllKernelTables();
  return **std::find_if(tables.begin(), tables.end(),
                        [](const auto* table) { return table->name == "amx"; });
}

// Whether this thread's tile registers hold anything, which the operating
// system would have to save.
bool TilesInUse() {
  constexpr std::uint32_t kTileState = 3U << 17;
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
  return (low & kTileState) != 0;
}

class Amx : public ::testing::Test {
 protected:
  void SetUp() override { SkipUnlessSupported(AmxTable()); }
};

TEST_F(Amx, LeavesNoTilesBehind) {
  std::mt19937 random(1);
  for (const ConvKernel* kernel : AmxTable().conv) {
    RunKernel(RandomCase({.in_c = 70, .filters = 33}, 5, &random), *kernel, 1,
              &random);
    EXPECT_FALSE(TilesInUse()) << kernel->name;
  }
}

}  // namespace
}  // namespace tern
