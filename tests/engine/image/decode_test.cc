#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <string>

// After <cstdio>, which it needs.
// clang-format off
#include <jpeglib.h>
// clang-format on

#include "engine/image/image.h"
#include "tests/engine/image/fixtures.h"

namespace tern {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Image> Decode(const Bytes& bytes, int channels = 3,
                             const DecodeLimits& limits = {}) {
  return DecodeImage(bytes, channels, limits);
}

// The status of decoding `bytes`, which must not succeed.
std::string ErrorOf(const Bytes& bytes, const DecodeLimits& limits = {}) {
  const absl::StatusOr<Image> image = Decode(bytes, 3, limits);
  EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(image.status().message());
}

void FlipBit(Bytes& bytes, std::size_t bit) {
  bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
}

// Whether there is a picture; fails the test where it or the error is odd.
bool DecodesOrSaysWhy(const Bytes& bytes) {
  const DecodeLimits limits{.max_pixels = 1 << 16};
  const absl::StatusOr<Image> image = Decode(bytes, 1, limits);
  if (!image.ok()) {
    EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
    return false;
  }
  EXPECT_EQ(image->pixels.size(), std::size_t(image->height) * image->width);
  EXPECT_LE(image->pixels.size(), limits.max_pixels);
  return true;
}

class FixtureTest : public ::testing::TestWithParam<std::string> {};

TEST_P(FixtureTest, DecodesToTheExpectedPixels) {
  const std::string stem = GetParam().substr(0, GetParam().size() - 4);
  const Image expected = ReadExpected(stem);
  const absl::StatusOr<Image> image =
      Decode(ReadFixture(GetParam()), expected.channels);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->height, expected.height);
  EXPECT_EQ(image->width, expected.width);
  EXPECT_EQ(image->channels, expected.channels);
  EXPECT_EQ(image->pixels, expected.pixels);
}

// Every file cut short is refused: libjpeg alone would invent the rest. Only
// the checksum of PNG's empty end chunk may be missing: nothing is lost.
TEST_P(FixtureTest, RefusesEveryTruncation) {
  const Bytes whole = ReadFixture(GetParam());
  const std::size_t needed = whole.size() - (whole[0] == 0x89 ? 4 : 0);
  for (std::size_t size = 0; size < needed; ++size) {
    // An allocation of exactly this size lets ASan see any over-read.
    const Bytes cut(whole.begin(), whole.begin() + std::ptrdiff_t(size));
    EXPECT_EQ(Decode(cut).status().code(), absl::StatusCode::kInvalidArgument)
        << size << " of " << whole.size() << " bytes";
  }
}

TEST_P(FixtureTest, AnyFlippedBitGivesAPictureOrAnError) {
  Bytes bytes = ReadFixture(GetParam());
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    FlipBit(bytes, bit);
    DecodesOrSaysWhy(bytes);
    FlipBit(bytes, bit);
  }
}

constexpr auto kNameOf = [](const auto& param_info) {
  std::string name = param_info.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
};

INSTANTIATE_TEST_SUITE_P(Data, FixtureTest,
                         ::testing::ValuesIn(EncodedFixtures()), kNameOf);

class PngFixtureTest : public FixtureTest {};

// Flips that checksums hide: with ones that match they reach the decoder.
TEST_P(PngFixtureTest, AnyFlippedBitBehindChecksumsGivesAPictureOrAnError) {
  const Bytes whole = ReadFixture(GetParam());
  int stale = 0;
  int resealed = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes bytes = whole;
    FlipBit(bytes, bit);
    stale += DecodesOrSaysWhy(bytes) ? 1 : 0;
    ResealPng(bytes);
    resealed += DecodesOrSaysWhy(bytes) ? 1 : 0;
  }
  EXPECT_GT(resealed, stale);
}

std::vector<std::string> PngFixtures() {
  std::vector<std::string> names = EncodedFixtures();
  std::erase_if(
      names, [](const std::string& name) { return !name.ends_with(".png"); });
  return names;
}

INSTANTIATE_TEST_SUITE_P(Data, PngFixtureTest,
                         ::testing::ValuesIn(PngFixtures()), kNameOf);

TEST(DecodeTest, FixturesAreAllThere) {
  EXPECT_EQ(EncodedFixtures().size(), 33U);
}

TEST(DecodeTest, GreyBecomesThreeEqualChannels) {
  const absl::StatusOr<Image> rgb = Decode(ReadFixture("grey.jpg"), 3);
  const absl::StatusOr<Image> grey = Decode(ReadFixture("grey.jpg"), 1);
  ASSERT_TRUE(rgb.ok() && grey.ok());
  for (std::size_t i = 0; i < rgb->pixels.size(); ++i) {
    ASSERT_EQ(rgb->pixels[i], grey->pixels[i / 3]) << i;
  }
}

TEST(DecodeTest, YcckIsCmykSeenThroughYcc) {
  const absl::StatusOr<Image> image = Decode(FlatJpeg(9, 5, 4, JCS_YCCK), 3);
  ASSERT_TRUE(image.ok()) << image.status();
  // Stored (inverted) inks 30, 70, 110 with black 150; JPEG costs a level.
  const int expected[] = {30 * 150 / 255, 70 * 150 / 255, 110 * 150 / 255};
  for (std::size_t i = 0; i < image->pixels.size(); ++i) {
    ASSERT_NEAR(image->pixels[i], expected[i % 3], 2) << i;
  }
}

