// Exact integer Winograd convolution for 3x3 kernels with stride 1: the
// mathematics and the plan that all instruction sets share.
//
// A tile of 4x4 or 3x3 (or 4x3, 3x4) outputs is computed by the Toom-Cook
// algorithm with the points 0, 1, -1, 2, -2, infinity (positions 0..5 along
// one dimension; a tile of 3 leaves out position 4). For one dimension, with
// inputs d, weights g and outputs y:
//
//   weights u (both tile sizes, so one transform serves all):
//     6g0, g0+g1+g2, g0-g1+g2, g0+2g1+4g2, g0-2g1+4g2, 6g2
//   inputs of a tile of 4:
//     4d0-5d2+d4,  4d1+4d2-d3-d4, -4d1+4d2+d3-d4,
//     -2d1-d2+2d3+d4, 2d1-d2-2d3+d4, 4d1-5d3+d5
//   outputs of a tile of 4, m = u * v:
//     24 y0 = m0 + 4(m1+m2) + (m3+m4)      12 y1 = 2(m1-m2) + (m3-m4)
//      6 y2 = (m1+m2) + (m3+m4)             6 y3 = (m1-m2) + 2(m3-m4) + m5
//   inputs of a tile of 3:
//     2d0-d1-2d2+d3, 6d1+3d2-3d3, -2d1+3d2-d3, -2d1+2d3, -, 2d1-d2-2d3+d4
//   outputs of a tile of 3:
//     12 y0 = m0 + 2(m1+m2) + m3            6 y1 = (m1-m2) + m3
//      6 y2 = (m1+m2) + 2 m3 + m5
//
// Both dimensions together: |u| <= 49 for ternary g (int8); v of u8 inputs lies
// in [-15300, 22950] (int16, tests reach the bounds). Sums are int32 modulo
// 2^32, as are the output transforms, which yield 9 * 2^s * y with s <= 6 known
// per output. Multiplying by the inverse of 9 modulo 2^32 leaves 2^s * y, and
// an arithmetic shift leaves y, exactly, while |64 y| < 2^31: no filter may
// have more than kMaxTapsOfOneSign taps of one sign.
//
// All functions are pure and thread-safe.

#ifndef TERN_ENGINE_KERNELS_WINOGRAD_H_
#define TERN_ENGINE_KERNELS_WINOGRAD_H_

#include <cstddef>
#include <cstdint>

#include "engine/kernels/conv.h"
#include "engine/kernels/packed_weights.h"

namespace tern::winograd {

inline constexpr int kPositions = 36;
inline constexpr int kFilterBlock = kPackedBlockFilters;
inline constexpr int kChannelGroup = kPackedGroupChannels;
inline constexpr std::int32_t kInverse9 = 954437177;
inline constexpr int kMaxTapsOfOneSign = ((1 << 25) - 1) / 255;

// Tiles along one dimension: the fours, then the threes.
struct Split {
  int fours = 0;
  int threes = 0;
};

// Fewest positions that cover `size` outputs; no overhang where possible.
Split ChooseSplit(int size);

struct Tile {
  std::int32_t image;
  std::int32_t y, x;        // first output
  std::int32_t rows, cols;  // 4 or 3
};

// What the cutting of a call has to know of a kernel's pieces and of the cores
// that they are for.
struct Profile {
  // Whether products keep a position's weights, widened to int16, from the
  // first tiles for the others.
  bool keeps_wide;
  // Tiles of a block, at most, with and without resident weights; what may be
  // resident.
  int resident_tiles, streamed_tiles;
  std::size_t resident_bytes;
  // Channels whose products are summed at once without resident weights, if
  // there are no more of them.
  int whole_channels;
  // Measured cycles of the pieces.
  double product;       // a position's 64 filters, a channel
  double weight_unit;   // 32 filters' pair of channels
  double widen_unit;    // the same, for a tile block's products
  double input_slab;    // a tile's 32 channels
  double output_block;  // a tile's 64 filters
  double tile_block;    // fixed costs of a tile block
  double cycles_per_ns;
};

// How one call is cut up. `tile_block` tiles are transformed at a time; their
// products are summed over `channel_chunk` channels at a time (a multiple of
// kChannelGroup). Transformed weights of all filters stay in a thread's scratch
// for all its tasks if `resident`. A task is a range of tiles and of filter
// blocks.
struct Blocking {
  Split rows, cols;
  int tiles = 0;
  int tile_block = 0;
  int channel_chunk = 0;
  bool resident = false;
  int tile_tasks = 1;
  int filter_tasks = 1;
};

// Whether the inputs are one block, which a thread transforms once for all its
// tasks.
bool SharesInputs(const Blocking& blocking);

Blocking ChooseBlocking(const Profile& profile, const ConvGeometry& geometry,
                        int batch, int threads);
double PredictedNs(const Profile& profile, const ConvGeometry& geometry,
                   int batch);

// Tiles [begin, end) of a call: those of 4x3 outputs come first, then 4x4, 3x4
// and 3x3, so that at every position the tiles that have it are neighbours.
void ListTiles(const Blocking& blocking, int batch, int begin, int end,
               Tile* tiles);

// The part of `tiles` that has the position (i, j): [begin, end).
struct TileRange {
  int begin, end;
};
struct PositionRanges {
  TileRange all, rows_of_4, cols_of_4, both_of_4;
};
PositionRanges FindRanges(const Tile* tiles, int count);

// Where things lie in a thread's scratch; strides are in elements. Planes never
// lie a multiple of 4096 bytes apart: that would map all 36 to one cache set.
struct ScratchLayout {
  std::size_t tiles, border, inputs, weights, wide, sums, outputs;
  std::size_t total;
  std::ptrdiff_t input_row, input_plane;
  std::ptrdiff_t weight_plane;        // within one filter block's chunk
  std::ptrdiff_t weight_block_bytes;  // from one filter block to the next
  std::ptrdiff_t sum_plane;
};
ScratchLayout PlanScratch(const Profile& profile, const ConvGeometry& geometry,
                          const Blocking& blocking);

bool Applies(const ConvGeometry& geometry, const std::int8_t* codes);
bool FusesMaxPool(const ConvGeometry& geometry);

// The pixels that tile covers, 6 x 6, `border` where there are none.
void FindPixels(const ConvCall& call, const Tile& tile,
                const std::uint8_t* border, const std::uint8_t* pixels[36]);

// Whether rounding before clamping gives the same u8: whole limits, and no
// value can leave int32.
bool ClampsAfterRounding(const ConvCall& call);

// Plain loops over the formulae above, for tests.
void TransformInputReference(const int* pixels, int rows, int cols, int* out);
void TransformWeightsReference(const std::int8_t* taps, int* out);
void TransformOutputReference(const std::int32_t* sums, int rows, int cols,
                              std::int32_t* out);

}  // namespace tern::winograd

#endif  // TERN_ENGINE_KERNELS_WINOGRAD_H_
