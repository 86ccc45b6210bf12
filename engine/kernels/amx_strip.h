// Where the AMX kernel finds its input: strips, copies of some input rows in
// scratch with padding around them. A leaf header.
//
// A tile register loads 16 runs of 64 bytes, each at the same distance from the
// one before. In a strip output pixels have positions at such a distance, also
// from one row to the next:
//
//     position (y, x) = pitch * y + x,   its input at position_bytes * position
//
// and each tap lies at an offset that is the same for all positions. Padding
// right of one row is that left of the next one; the positions between rows,
// pitch - out_w of them, belong to no pixel: a tile may compute some of them,
// and they are thrown away. Strided layers keep their input rows sorted into
// planes by row modulo stride_h, so that neighbouring output rows are one plane
// row apart. Gathering layers (direct.h) have their pixels' gathered runs in a
// strip instead.
//
// A strip is made of parts, each with up to part_rows output rows of one image.

#ifndef TERN_ENGINE_KERNELS_AMX_STRIP_H_
#define TERN_ENGINE_KERNELS_AMX_STRIP_H_

#include <cstddef>
#include <cstdint>

#include "engine/kernels/amx_tiles.h"
#include "engine/kernels/conv.h"
#include "engine/kernels/direct.h"

namespace tern::amx {

inline constexpr int kTileGroups = 4;     // of 16 run bytes, in a row
inline constexpr int kPanelFilters = 32;  // of a block's 64
inline constexpr int kStepWeights = kPanelFilters * kTileBytes;

// One step of the k-loop: where a position's 64 bytes are, and which groups of
// the packed weights (direct.h, counted over all taps) meet them. Bytes behind
// the last group meet zeros.
struct Step {
  std::ptrdiff_t offset;
  int first_group, groups;
};

// 16 neighbouring positions and their output pixels, -1 for those of none.
struct Tile {
  const std::uint8_t* input;
  std::int32_t pixel[kTileRows];
};

struct Layout {
  DirectLayout direct;  // taps, blocks, pieces
  // Without padding the pictures of a 1x1 layer are one tall picture.
  ConvGeometry g;
  int batch = 1;
  int pitch = 0;
  std::size_t position_bytes = 0;
  int planes = 0;
  std::size_t plane_bytes = 0, part_bytes = 0;
  int part_rows = 0, parts = 0;
  int steps = 0;
  // Blocks whose unpacked weights are kept together in scratch, and the size of
  // a full one's. None, where there is no room for one.
  int kept_blocks = 0;
  std::size_t block_weights = 0;
  int max_tiles = 0;  // of a strip
  std::size_t strip_bytes = 0;
};

Layout MakeLayout(const ConvGeometry& g, int batch, int threads);

// Predicted nanoseconds of a call on one thread, uncut.
struct Cost {
  double multiply;  // and what becomes of the sums
  double unpack;    // all weights, once
  double copy;      // all input, once
};
Cost CostOf(const Layout& layout);

// Fills steps[layout.steps].
void FillSteps(const Layout& layout, Step* steps);

// Output rows [first, end), counted over all images.
struct Rows {
  int first, end;
};

// Copies the input of the first rows, as many as a strip holds, and takes them
// off `rows`; returns how many tiles there are. `task` has call, g, layout and,
// for gathering, pad and the bytes of rows and images.
int FillStrip(const Layout& layout, DirectTask& task, Rows& rows,
              std::uint8_t* strip, Tile* tiles);

}  // namespace tern::amx

#endif  // TERN_ENGINE_KERNELS_AMX_STRIP_H_
