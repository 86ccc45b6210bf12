// What AMX asks of those who use it.

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <random>

#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/conv_case.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

const KernelTable& AmxTable() {
  const auto tables = AllKernelTables();
  return **std::find_if(tables.begin(), tables.end(),
                        [](const auto* table) { return table->name == "amx"; });
}

// Whether this thread's tile registers hold anything, which the operating
// system would have to save.
bool TilesInUse() {
  constexpr std::uint32_t kTileState = 3U << 17;
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
  return (low & kTileState) != 0;
}

class Amx : public ::testing::Test {
 protected:
  void SetUp() override { SkipUnlessSupported(AmxTable()); }
};

TEST_F(Amx, LeavesNoTilesBehind) {
  std::mt19937 random(1);
  for (const ConvKernel* kernel : AmxTable().conv) {
    RunKernel(RandomCase({.in_c = 70, .filters = 33}, 5, &random), *kernel, 1,
              &random);
    EXPECT_FALSE(TilesInUse()) << kernel->name;
  }
}

// From now on this process is told EPERM when it asks for tile registers.
bool RefusePermission() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {std::size(filter), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// In a process of its own, which has not asked before.
TEST(AmxDeathTest, IsNotSupportedWithoutPermission) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        if (!RefusePermission()) _exit(2);
        _exit(AmxTable().is_supported() ? 1 : 0);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tern
