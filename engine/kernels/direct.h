// Direct convolution from 2-bit weights: what its files of all instruction
// sets share, that is layout of packed weights, division into tasks, cost.
// A leaf header.
//
// The k-loop runs over taps and, within a tap, over runs of input bytes that
// lie next to each other, 4 at a time (a step). A tap is normally one kernel
// position, its run the channels of one pixel. Where that run is short and
// awkward (first layers with 1 or 3 channels), a tap is a whole kernel row and
// its run the row's kernel_w * in_c bytes; padding is then made real by copying
// input rows into scratch first.
//
// Packed weights, outermost first:
//
//     block of 64 filters | tap | group of 16 run bytes | 16 filters | 64 bytes
//
// Byte 4 f + b holds filter f of its 16, in bits 2s..2s+1 the code of run byte
// 16 group + 4 s + b. Codes: 0, 1 and 2 for the weights 0, +1 and -1. The last
// block has only as many 16s of filters as it needs; what a run or filter count
// leaves over is 0.

#ifndef TERN_ENGINE_KERNELS_DIRECT_H_
#define TERN_ENGINE_KERNELS_DIRECT_H_

#include <cstddef>
#include <cstdint>

#include "engine/kernels/conv.h"

namespace tern {

inline constexpr int kDirectBlockFilters = 64;
// Pixels of one register tile.
inline constexpr int kDirectTilePixels = 6;

struct DirectLayout {
  bool whole_rows = false;  // a tap is a kernel row
  bool copies = false;      // input rows are copied, padding included
  int taps = 0;
  int run = 0;                  // bytes of a tap
  int steps = 0;                // of 4 bytes, in a tap
  int groups = 0;               // of 4 steps, in a tap
  int blocks = 0;               // of 64 filters
  std::size_t block_bytes = 0;  // of a full block
  // Output pixels and filter blocks are cut into this many pieces each.
  int pixel_pieces = 1;
  int block_pieces = 1;
  // Register tiles whose tap tables are made together.
  int chunk_tiles = 1;
  // Output rows whose input is copied together, and the bytes of a copied row.
  int band_rows = 0;
  std::size_t copied_row_bytes = 0;
  // Offsets into a task's scratch.
  std::size_t pad_offset = 0;
  std::size_t tile_offset = 0;
  std::size_t copy_offset = 0;
  std::size_t scratch_bytes = 0;
};

DirectLayout MakeDirectLayout(const ConvGeometry& g, int batch, int threads);

// Members of ConvKernel.
bool DirectApplies(const ConvGeometry& g, const std::int8_t* codes);
bool DirectFusesMaxPool(const ConvGeometry& g);
std::size_t DirectPackedBytes(const ConvGeometry& g);
void DirectPack(const ConvGeometry& g, const std::int8_t* codes,
                std::uint8_t* packed);
int DirectTasks(const ConvGeometry& g, int batch, int threads);
std::size_t DirectScratchBytes(const ConvGeometry& g, int batch, int threads);
double DirectPredictedNs(const ConvGeometry& g, int batch);

}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_DIRECT_H_
