#include "engine/image/preprocess.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/image/resize.h"

namespace tern {
namespace {

using model::v1::Preprocessing;

// A model's input as the graph schema bounds it; a loaded model's always is.
constexpr std::uint32_t kMaxSide = 1 << 15;

absl::Status CheckInput(const model::v1::Image& input) {
  if (input.height() < 1 || input.height() > kMaxSide || input.width() < 1 ||
      input.width() > kMaxSide ||
      (input.channels() != 1 && input.channels() != 3)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model input: want 1..", kMaxSide,
        " rows and columns, 1 or 3 "
        "channels, got ",
        input.height(), " x ", input.width(), " x ", input.channels()));
  }
  return absl::OkStatus();
}

// `count` from the middle of `full`; the odd pixel goes to the end.
internal::ResizeSide Middle(std::int64_t full, int count) {
  return {full, (full - count) / 2, count};
}

absl::StatusOr<Image> ResizeCover(const Image& image, int height, int width,
                                  std::uint32_t cover_size) {
  if (cover_size < static_cast<std::uint32_t>(std::max(height, width)) ||
      cover_size > kMaxSide) {
    return absl::InvalidArgumentError(
        absl::StrCat("preprocessing.cover_size: want ", std::max(height, width),
                     "..", kMaxSide, ", got ", cover_size));
  }
  const std::int64_t shorter = std::min(image.height, image.width);
  const std::int64_t cover = cover_size;
  const std::int64_t full_height = image.height * cover / shorter;
  const std::int64_t full_width = image.width * cover / shorter;
  return internal::ResizePart(image, Middle(full_height, height),
                              Middle(full_width, width));
}

}  // namespace

absl::StatusOr<Image> PreprocessPixels(const Image& image,
                                       const model::v1::Image& input,
                                       const Preprocessing& preprocessing) {
  TERN_RETURN_IF_ERROR(CheckInput(input));
  const int height = static_cast<int>(input.height());
  const int width = static_cast<int>(input.width());
  if (image.height < 1 || image.width < 1 ||
      image.channels != static_cast<int>(input.channels()) ||
      image.pixels.size() != static_cast<std::size_t>(image.height) *
                                 image.width * image.channels) {
    return absl::InvalidArgumentError(
        absl::StrCat("image: want ", input.channels(), " channels, got ",
                     image.height, " x ", image.width, " x ", image.channels,
                     " in ", image.pixels.size(), " bytes"));
  }
  switch (preprocessing.resize()) {
    case Preprocessing::RESIZE_STRETCH:
      return Resize(image, height, width);
    case Preprocessing::RESIZE_COVER:
      return ResizeCover(image, height, width, preprocessing.cover_size());
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("preprocessing.resize: unknown value ",
                       static_cast<int>(preprocessing.resize())));
  }
}

absl::StatusOr<Image> PreprocessEncoded(absl::Span<const std::uint8_t> encoded,
                                        const model::v1::Image& input,
                                        const Preprocessing& preprocessing,
                                        const DecodeLimits& limits) {
  TERN_RETURN_IF_ERROR(CheckInput(input));
  TERN_ASSIGN_OR_RETURN(
      const Image image,
      DecodeImage(encoded, static_cast<int>(input.channels()), limits));
  return PreprocessPixels(image, input, preprocessing);
}

}  // namespace tern
