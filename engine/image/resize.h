// Resizing to a part of the result. Private to the room.
//
// A very long picture whose shorter side is enlarged would need gigabytes
// before its centre is cut out; computing only the centre gives the same
// pixels (tests/engine/image/resize_test.cc compares).

#ifndef TERN_ENGINE_IMAGE_RESIZE_H_
#define TERN_ENGINE_IMAGE_RESIZE_H_

#include <cstdint>

#include "engine/image/image.h"

namespace tern::internal {

// One side of the result: `count` pixels from `first` of a side resized to
// `full`. 0 <= first, first + count <= full.
struct ResizeSide {
  std::int64_t full = 0;
  std::int64_t first = 0;
  int count = 0;
};

Image ResizePart(const Image& image, const ResizeSide& rows,
                 const ResizeSide& columns);

}  // namespace tern::internal

#endif  // TERN_ENGINE_IMAGE_RESIZE_H_
