// Skips tests of an instruction set that this CPU lacks, visibly.

#ifndef TERN_TESTS_TESTING_REQUIRED_ISA_H_
#define TERN_TESTS_TESTING_REQUIRED_ISA_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_split.h"

namespace tern {

// Call in SetUp. Where the environment variable TERN_REQUIRE_ISA (names of
// tables, separated by commas) names the table, the test fails instead: the
// caller knows that this machine must be able to run it.
inline void SkipUnlessSupported(std::string_view table, bool supported) {
  if (supported) return;
  const char* required = std::getenv("TERN_REQUIRE_ISA");
  const std::vector<std::string> names =
      absl::StrSplit(required == nullptr ? "" : required, ',');
  for (const std::string& name : names)
    ASSERT_NE(name, table) << "TERN_REQUIRE_ISA asks for what this CPU lacks";
  GTEST_SKIP() << "this CPU lacks " << table;
}

}  // namespace tern

#endif  // TERN_TESTS_TESTING_REQUIRED_ISA_H_
