#include <spng.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/image/codecs.h"

namespace tern::internal {
namespace {

// Texts and colour profiles are compressed as well; all that the library
// keeps of them together.
constexpr std::size_t kMaxMetadataBytes = std::size_t{4} << 20;

struct FreeContext {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
using Context = std::unique_ptr<spng_ctx, FreeContext>;

absl::Status Error(int code) {
  return absl::InvalidArgumentError(absl::StrCat("PNG: ", spng_strerror(code)));
}

// Blends RGBA on black, in place.
std::vector<std::uint8_t> RgbFromRgba(std::vector<std::uint8_t> pixels) {
  const std::size_t count = pixels.size() / 4;
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned alpha = pixels[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = pixels[4 * i + c] * alpha;
      pixels[3 * i + c] = static_cast<std::uint8_t>((product + 127) / 255);
    }
  }
  pixels.resize(3 * count);
  return pixels;
}

int Orientation(spng_ctx* context) {
  spng_exif exif{};
  if (spng_get_exif(context, &exif) != 0) return 1;
  return ExifOrientation(
      {reinterpret_cast<const std::uint8_t*>(exif.data), exif.length});
}

}  // namespace

absl::StatusOr<DecodedPicture> DecodePng(absl::Span<const std::uint8_t> encoded,
                                         const DecodeLimits& limits) {
  const Context context(spng_ctx_new(0));
  if (context == nullptr) {
    return absl::ResourceExhaustedError("PNG: no memory for the decoder");
  }
  spng_set_chunk_limits(context.get(),
                        std::max(encoded.size(), kMaxMetadataBytes),
                        kMaxMetadataBytes);
  int code = spng_set_png_buffer(context.get(), encoded.data(), encoded.size());
  if (code != 0) return Error(code);
  spng_ihdr header{};
  code = spng_get_ihdr(context.get(), &header);
  if (code != 0) return Error(code);
  TERN_RETURN_IF_ERROR(
      CheckSize("PNG", header.width, header.height, encoded.size(), limits));

  DecodedPicture picture;
  Image& image = picture.image;
  image.height = static_cast<int>(header.height);
  image.width = static_cast<int>(header.width);
  image.channels = 3;
  // One output format for all: from 16 bits it takes the upper byte, and grey
  // stays exactly grey through the conversion back to one channel.
  image.pixels.resize(std::size_t{header.height} * header.width * 4);
  code =
      spng_decode_image(context.get(), image.pixels.data(), image.pixels.size(),
                        SPNG_FMT_RGBA8, SPNG_DECODE_TRNS);
  if (code != 0) return Error(code);
  // To the end of the file, so that a truncated one is an error.
  code = spng_decode_chunks(context.get());
  if (code != 0) return Error(code);
  picture.orientation = Orientation(context.get());
  image.pixels = RgbFromRgba(std::move(image.pixels));
  return picture;
}

}  // namespace tern::internal
