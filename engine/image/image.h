// Pictures: decoding, orientation, resizing, cropping. The same code serves
// trainer, server and clients, so that what was trained on is what is served.
//
// Pure functions, thread-safe. Input is untrusted: limits are checked from the
// header, before pixels are allocated; INVALID_ARGUMENT says what was wrong.

#ifndef TERN_ENGINE_IMAGE_IMAGE_H_
#define TERN_ENGINE_IMAGE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tern {

// Interleaved u8, rows from the top, no padding between rows.
struct Image {
  int height = 0;
  int width = 0;
  // 1 grey, 3 red-green-blue.
  int channels = 0;
  std::vector<std::uint8_t> pixels;
};

struct DecodeLimits {
  std::size_t max_bytes = std::size_t{16} << 20;
  std::size_t max_pixels = std::size_t{40'000'000};
  // Pixels for each encoded byte: refuses decompression bombs.
  std::size_t max_pixels_per_byte = 2000;
};

// Decodes JPEG or PNG, told apart by content: grey, RGB, palette, 16-bit
// (upper byte), CMYK/YCCK, progressive, interlaced; alpha is blended on
// black; EXIF orientation is applied. `channels` 1 or 3: converts, grey =
// (19595 r + 38470 g + 7471 b + 32768) >> 16 (ITU-R 601, as Pillow's "L").
absl::StatusOr<Image> DecodeImage(absl::Span<const std::uint8_t> encoded,
                                  int channels, const DecodeLimits& limits);

// Antialiased bilinear (triangle filter, support scaled when shrinking) in
// fixed point; within one level of Pillow's Image.resize(BILINEAR).
// height, width >= 1.
Image Resize(const Image& image, int height, int width);

// Cuts height x width from the centre (the odd pixel goes to bottom/right).
// The picture must be at least that large.
Image CenterCrop(const Image& image, int height, int width);

}  // namespace tern

#endif  // TERN_ENGINE_IMAGE_IMAGE_H_
