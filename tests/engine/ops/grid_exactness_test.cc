// Grid layers yield the same bits whatever code oneDNN chooses: for every
// instruction set that it can be limited to, thread count, batch and table.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

#include "absl/strings/str_split.h"
#include "engine/kernels/kernels.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What grid_hash prints with these settings of oneDNN.
std::string HashOf(const std::string& environment, const std::string& table,
                   int threads) {
  const std::string command =
      environment + " OMP_NUM_THREADS=" + std::to_string(threads) + " " +
      GRID_HASH_PROGRAM + " " + table + " " + std::to_string(threads);
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "cannot run " + command;
  std::string output;
  std::array<char, 256> piece;
  while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) {
    output += piece.data();
  }
  const int status = pclose(pipe);
  EXPECT_EQ(status, 0) << command;
  return output;
}

TEST(GridExactness, OneHashForAllIsasThreadsBatchesAndTables) {
  const std::string expected = HashOf("", "reference", 1);
  ASSERT_EQ(expected.size(), 65) << expected;
  // The last lets oneDNN round to bfloat16 where nobody forbids it.
  for (const std::string environment :
       {"ONEDNN_MAX_CPU_ISA=SSE41", "ONEDNN_MAX_CPU_ISA=AVX2",
        "ONEDNN_MAX_CPU_ISA=DEFAULT", "ONEDNN_DEFAULT_FPMATH_MODE=BF16"}) {
    for (const KernelTable* table : TablesToTest()) {
      for (const int threads : {1, 2}) {
        EXPECT_EQ(HashOf(environment, std::string(table->name), threads),
                  expected)
            << environment << " " << table->name << " threads " << threads;
      }
    }
  }
}

// By oneDNN's own account, so that it also fails on CPUs that would not round.
TEST(GridExactness, AsksOneDnnForDirectAlgorithmsInStrictFloat32) {
  int products = 0;
  const std::string output = HashOf(
      "ONEDNN_VERBOSE=1 ONEDNN_DEFAULT_FPMATH_MODE=BF16", "reference", 1);
  for (const absl::string_view line : absl::StrSplit(output, '\n')) {
    const bool convolution = absl::StrContains(line, ",convolution,");
    if (!convolution && !absl::StrContains(line, ",inner_product,")) continue;
    ++products;
    ASSERT_THAT(std::string(line), Not(HasSubstr("bf16")));
    if (convolution) {
      ASSERT_THAT(std::string(line), HasSubstr("alg:convolution_direct"));
    }
  }
  EXPECT_GT(products, 33) << output;
}

}  // namespace
}  // namespace tern
