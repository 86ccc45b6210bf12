// Everything that can be measured on a whole network, by name: "tern",
// "onednn_int8_direct", "onednn_int8_winograd", "onednn_f32".

#ifndef TERN_TESTS_BENCH_CONTENDERS_H_
#define TERN_TESTS_BENCH_CONTENDERS_H_

#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/kernels/kernel_table.h"
#include "tests/bench/measure.h"
#include "tests/bench/network.h"

namespace tern::bench {

absl::StatusOr<Contender> MakeNetworkContender(const Network& network,
                                               const std::string& who,
                                               int batch,
                                               const KernelTable& kernels);

// Answers requests on standard input, one a line: "<network> <batch> <who>"
// runs once and yields "<seconds>" or "error <text>". For peers that need a
// process of their own, and for programs in other languages.
absl::Status Serve(const std::string& networks, const KernelTable& kernels);

// Another tern-bench that serves, with one more environment variable.
class Child {
 public:
  // INTERNAL where the program cannot be started.
  static absl::StatusOr<std::unique_ptr<Child>> Start(
      const std::string& networks, const std::string& variable,
      const std::string& value);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Seconds of one run there; INTERNAL with the child's own words.
  absl::StatusOr<double> Run(const std::string& request);

 private:
  Child(int pid, int to_child, int from_child);
  int pid_;
  int to_child_;
  std::FILE* from_child_;
};

}  // namespace tern::bench

#endif  // TERN_TESTS_BENCH_CONTENDERS_H_
