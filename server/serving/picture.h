// Picture: one picture as a request holds it, and the way to pixels.
//
// Pure functions, thread-safe. Errors name the field of the request:
// "images[3].raw.pixels".

#ifndef TERN_SERVER_SERVING_PICTURE_H_
#define TERN_SERVER_SERVING_PICTURE_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/engine.h"
#include "engine/image/image.h"

namespace tern::server {

// Does not own its bytes.
struct Picture {
  enum class Kind { kUnset, kEncoded, kRaw };
  Kind kind = Kind::kUnset;
  // JPEG or PNG file; or height x width x channels pixels.
  absl::Span<const std::uint8_t> bytes;
  // kRaw only.
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::uint32_t channels = 0;
};

// INVALID_ARGUMENT where the model cannot take the picture, as far as can be
// told without decoding. `index`: its place in the request.
absl::Status CheckPicture(const Picture& picture, std::size_t index,
                          const Model& model);

// Decodes an encoded picture as the model's file says. INVALID_ARGUMENT: not a
// picture, or beyond the limits.
absl::StatusOr<Image> DecodePicture(const Picture& picture, std::size_t index,
                                    const Model& model,
                                    const DecodeLimits& limits);

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_PICTURE_H_
