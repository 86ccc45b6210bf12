// Interleaved timing: every contender runs once in each round, so that a busy
// or slow moment of the machine hits all of them. Ratios of medians are what
// counts.

#ifndef TERN_TESTS_BENCH_MEASURE_H_
#define TERN_TESTS_BENCH_MEASURE_H_

#include <functional>
#include <string>
#include <vector>

namespace tern::bench {

// Runs once and returns the seconds that one call took.
using Contender = std::function<double()>;

// CPU time of the calling thread. Everything measured on one thread uses it:
// what other processes take from the core does not count.
double ThreadSeconds();

// Times `call` so often at a stretch that the clock does not matter, after one
// call that warms the caches.
Contender TimeCalls(std::function<void()> call);

// In the unit of the samples. spread: (third - first quartile) / median.
struct Statistics {
  double median = 0;
  double min = 0;
  double spread = 0;
};
Statistics Summarize(std::vector<double> samples);

// One entry for each contender.
std::vector<Statistics> RunInterleaved(const std::vector<Contender>& contenders,
                                       int rounds);

}  // namespace tern::bench

#endif  // TERN_TESTS_BENCH_MEASURE_H_
