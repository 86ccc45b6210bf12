// Any bytes give a picture of the size asked for, or INVALID_ARGUMENT.

#include <cstddef>
#include <cstdint>

#include "engine/base/status_macros.h"
#include "engine/image/preprocess.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  tern::model::v1::Image input;
  input.set_height(24);
  input.set_width(31);
  input.set_channels(size % 2 == 0 ? 1 : 3);
  tern::model::v1::Preprocessing preprocessing;
  if (size % 3 == 0) {
    preprocessing.set_resize(tern::model::v1::Preprocessing::RESIZE_COVER);
    preprocessing.set_cover_size(40);
  }
  // Small limits keep the fuzzer quick; every check is still reached.
  const tern::DecodeLimits limits{.max_pixels = 1 << 18};
  const auto image =
      tern::PreprocessEncoded({data, size}, input, preprocessing, limits);
  if (image.ok()) {
    TERN_CHECK(image->pixels.size() == 24 * 31 * input.channels());
  } else {
    TERN_CHECK(image.status().code() == absl::StatusCode::kInvalidArgument);
  }
  return 0;
}