TEST(DecodeTest, RefusesUnknownColourSpaces) {
  EXPECT_THAT(ErrorOf(FlatJpeg(8, 8, 2, JCS_UNKNOWN)),
              HasSubstr("JPEG: 2 colour components"));
}

TEST(DecodeTest, SaysWhatIsNotAPicture) {
  EXPECT_THAT(ErrorOf({}), HasSubstr("not a JPEG or PNG file: 0 bytes"));
  EXPECT_THAT(ErrorOf({'G', 'I', 'F', '8', '9', 'a'}),
              HasSubstr("6 bytes, first 6 in hex: '474946383961'"));
  EXPECT_EQ(Decode(ReadFixture("rgb.png"), 2).status().message(),
            "channels: want 1 or 3, got 2");
}

TEST(DecodeTest, LimitsBytes) {
  const Bytes file = ReadFixture("rgb.png");
  EXPECT_TRUE(Decode(file, 3, {.max_bytes = file.size()}).ok());
  EXPECT_THAT(ErrorOf(file, {.max_bytes = file.size() - 1}),
              HasSubstr("more than the limit of"));
}

TEST(DecodeTest, LimitsPixelsFromTheHeaderAlone) {
  EXPECT_TRUE(Decode(BlackPng(50, 40), 1, {.max_pixels = 2000}).ok());
  EXPECT_THAT(ErrorOf(BlackPng(50, 41), {.max_pixels = 2000}),
              HasSubstr("PNG: 50 x 41 pixels, more than the limit of 2000"));
  EXPECT_THAT(ErrorOf(BlackPng(0x7fffffff, 0x7fffffff)),
              HasSubstr("more than the limit of 40000000"));
  Bytes jpeg = ReadFixture("grey.jpg");
  const std::uint8_t start_of_frame[] = {0xff, 0xc0};
  const auto frame =
      std::search(jpeg.begin(), jpeg.end(), std::begin(start_of_frame),
                  std::end(start_of_frame));
  ASSERT_NE(frame, jpeg.end());
  // Length, precision, then height and width.
  std::fill_n(frame + 5, 4, 0xfe);
  EXPECT_THAT(ErrorOf(jpeg), HasSubstr("JPEG: 65278 x 65278 pixels"));
}

TEST(DecodeTest, RefusesDecompressionBombs) {
  // 36 million pixels, within max_pixels, in a few thousand bytes.
  const Bytes bomb = BlackPng(6000, 6000);
  ASSERT_LT(bomb.size(), 18000U);
  EXPECT_THAT(ErrorOf(bomb), HasSubstr("2000 pixels a byte"));
}

TEST(DecodeTest, RefusesCompressedTextBombs) {
  Bytes text = {'k', 0, 0};
  const Bytes zeros = Compress(Bytes(std::size_t{64} << 20));
  text.insert(text.end(), zeros.begin(), zeros.end());
  EXPECT_THAT(ErrorOf(BlackPng(8, 8, PngChunk("zTXt", text))),
              HasSubstr("PNG: "));
}

TEST(DecodeTest, RefusesEndlessScans) {
  Bytes jpeg = ReadFixture("progressive.jpg");
  // The first scan (all DC terms) may come again and again.
  const std::uint8_t start_of_scan[] = {0xff, 0xda};
  const auto scan =
      std::search(jpeg.begin(), jpeg.end(), std::begin(start_of_scan),
                  std::end(start_of_scan));
  ASSERT_NE(scan, jpeg.end());
  const auto next = std::adjacent_find(
      scan + 2, jpeg.end(),
      [](std::uint8_t a, std::uint8_t b) { return a == 0xff && b != 0; });
  ASSERT_NE(next, jpeg.end());
  const Bytes first(scan, next);
  const auto at = next - jpeg.begin();
  for (int i = 0; i < 200; ++i) {
    jpeg.insert(jpeg.begin() + at, first.begin(), first.end());
  }
  EXPECT_EQ(ErrorOf(jpeg), "JPEG: more than 64 scans");
}

TEST(DecodeTest, IgnoresBytesAfterTheJpeg) {
  Bytes jpeg = ReadFixture("grey.jpg");
  jpeg.insert(jpeg.end(), 100, 0x55);
  EXPECT_TRUE(Decode(jpeg).ok());
}

// Damaged metadata never costs the picture.
TEST(DecodeTest, OutlandishOrientationIsUpright) {
  Bytes jpeg = ReadFixture("orientation_6.jpg");
  const std::uint8_t tag[] = {0x01, 0x12, 0x00, 0x03};
  const auto entry =
      std::search(jpeg.begin(), jpeg.end(), std::begin(tag), std::end(tag));
  ASSERT_NE(entry, jpeg.end());
  *(entry + 9) = 9;
  const absl::StatusOr<Image> image = Decode(jpeg);
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image->pixels, Decode(ReadFixture("orientation_1.jpg"))->pixels);
}

}  // namespace
}  // namespace tern
