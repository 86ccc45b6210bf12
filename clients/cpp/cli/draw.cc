#include "clients/cpp/cli/draw.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tern::client {
namespace {

constexpr int kMaxSide = 32;
// U+2580, upper half block.
constexpr char kUpperHalf[] = "\xe2\x96\x80";
constexpr char kReset[] = "\x1b[0m";
constexpr char kRamp[] = " .:-=+*#%@";

using Color = std::array<std::uint8_t, 3>;

Color At(const Image& image, int y, int x) {
  // Below an odd last row there is nothing: black.
  if (y >= image.height) return {0, 0, 0};
  const std::size_t at = (static_cast<std::size_t>(y) * image.width + x) * 3;
  return {image.pixels[at], image.pixels[at + 1], image.pixels[at + 2]};
}

std::string Sgr(int base, const Color& color, Palette palette) {
  if (palette == Palette::kTrueColor) {
    return absl::StrCat("\x1b[", base, ";2;", int{color[0]}, ";", int{color[1]},
                        ";", int{color[2]}, "m");
  }
  // The cube's levels are 0, 95, 135, 175, 215, 255.
  const auto level = [](int v) {
    return v < 48 ? 0 : v < 115 ? 1 : (v - 35) / 40;
  };
  return absl::StrCat(
      "\x1b[", base, ";5;",
      16 + 36 * level(color[0]) + 6 * level(color[1]) + level(color[2]), "m");
}

char RampOf(const Color& above, const Color& below) {
  int sum = 0;
  for (std::size_t c = 0; c < 3; ++c) sum += above[c] + below[c];
  // Six levels of 255 on ten steps.
  return kRamp[sum * 10 / (6 * 255 + 1)];
}

Image Fit(const Image& image) {
  const int longer = std::max(image.height, image.width);
  if (longer <= kMaxSide) return image;
  const auto scaled = [&](int side) {
    return std::max(1,
                    static_cast<int>(std::int64_t{side} * kMaxSide / longer));
  };
  return Resize(image, scaled(image.height), scaled(image.width));
}

}  // namespace

absl::StatusOr<Image> PixelsToDraw(const v1::Image& image) {
  if (!image.has_raw()) {
    const std::string& bytes = image.encoded();
    return DecodeImage(
        {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, 3,
        {});
  }
  const v1::RawImage& raw = image.raw();
  Image out{
      static_cast<int>(raw.height()), static_cast<int>(raw.width()), 3, {}};
  const std::size_t repeat = raw.channels() == 1 ? 3 : 1;
  out.pixels.reserve(raw.pixels().size() * repeat);
  for (const char value : raw.pixels()) {
    out.pixels.insert(out.pixels.end(), repeat,
                      static_cast<std::uint8_t>(value));
  }
  if (out.pixels.size() != std::size_t{3} * raw.height() * raw.width()) {
    return absl::InvalidArgumentError("raw picture of the wrong size");
  }
  return out;
}

int DrawnColumns(const Image& image) { return Fit(image).width; }

std::vector<std::string> Draw(const Image& image, Palette palette) {
  const Image small = Fit(image);
  std::vector<std::string> lines;
  for (int y = 0; y < small.height; y += 2) {
    std::string line;
    for (int x = 0; x < small.width; ++x) {
      const Color above = At(small, y, x);
      const Color below = At(small, y + 1, x);
      if (palette == Palette::kPlain) {
        line.push_back(RampOf(above, below));
      } else {
        absl::StrAppend(&line, Sgr(38, above, palette), Sgr(48, below, palette),
                        kUpperHalf);
      }
    }
    if (palette != Palette::kPlain) line += kReset;
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace tern::client
