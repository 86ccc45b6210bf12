// The CPU quota of this process's control group, versions 1 and 2.

#ifndef TERN_ENGINE_BASE_CGROUP_H_
#define TERN_ENGINE_BASE_CGROUP_H_

#include <optional>
#include <string>

namespace tern {

// CPUs' worth of time per period that the tightest group from this process's
// own up to the root allows; nothing where none sets a limit. Reads
// <root>/proc/self/cgroup and <root>/sys/fs/cgroup; `root` is empty except in
// tests.
std::optional<double> CgroupCpuLimit(const std::string& root = "");

}  // namespace tern

#endif  // TERN_ENGINE_BASE_CGROUP_H_
