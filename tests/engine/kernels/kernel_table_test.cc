#include "engine/kernels/kernel_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/kernels/kernels.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

// "auto" passes the table over, its name yields the error.
void ExpectNeverUsed(const KernelTable& table, const std::string& error) {
  const KernelTable* const tables[] = {&table, &ReferenceKernels()};
  const auto chosen = SelectKernels("auto", tables);
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_EQ(*chosen, &ReferenceKernels());
  const auto named = SelectKernels(table.name, tables);
  EXPECT_EQ(named.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(named.status().message(), error);
}

TEST(KernelTable, ReferenceIsAlwaysThereAndLast) {
  ASSERT_FALSE(KernelTableNames().empty());
  EXPECT_EQ(KernelTableNames().back(), "reference");
  EXPECT_TRUE(SelectKernels("reference").ok());
}

TEST(KernelTable, AutoTakesTheBestSupported) {
  const auto chosen = SelectKernels("auto");
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_EQ(*chosen, TablesToTest().front());
}

TEST(KernelTable, UnknownNameListsTheNames) {
  const auto chosen = SelectKernels("mmx");
  EXPECT_EQ(chosen.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      chosen.status().message().find("no kernels \"mmx\"; there are: auto, "),
      0);
  EXPECT_THAT(std::string(chosen.status().message()),
              testing::HasSubstr("reference"));
}

TEST(KernelTable, ATableThatThisCpuLacksIsNeverUsed) {
  KernelTable lacking = ReferenceKernels();
  lacking.name = "lacking";
  lacking.is_supported = [] { return false; };
  ExpectNeverUsed(lacking,
                  "kernels \"lacking\" need instructions that this CPU lacks");
}

TEST(KernelTable, AWrongKernelIsNeverUsed) {
  ConvKernel wrong_kernel = kConvReference;
  wrong_kernel.pack = [](const ConvGeometry& g, const std::int8_t* codes,
                         std::uint8_t* packed) {
    kConvReference.pack(g, codes, packed);
    packed[0] ^= 1;
  };
  const ConvKernel* const conv[] = {&wrong_kernel};
  KernelTable wrong = ReferenceKernels();
  wrong.name = "wrong";
  wrong.conv = conv;
  EXPECT_FALSE(ReproducesKnownAnswer(wrong));
  ExpectNeverUsed(
      wrong, "kernels \"wrong\" fail their known-answer check on this CPU");
}

}  // namespace
}  // namespace tern
