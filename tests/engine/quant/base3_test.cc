#include "engine/quant/base3.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace tern {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::uint8_t> Encode(const std::vector<std::int8_t>& codes) {
  std::vector<std::uint8_t> row(Base3Bytes(codes.size()));
  EncodeBase3(codes, absl::MakeSpan(row));
  return row;
}

TEST(Base3Test, BytesOfARow) {
  EXPECT_EQ(Base3Bytes(0), 0u);
  EXPECT_EQ(Base3Bytes(1), 1u);
  EXPECT_EQ(Base3Bytes(5), 1u);
  EXPECT_EQ(Base3Bytes(6), 2u);
}

TEST(Base3Test, FirstCodeIsTheLowestDigit) {
  // 1 + 3*2 + 9*0 + 27*0 + 81*1 = 88, then 2 + 3*1 = 5.
  EXPECT_THAT(Encode({1, -1, 0, 0, 1, -1, 1}), ElementsAre(88, 5));
  EXPECT_THAT(Encode({-1, -1, -1, -1, -1}), ElementsAre(242));
  EXPECT_THAT(Encode({0, 0, 0, 0, 0, 0}), ElementsAre(0, 0));
}

TEST(Base3Test, EveryByteValueDecodesToItselfOrIsRefused) {
  for (int value = 0; value < 256; ++value) {
    const std::vector<std::uint8_t> row = {static_cast<std::uint8_t>(value)};
    for (std::size_t n = 1; n <= 5; ++n) {
      std::vector<std::int8_t> codes(n);
      const absl::Status status = DecodeBase3(row, absl::MakeSpan(codes));
      int beyond = value;
      for (std::size_t i = 0; i < n; ++i) beyond /= 3;
      ASSERT_EQ(status.ok(), beyond == 0) << value << " " << n;
      if (status.ok()) {
        EXPECT_EQ(Encode(codes), row);
      }
    }
  }
}

TEST(Base3Test, ErrorsSayWhichByte) {
  std::vector<std::int8_t> codes(7);
  EXPECT_THAT(DecodeBase3({{88, 243}}, absl::MakeSpan(codes)).message(),
              HasSubstr("byte 1 is 243"));
  EXPECT_THAT(DecodeBase3({{88, 9}}, absl::MakeSpan(codes)).message(),
              HasSubstr("byte 1 is 9, a digit beyond the last of 7 codes"));
}

}  // namespace
}  // namespace tern
