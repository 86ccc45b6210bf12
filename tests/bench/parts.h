// The parts of a run of tern-bench. Each prints its table and adds to the
// report.

#ifndef TERN_TESTS_BENCH_PARTS_H_
#define TERN_TESTS_BENCH_PARTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/kernels/kernel_table.h"
#include "tests/bench/network.h"
#include "tests/bench/peak.h"
#include "tests/bench/report.h"

namespace tern::bench {

struct Options {
  std::vector<Network> networks;
  std::string networks_folder;
  std::vector<int> batches;
  int rounds = 15;
  std::string filter;  // part of a result's name; empty: all
  const KernelTable* kernels = nullptr;
  const Peak* peak = nullptr;  // of these kernels
};

// peak/int8.
void RunPeak(const Options& options, Report* report);

// Every layer's shape: ours and three peers.
absl::Status RunLayers(const Options& options, Report* report);

// Every layer on every kernel that takes it: whether the planner chooses well.
absl::Status RunChoice(const Options& options, Report* report);

// Whole networks, the same contenders.
absl::Status RunNetworks(const Options& options, Report* report);

// The AVX2 table against oneDNN limited to AVX2, in a child process.
absl::Status RunAvx2(const Options& options, Report* report);

// Two cores: one session with two threads, two sessions with one, against the
// peak loop on two threads.
absl::Status RunScaling(const Options& options, Report* report);

// Bytes of weights, activations and scratch.
absl::Status RunMemory(const Options& options, Report* report);

}  // namespace tern::bench

#endif  // TERN_TESTS_BENCH_PARTS_H_
