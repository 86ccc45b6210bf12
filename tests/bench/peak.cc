#include "tests/bench/peak.h"

#include "engine/kernels/amx_tiles.h"
#include "tests/bench/measure.h"

namespace tern::bench {
namespace {

double SecondsWithTiles() {
  constexpr long kIterations = 10000;
  constexpr double kMacsPerIteration = 6 * 16 * 16 * 64;
  static constexpr amx::TileConfig kConfig;
  const double begin = ThreadSeconds();
  long n = kIterations;
  asm volatile(
      "ldtilecfg %1\n"
      "1:\n"
      "tdpbusd %%tmm7, %%tmm6, %%tmm0\n"
      "tdpbusd %%tmm7, %%tmm6, %%tmm1\n"
      "tdpbusd %%tmm7, %%tmm6, %%tmm2\n"
      "tdpbusd %%tmm7, %%tmm6, %%tmm3\n"
      "tdpbusd %%tmm7, %%tmm6, %%tmm4\n"
      "tdpbusd %%tmm7, %%tmm6, %%tmm5\n"
      "dec %0\n"
      "jnz 1b\n"
      "tilerelease\n"
      : "+r"(n)
      : "m"(kConfig)
      : "cc");
  return (ThreadSeconds() - begin) / (kIterations * kMacsPerIteration / 1e9);
}

double SecondsWithVectors() {
  constexpr long kIterations = 200000;
  constexpr double kMacsPerIteration = 12 * 64;
  const double begin = ThreadSeconds();
  long n = kIterations;
  // Twelve chains hide the latency of 4 or 5 cycles at two starts a cycle.
  asm volatile(
      "1:\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm16\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm17\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm18\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm19\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm20\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm21\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm22\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm23\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm24\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm25\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm26\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm27\n"
      "dec %0\n"
      "jnz 1b\n"
      : "+r"(n)
      :
      // zmm16..31 are not known to a compiler that builds for older CPUs,
      // which therefore never keeps anything in them.
      : "cc");
  return (ThreadSeconds() - begin) / (kIterations * kMacsPerIteration / 1e9);
}

constexpr Peak kTiles = {"tdpbusd", SecondsWithTiles, 0.45};
constexpr Peak kVectors = {"vpdpbusd", SecondsWithVectors, 0.95};

}  // namespace

const Peak* PeakOf(const KernelTable& kernels) {
  if (KernelTableName(kernels) == "amx") return &kTiles;
  return __builtin_cpu_supports("avx512vnni") != 0 ? &kVectors : nullptr;
}

}  // namespace tern::bench
