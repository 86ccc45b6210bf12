// What a run found: a flat list for programs, tables for people.

#ifndef TERN_TESTS_BENCH_REPORT_H_
#define TERN_TESTS_BENCH_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/bench/measure.h"

namespace tern::bench {

struct Entry {
  std::string name;  // "layer/vgg7/c2/b8/tern"
  std::string unit;  // "ms", "GMAC/s", "bytes", "ratio"
  Statistics value;
};

class Report {
 public:
  void Add(const std::string& name, const std::string& unit,
           const Statistics& value);
  void AddNumber(const std::string& name, const std::string& unit,
                 double value);
  // A reason why the ratios of this run prove nothing; printed last.
  void Invalidate(const std::string& why);

  const std::vector<std::string>& invalid() const { return invalid_; }

  // [{"name": ..., "median": ..., "min": ..., "unit": ..., "spread": ...}];
  // an invalid run has an entry "invalid" with the number of reasons.
  absl::Status WriteJson(const std::string& path) const;

 private:
  std::vector<Entry> entries_;
  std::vector<std::string> invalid_;
};

// "model name" of the first CPU, family and model number.
std::string CpuName();

}  // namespace tern::bench

#endif  // TERN_TESTS_BENCH_REPORT_H_
