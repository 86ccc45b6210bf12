#include "engine/base/cgroup.h"

#include <algorithm>
#include <fstream>

namespace tern {
namespace {

void Tighten(std::optional<double>& limit, double cpus) {
  limit = limit.has_value() ? std::min(*limit, cpus) : cpus;
}

// Version 2: "<quota> <period>" or "max <period>", in microseconds.
void ReadCpuMax(const std::string& folder, std::optional<double>& limit) {
  std::ifstream file(folder + "/cpu.max");
  double quota = 0;
  double period = 0;
  if (file >> quota >> period && quota > 0 && period > 0) {
    Tighten(limit, quota / period);
  }
}

// Version 1: a quota of -1 means none.
void ReadCfsQuota(const std::string& folder, std::optional<double>& limit) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) {
    Tighten(limit, quota / period);
  }
}

// Calls read for `mount`/path and every folder above it up to `mount`. Inside
// a container the path may name folders that only the host sees; those fail
// to open and the mount itself still counts.
template <typename Read>
void ForEachAncestor(const std::string& mount, std::string path, Read read) {
  while (true) {
    read(mount + path);
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return;
    path.resize(slash);
  }
}

bool HasController(const std::string& list, const std::string& name) {
  return ("," + list + ",").find("," + name + ",") != std::string::npos;
}

}  // namespace

std::optional<double> CgroupCpuLimit(const std::string& root) {
  std::optional<double> limit;
  const std::string mount = root + "/sys/fs/cgroup";
  std::ifstream file(root + "/proc/self/cgroup");
  // Lines are "hierarchy:controllers:path"; version 2 has no controllers.
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second =
        first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    if (controllers.empty()) {
      ForEachAncestor(mount, path, [&limit](const std::string& folder) {
        ReadCpuMax(folder, limit);
      });
    } else if (HasController(controllers, "cpu")) {
      for (const char* name : {"/cpu", "/cpu,cpuacct"}) {
        ForEachAncestor(mount + name, path,
                        [&limit](const std::string& folder) {
                          ReadCfsQuota(folder, limit);
                        });
      }
    }
  }
  return limit;
}

}  // namespace tern
