#include "engine/base/cgroup.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace tern {
namespace {

class CgroupTest : public ::testing::Test {
 protected:
  CgroupTest() {
    root_ = (std::filesystem::temp_directory_path() /
             ("tern_cgroup_" + std::to_string(getpid()) + "_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name()))
                .string();
  }
  ~CgroupTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  std::string root_;
};

TEST_F(CgroupTest, NothingMeansNoLimit) {
  EXPECT_EQ(CgroupCpuLimit(root_), std::nullopt);
}

TEST_F(CgroupTest, Version2) {
  Write("/proc/self/cgroup", "0::/app.slice/tern\n");
  Write("/sys/fs/cgroup/app.slice/tern/cpu.max", "150000 100000\n");
  EXPECT_EQ(CgroupCpuLimit(root_), 1.5);
}

TEST_F(CgroupTest, Version2TakesTheTightestAncestor) {
  Write("/proc/self/cgroup", "0::/app.slice/tern\n");
  Write("/sys/fs/cgroup/app.slice/tern/cpu.max", "max 100000\n");
  Write("/sys/fs/cgroup/app.slice/cpu.max", "400000 100000\n");
  Write("/sys/fs/cgroup/cpu.max", "800000 100000\n");
  EXPECT_EQ(CgroupCpuLimit(root_), 4);
}

TEST_F(CgroupTest, Version2InsideAContainerReadsTheMount) {
  Write("/proc/self/cgroup", "0::/only/the/host/sees/this\n");
  Write("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(CgroupCpuLimit(root_), 2);
}

TEST_F(CgroupTest, Version1) {
  Write("/proc/self/cgroup",
        "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n0::/docker/x\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "50000\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(CgroupCpuLimit(root_), 0.5);
}

TEST_F(CgroupTest, Version1WithoutQuota) {
  Write("/proc/self/cgroup", "4:cpu:/\n");
  Write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  Write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(CgroupCpuLimit(root_), std::nullopt);
}

TEST_F(CgroupTest, CpusetIsNotTheCpuController) {
  Write("/proc/self/cgroup", "4:cpuset:/\n");
  Write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n");
  Write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(CgroupCpuLimit(root_), std::nullopt);
}

TEST_F(CgroupTest, NonsenseMeansNoLimit) {
  Write("/proc/self/cgroup", "0::/\nno colons\n:\n");
  Write("/sys/fs/cgroup/cpu.max", "many 0\n");
  EXPECT_EQ(CgroupCpuLimit(root_), std::nullopt);
}

}  // namespace
}  // namespace tern
