#include "tests/bench/peak.h"

#include "tests/bench/measure.h"

namespace tern::bench {
namespace {

constexpr long kIterations = 200000;
constexpr double kMacsPerIteration = 12 * 64;

}  // namespace

bool HasPeakInstruction() { return __builtin_cpu_supports("avx512vnni") != 0; }

double SecondsPerGigaMac() {
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

}  // namespace tern::bench
