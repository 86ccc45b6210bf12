#include "engine/image/resize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "engine/image/image.h"
#include "tests/engine/image/fixtures.h"

namespace tern {
namespace {

Image Noise(int height, int width, int channels) {
  Image image{height, width, channels, {}};
  std::mt19937 random(7);
  image.pixels.resize(std::size_t(height) * width * channels);
  std::generate(image.pixels.begin(), image.pixels.end(),
                [&] { return static_cast<std::uint8_t>(random() >> 24); });
  return image;
}

TEST(ResizeTest, WithinOneLevelOfPillow) {
  const Image source = ReadExpected("resize_source");
  const int sizes[][2] = {{28, 28}, {8, 8},  {50, 64}, {1, 1},   {10, 37},
                          {23, 9},  {40, 5}, {3, 90},  {22, 36}, {24, 38}};
  for (const auto& [height, width] : sizes) {
    const std::string name =
        "resize_" + std::to_string(height) + "x" + std::to_string(width);
    const Image resized = Resize(source, height, width);
    EXPECT_EQ(resized.height, height);
    EXPECT_EQ(resized.width, width);
    EXPECT_EQ(resized.channels, 3);
    EXPECT_LE(MaxDifference(resized, ReadExpected(name)), 1) << name;
  }
}

TEST(ResizeTest, SameSizeIsTheSamePicture) {
  const Image image = Noise(13, 9, 3);
  EXPECT_EQ(Resize(image, 13, 9).pixels, image.pixels);
  // The general path agrees with the shortcut.
  EXPECT_EQ(internal::ResizePart(image, {13, 0, 13}, {9, 0, 9}).pixels,
            image.pixels);
}

TEST(ResizeTest, FlatStaysFlat) {
  for (const int level : {0, 1, 127, 128, 254, 255}) {
    Image image{31, 17, 1, {}};
    image.pixels.assign(31 * 17, static_cast<std::uint8_t>(level));
    for (const auto& [height, width] :
         {std::pair{1, 1}, {7, 100}, {64, 5}, {30, 18}, {2, 2}}) {
      for (const int pixel : Resize(image, height, width).pixels) {
        ASSERT_EQ(pixel, level) << height << " x " << width;
      }
    }
  }
}

TEST(ResizeTest, ChannelsDoNotMix) {
  const Image color = Noise(21, 33, 3);
  const Image resized = Resize(color, 8, 50);
  for (std::size_t c = 0; c < 3; ++c) {
    Image plane{21, 33, 1, {}};
    for (std::size_t i = c; i < color.pixels.size(); i += 3) {
      plane.pixels.push_back(color.pixels[i]);
    }
    const Image expected = Resize(plane, 8, 50);
    for (std::size_t i = 0; i < expected.pixels.size(); ++i) {
      ASSERT_EQ(resized.pixels[3 * i + c], expected.pixels[i]);
    }
  }
}

TEST(ResizeTest, HalvingAveragesWithTheTriangle) {
  // Scale 2: weights 1 3 3 1 over 8, the border's outer weights dropped.
  const Image image{1, 6, 1, {0, 80, 160, 240, 40, 8}};
  const Image half = Resize(image, 1, 3);
  EXPECT_EQ(half.pixels[0], (3 * 0 + 3 * 80 + 1 * 160 + 3) / 7);
  EXPECT_EQ(half.pixels[1], (80 + 3 * 160 + 3 * 240 + 40 + 4) / 8);
  EXPECT_EQ(half.pixels[2], (240 + 3 * 40 + 3 * 8 + 3) / 7);
}

TEST(ResizeTest, PartEqualsResizeThenCut) {
  const Image image = Noise(19, 41, 3);
  for (const auto& [height, width] :
       {std::pair{40, 90}, {11, 23}, {19, 41}, {5, 80}}) {
    const Image whole =
        internal::ResizePart(image, {height, 0, height}, {width, 0, width});
    for (const auto& [cut_height, cut_width] :
         {std::pair{1, 1}, {5, 20}, {4, 23}, {5, 23}}) {
      const Image part = internal::ResizePart(
          image, {height, (height - cut_height) / 2, cut_height},
          {width, (width - cut_width) / 2, cut_width});
      EXPECT_EQ(part.pixels, CenterCrop(whole, cut_height, cut_width).pixels)
          << height << " x " << width << ": " << cut_height << " x "
          << cut_width;
    }
  }
}

TEST(CenterCropTest, OddPixelGoesToTheEnd) {
  const Image image{3, 4, 1, {0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23}};
  EXPECT_EQ(CenterCrop(image, 2, 3).pixels, (Bytes{0, 1, 2, 10, 11, 12}));
  EXPECT_EQ(CenterCrop(image, 1, 2).pixels, (Bytes{11, 12}));
  EXPECT_EQ(CenterCrop(image, 3, 4).pixels, image.pixels);
}

}  // namespace
}  // namespace tern
