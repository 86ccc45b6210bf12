// The most that any direct int8 convolution could do on this core: a loop of
// nothing but vpdpbusd on 512-bit registers.

#ifndef TERN_TESTS_BENCH_PEAK_H_
#define TERN_TESTS_BENCH_PEAK_H_

namespace tern::bench {

// Whether this CPU has AVX-512 VNNI.
bool HasPeakInstruction();

// Runs the loop for about a quarter of a millisecond; returns the seconds that
// one billion multiply-accumulates take.
double SecondsPerGigaMac();

}  // namespace tern::bench

#endif  // TERN_TESTS_BENCH_PEAK_H_
