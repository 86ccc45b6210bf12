// Grid layers yield the same bits whatever code oneDNN chooses: for every
// instruction set that it can be limited to, thread count, batch and table.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

#include "engine/kernels/kernels.h"

namespace tern {
namespace {

std::string HashOf(const std::string& onednn_isa, int omp_threads,
                   const std::string& table, int threads) {
  const std::string command =
      "ONEDNN_MAX_CPU_ISA=" + onednn_isa +
      " OMP_NUM_THREADS=" + std::to_string(omp_threads) + " " +
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
  const std::string expected = HashOf("DEFAULT", 1, "reference", 1);
  ASSERT_EQ(expected.size(), 65) << expected;
  for (const std::string onednn_isa : {"SSE41", "AVX2", "DEFAULT"}) {
    for (const KernelTable* table : AllKernelTables()) {
      if (!table->is_supported()) continue;
      for (const int threads : {1, 2}) {
        EXPECT_EQ(
            HashOf(onednn_isa, threads, std::string(table->name), threads),
            expected)
            << onednn_isa << " " << table->name << " threads " << threads;
      }
    }
  }
}

}  // namespace
}  // namespace tern
