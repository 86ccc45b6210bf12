#include "engine/image/preprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/image/image.h"
#include "tests/engine/image/fixtures.h"

namespace tern {
namespace {

using ::testing::HasSubstr;
using Preprocessing = model::v1::Preprocessing;

model::v1::Image Input(int height, int width, int channels) {
  model::v1::Image input;
  input.set_height(static_cast<std::uint32_t>(height));
  input.set_width(static_cast<std::uint32_t>(width));
  input.set_channels(static_cast<std::uint32_t>(channels));
  return input;
}

Preprocessing Cover(std::uint32_t size) {
  Preprocessing preprocessing;
  preprocessing.set_resize(Preprocessing::RESIZE_COVER);
  preprocessing.set_cover_size(size);
  return preprocessing;
}

TEST(PreprocessTest, StretchesToTheInput) {
  const Bytes file = ReadFixture("rgb.png");
  const auto image = PreprocessEncoded(file, Input(7, 30, 3), {}, {});
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->pixels, Resize(*DecodeImage(file, 3, {}), 7, 30).pixels);
}

TEST(PreprocessTest, CoverKeepsTheAspectRatioAndCutsTheCentre) {
  // 11 x 19 -> 22 x 38 -> the middle 20 x 20.
  const Bytes file = ReadFixture("rgb.png");
  const auto image = PreprocessEncoded(file, Input(20, 20, 1), Cover(22), {});
  ASSERT_TRUE(image.ok()) << image.status();
  const Image resized = Resize(*DecodeImage(file, 1, {}), 22, 38);
  EXPECT_EQ(image->pixels, CenterCrop(resized, 20, 20).pixels);
}

TEST(PreprocessTest, CoverOfAThreadIsCheap) {
  // Whole, the resized picture would be 256 x 5,120,000.
  const Image thread{1, 20000, 1, Bytes(20000, 77)};
  const auto image = PreprocessPixels(thread, Input(224, 224, 1), Cover(256));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->pixels, Bytes(224 * 224, 77));
}

TEST(PreprocessTest, SaysWhatDoesNotFit) {
  const Image grey{2, 2, 1, Bytes(4)};
  EXPECT_THAT(PreprocessPixels(grey, Input(2, 2, 3), {}).status().message(),
              HasSubstr("want 3 channels, got 2 x 2 x 1 in 4 bytes"));
  EXPECT_THAT(PreprocessPixels({2, 2, 1, Bytes(3)}, Input(2, 2, 1), {})
                  .status()
                  .message(),
              HasSubstr("in 3 bytes"));
  EXPECT_THAT(PreprocessPixels(grey, Input(0, 2, 1), {}).status().message(),
              HasSubstr("model input"));
  EXPECT_THAT(
      PreprocessPixels(grey, Input(8, 9, 1), Cover(8)).status().message(),
      HasSubstr("cover_size: want 9..32768, got 8"));
}

}  // namespace
}  // namespace tern
