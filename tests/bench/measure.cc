#include "tests/bench/measure.h"

#include <time.h>

#include <algorithm>
#include <utility>

namespace tern::bench {
namespace {

constexpr double kShortestSample = 5e-3;  // seconds

double TimeOf(const std::function<void()>& call, int calls) {
  const double begin = ThreadSeconds();
  for (int i = 0; i < calls; ++i) call();
  return (ThreadSeconds() - begin) / calls;
}

}  // namespace

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec);
}

Contender TimeCalls(std::function<void()> call) {
  return [call = std::move(call), calls = 0]() mutable {
    call();
    if (calls == 0)
      calls = 1 + static_cast<int>(kShortestSample / TimeOf(call, 1));
    return TimeOf(call, calls);
  };
}

Statistics Summarize(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const std::size_t n = samples.size();
  Statistics s;
  s.min = samples[0];
  s.median = samples[n / 2];
  s.spread = (samples[3 * n / 4] - samples[n / 4]) / s.median;
  return s;
}

std::vector<Statistics> RunInterleaved(const std::vector<Contender>& contenders,
                                       int rounds) {
  std::vector<std::vector<double>> samples(contenders.size());
  // The first round warms up: thread pools, page faults.
  for (int round = -1; round < rounds; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      const double seconds = contenders[i]();
      if (round >= 0) samples[i].push_back(seconds);
    }
  }
  std::vector<Statistics> statistics;
  statistics.reserve(samples.size());
  for (auto& s : samples) statistics.push_back(Summarize(std::move(s)));
  return statistics;
}

}  // namespace tern::bench
