#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/image/codecs.h"
#include "engine/image/image.h"

namespace tern {
namespace internal {

absl::Status CheckSize(absl::string_view format, std::uint64_t width,
                       std::uint64_t height, std::size_t bytes,
                       const DecodeLimits& limits) {
  // Both formats bound a side to 31 bits, so the product fits.
  const std::uint64_t pixels = width * height;
  if (width == 0 || height == 0) {
    return absl::InvalidArgumentError(absl::StrCat(format, ": no pixels"));
  }
  if (pixels > limits.max_pixels ||
      std::max(width, height) >
          static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
    return absl::InvalidArgumentError(
        absl::StrCat(format, ": ", width, " x ", height,
                     " pixels, more than the limit of ", limits.max_pixels));
  }
  if (pixels / limits.max_pixels_per_byte > bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(format, ": ", width, " x ", height, " pixels from ", bytes,
                     " bytes, more than the limit of ",
                     limits.max_pixels_per_byte, " pixels a byte"));
  }
  return absl::OkStatus();
}

}  // namespace internal

namespace {

constexpr std::uint8_t kJpegMagic[] = {0xff, 0xd8, 0xff};
constexpr std::uint8_t kPngMagic[] = {0x89, 'P',  'N',  'G',
                                      '\r', '\n', 0x1a, '\n'};

template <std::size_t kSize>
bool StartsWith(absl::Span<const std::uint8_t> bytes,
                const std::uint8_t (&magic)[kSize]) {
  return bytes.size() >= kSize && std::memcmp(bytes.data(), magic, kSize) == 0;
}

std::vector<std::uint8_t> GreyFromRgb(std::vector<std::uint8_t> pixels) {
  const std::size_t count = pixels.size() / 3;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t sum = 19595U * pixels[3 * i] +
                              38470U * pixels[3 * i + 1] +
                              7471U * pixels[3 * i + 2];
    pixels[i] = static_cast<std::uint8_t>((sum + 32768U) >> 16);
  }
  pixels.resize(count);
  return pixels;
}

std::vector<std::uint8_t> RgbFromGrey(const std::vector<std::uint8_t>& grey) {
  std::vector<std::uint8_t> rgb(grey.size() * 3);
  for (std::size_t i = 0; i < grey.size(); ++i) {
    std::fill_n(rgb.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, grey[i]);
  }
  return rgb;
}

void ConvertChannels(int channels, Image* image) {
  if (image->channels == channels) return;
  image->pixels = channels == 1 ? GreyFromRgb(std::move(image->pixels))
                                : RgbFromGrey(image->pixels);
  image->channels = channels;
}

// Turns a picture upright, after TIFF's table of which side of the stored
// picture row 0 and column 0 are to be seen at (TIFF 6.0, tag 274).
Image Upright(Image stored, int orientation) {
  if (orientation == 1) return stored;
  const bool transpose = orientation >= 5;
  // Whether upright rows (columns) run backwards in the stored picture.
  const bool flip_rows = orientation == 3 || orientation == 4 ||
                         orientation == 7 || orientation == 8;
  const bool flip_columns = orientation == 2 || orientation == 3 ||
                            orientation == 6 || orientation == 7;
  Image image;
  image.height = transpose ? stored.width : stored.height;
  image.width = transpose ? stored.height : stored.width;
  image.channels = stored.channels;
  image.pixels.resize(stored.pixels.size());
  const std::size_t channels = static_cast<std::size_t>(stored.channels);
  std::uint8_t* out = image.pixels.data();
  for (int y = 0; y < image.height; ++y) {
    const int row = flip_rows ? image.height - 1 - y : y;
    for (int x = 0; x < image.width; ++x) {
      const int column = flip_columns ? image.width - 1 - x : x;
      const std::size_t at =
          transpose ? static_cast<std::size_t>(column) * stored.width + row
                    : static_cast<std::size_t>(row) * stored.width + column;
      out = std::copy_n(stored.pixels.data() + at * channels, channels, out);
    }
  }
  return image;
}

}  // namespace

absl::StatusOr<Image> DecodeImage(absl::Span<const std::uint8_t> encoded,
                                  int channels, const DecodeLimits& limits) {
  if (channels != 1 && channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("channels: want 1 or 3, got ", channels));
  }
  if (encoded.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("image: ", encoded.size(),
                     " bytes, more than the limit of ", limits.max_bytes));
  }
  absl::StatusOr<internal::DecodedPicture> picture;
  if (StartsWith(encoded, kJpegMagic)) {
    picture = internal::DecodeJpeg(encoded, limits);
  } else if (StartsWith(encoded, kPngMagic)) {
    picture = internal::DecodePng(encoded, limits);
  } else {
    const std::size_t shown = std::min<std::size_t>(encoded.size(), 8);
    return absl::InvalidArgumentError(
        absl::StrCat("image: not a JPEG or PNG file: ", encoded.size(),
                     " bytes, first ", shown, " in hex: '",
                     absl::BytesToHexString(absl::string_view(
                         reinterpret_cast<const char*>(encoded.data()), shown)),
                     "'"));
  }
  if (!picture.ok()) return picture.status();
  ConvertChannels(channels, &picture->image);
  return Upright(std::move(picture->image), picture->orientation);
}

}  // namespace tern
