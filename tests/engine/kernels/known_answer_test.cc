#include <gtest/gtest.h>

#include "engine/kernels/kernels.h"
#include "tests/testing/tables_to_test.h"

namespace tern {
namespace {

TEST(KnownAnswer, EverySupportedTableReproducesIt) {
  for (const KernelTable* table : TablesToTest()) {
    EXPECT_TRUE(ReproducesKnownAnswer(*table)) << table->name;
  }
}

}  // namespace
}  // namespace tern
