#include "engine/base/sha256.h"

#include <gtest/gtest.h>

namespace tern {
namespace {

// Vectors of FIPS 180-2, appendix B.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(Sha256::Hex(Sha256::Of("abc", 3)),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256::Hex(Sha256::Of("", 0)),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, PiecesMakeTheSameSum) {
  Sha256 sum;
  sum.Update("a", 1).Update("", 0).Update("bc", 2);
  EXPECT_EQ(sum.Finish(), Sha256::Of("abc", 3));
}

}  // namespace
}  // namespace tern
