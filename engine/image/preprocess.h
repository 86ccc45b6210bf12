// From an encoded picture to the pixels a model takes, as its file says.

#ifndef TERN_ENGINE_IMAGE_PREPROCESS_H_
#define TERN_ENGINE_IMAGE_PREPROCESS_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/image/image.h"
#include "tern/model/v1/model.pb.h"

namespace tern {

// Decodes, converts to input.channels(), resizes and crops to input.height()
// x input.width(). The result has exactly input's size.
absl::StatusOr<Image> PreprocessEncoded(
    absl::Span<const std::uint8_t> encoded, const model::v1::Image& input,
    const model::v1::Preprocessing& preprocessing, const DecodeLimits& limits);

// The same from decoded pixels (of any size, input.channels() channels).
absl::StatusOr<Image> PreprocessPixels(
    const Image& image, const model::v1::Image& input,
    const model::v1::Preprocessing& preprocessing);

}  // namespace tern

#endif  // TERN_ENGINE_IMAGE_PREPROCESS_H_
