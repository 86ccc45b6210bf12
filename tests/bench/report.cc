#include "tests/bench/report.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace tern::bench {

void Report::Add(const std::string& name, const std::string& unit,
                 const Statistics& value) {
  entries_.push_back({name, unit, value});
}

void Report::AddNumber(const std::string& name, const std::string& unit,
                       double value) {
  Add(name, unit, {.median = value, .min = value, .spread = 0});
}

void Report::Invalidate(const std::string& why) { invalid_.push_back(why); }

absl::Status Report::WriteJson(const std::string& path) const {
  nlohmann::json list = nlohmann::json::array();
  for (const Entry& e : entries_) {
    list.push_back({{"name", e.name},
                    {"median", e.value.median},
                    {"min", e.value.min},
                    {"unit", e.unit},
                    {"spread", e.value.spread}});
  }
  if (!invalid_.empty()) {
    const auto reasons = static_cast<double>(invalid_.size());
    list.push_back({{"name", "invalid"},
                    {"median", reasons},
                    {"min", reasons},
                    {"unit", "reasons"},
                    {"spread", 0}});
  }
  std::ofstream file(path);
  file << list.dump(1) << "\n";
  file.close();
  if (!file) return absl::UnavailableError("cannot write " + path);
  return absl::OkStatus();
}

std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  std::string name;
  std::string family;
  std::string line;
  while (std::getline(file, line) && !line.empty()) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || colon + 2 > line.size()) continue;
    const std::string value = line.substr(colon + 2);
    if (line.starts_with("model name")) name = value;
    if (line.starts_with("cpu family")) family = value;
  }
  return absl::StrCat(name, ", family ", family);
}

}  // namespace tern::bench
