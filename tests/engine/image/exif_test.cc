#include <gtest/gtest.h>

#include <cstdint>

#include "engine/image/codecs.h"
#include "tests/engine/image/fixtures.h"

namespace tern::internal {
namespace {

// Big-endian, one entry: orientation 6.
Bytes Block() {
  return {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0,
          3,   0,   0, 0,  1, 0, 6, 0, 0, 0, 0,    0,    0};
}

TEST(ExifTest, FindsTheOrientation) { EXPECT_EQ(ExifOrientation(Block()), 6); }

TEST(ExifTest, EveryTruncationIsUpright) {
  const Bytes whole = Block();
  // The directory's last field, the offset of the next one, is not needed.
  for (std::size_t size = 0; size + 4 < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + std::ptrdiff_t(size));
    EXPECT_EQ(ExifOrientation(cut), 1) << size;
  }
}

TEST(ExifTest, EveryByteMayBeAnything) {
  for (std::size_t at = 0; at < Block().size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      Bytes block = Block();
      block[at] = static_cast<std::uint8_t>(value);
      const int orientation = ExifOrientation(block);
      EXPECT_GE(orientation, 1);
      EXPECT_LE(orientation, 8);
    }
  }
}

TEST(ExifTest, DirectoriesOutsideTheBlockAreIgnored) {
  for (const std::uint32_t offset : {0x00000014U, 0x7fffffffU, 0xffffffffU}) {
    Bytes block = Block();
    for (int i = 0; i < 4; ++i) {
      block[4 + i] = static_cast<std::uint8_t>(offset >> (24 - 8 * i));
    }
    EXPECT_EQ(ExifOrientation(block), 1) << offset;
  }
}

}  // namespace
}  // namespace tern::internal
