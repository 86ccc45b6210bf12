// The most that any direct int8 convolution could do on this core: a loop of
// nothing but the fastest multiply-accumulate that a kernel table has.

#ifndef TERN_TESTS_BENCH_PEAK_H_
#define TERN_TESTS_BENCH_PEAK_H_

#include "engine/kernels/kernel_table.h"

namespace tern::bench {

struct Peak {
  const char* instruction;
  // Runs the loop for some hundred microseconds; returns the seconds that one
  // billion multiply-accumulates take.
  double (*seconds_per_giga_mac)();
  // A oneDNN whose int8 convolutions reach less than this share of the peak
  // proves nothing.
  double weakest_peer;
};

// tdpbusd for the table "amx", which must be supported; for all others
// vpdpbusd on 512-bit registers, or null where this CPU lacks AVX-512 VNNI.
const Peak* PeakOf(const KernelTable& kernels);

}  // namespace tern::bench

#endif  // TERN_TESTS_BENCH_PEAK_H_
