// The kernel tables that a test runs, and what becomes of those that this CPU
// lacks.
//
// Where the environment variable TERN_REQUIRE_ISA (names of tables, separated
// by commas) names a table that this CPU or this build lacks, the test fails:
// the caller knows that this machine must be able to run it.

#ifndef TERN_TESTS_TESTING_TABLES_TO_TEST_H_
#define TERN_TESTS_TESTING_TABLES_TO_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"

namespace tern {

inline std::set<std::string> RequiredTables() {
  const char* names = std::getenv("TERN_REQUIRE_ISA");
  std::istringstream stream(names == nullptr ? "" : names);
  std::set<std::string> tables;
  for (std::string name; std::getline(stream, name, ',');) {
    if (!name.empty()) tables.insert(name);
  }
  return tables;
}

// The supported tables, best first: for tests that loop over them.
inline std::vector<const KernelTable*> TablesToTest() {
  std::vector<const KernelTable*> tables;
  std::set<std::string> missing = RequiredTables();
  for (const KernelTable* table : AllKernelTables()) {
    if (!table->is_supported()) continue;
    tables.push_back(table);
    missing.erase(std::string(table->name));
  }
  EXPECT_THAT(missing, ::testing::IsEmpty()) << "TERN_REQUIRE_ISA asks for it";
  return tables;
}

// For SetUp of tests whose parameter is the table: skips them visibly.
inline void SkipUnlessSupported(const KernelTable& table) {
  if (table.is_supported()) return;
  ASSERT_EQ(RequiredTables().count(std::string(table.name)), 0)
      << "TERN_REQUIRE_ISA asks for " << table.name;
  GTEST_SKIP() << "this CPU lacks " << table.name;
}

}  // namespace tern

#endif  // TERN_TESTS_TESTING_TABLES_TO_TEST_H_
