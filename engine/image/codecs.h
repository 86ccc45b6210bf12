// The two codecs behind DecodeImage and what they share. Private to the room.
//
// Both take untrusted bytes, check `limits` from the header before they
// allocate pixels, and return INVALID_ARGUMENT that starts with the format.
// Pure functions, thread-safe.

#ifndef TERN_ENGINE_IMAGE_CODECS_H_
#define TERN_ENGINE_IMAGE_CODECS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/image/image.h"

namespace tern::internal {

// As stored: 1 or 3 channels, before orientation is applied.
struct DecodedPicture {
  Image image;
  // EXIF orientation, 1..8; 1 is upright.
  int orientation = 1;
};

absl::StatusOr<DecodedPicture> DecodeJpeg(
    absl::Span<const std::uint8_t> encoded, const DecodeLimits& limits);
absl::StatusOr<DecodedPicture> DecodePng(absl::Span<const std::uint8_t> encoded,
                                         const DecodeLimits& limits);

// Whether width x height, taken from the header of a file of `bytes` bytes,
// is within the limits.
absl::Status CheckSize(absl::string_view format, std::uint64_t width,
                       std::uint64_t height, std::size_t bytes,
                       const DecodeLimits& limits);

// The orientation tag of an EXIF block (a TIFF header and its first
// directory; EXIF 2.3 section 4.6). 1 where there is none or the block is
// damaged: a picture with broken metadata is still a picture.
int ExifOrientation(absl::Span<const std::uint8_t> tiff);

}  // namespace tern::internal

#endif  // TERN_ENGINE_IMAGE_CODECS_H_
