// Direct convolution from 2-bit weights (packed_weights.h): what its files of
// all instruction sets share, that is division into tasks, walk, cost. A leaf
// header.
//
// The k-loop runs over taps and, within a tap, over its run of input bytes, 4
// at a time (a step). A gathered run has all that an output pixel reads,
// padding included.

#ifndef TERN_ENGINE_KERNELS_DIRECT_H_
#define TERN_ENGINE_KERNELS_DIRECT_H_

#include <cstddef>
#include <cstdint>

#include "engine/kernels/conv.h"
#include "engine/kernels/packed_weights.h"

namespace tern {

// Pixels of one register tile, at most.
inline constexpr int kDirectTilePixels = 6;
// How many taps ahead of the one in work a micro-kernel may prefetch: the table
// has addresses there, if only those of padding or of an earlier chunk.
inline constexpr int kDirectTapsAhead = 2;
// Tiles of a chunk, at most.
inline constexpr int kDirectMaxChunkTiles = 32;

struct DirectLayout : PackedLayout {
  bool padded = false;  // taps may lie outside of the input
  // Output pixels and filter blocks are cut into this many pieces each.
  int pixel_pieces = 1;
  int block_pieces = 1;
  // Register tiles whose tap tables are made together.
  int chunk_tiles = 1;
  std::size_t gathered_bytes = 0;  // from one pixel's gathered run to the next
  // Offsets into a task's scratch. The tap tables come first.
  std::size_t pad_offset = 0;
  std::size_t tile_offset = 0;
  std::size_t own_offset = 0;
  std::size_t gathered_offset = 0;
  std::size_t scratch_bytes = 0;
};

// `task_bytes`: the scratch of a task that its micro-kernels use as they like.
DirectLayout MakeDirectLayout(
    const ConvGeometry& g, int batch, int threads,
    std::size_t (*task_bytes)(const DirectLayout&) = nullptr);

// One tap of one register tile: where its pixels' runs begin.
struct alignas(64) DirectTap {
  const std::uint8_t* pixel[kDirectTilePixels];
  std::size_t tap;
  std::size_t unused;
};

// The taps of one tile that are not padding for all of its pixels.
struct DirectTile {
  const DirectTap* taps;
  int count;
  int pixels;
};

// An output pixel.
struct DirectCursor {
  std::ptrdiff_t image;
  int y, x;
};

// Everything that stays the same during a task.
struct DirectTask {
  const ConvCall* call;
  const ConvGeometry* g;
  DirectLayout layout;
  // From one input row, image to the next.
  std::ptrdiff_t row_bytes, image_bytes;
  int first_block, end_block;
  DirectTap* taps;
  std::uint8_t* pad;       // a run of padding
  std::int32_t* sums;      // of one tile
  std::uint8_t* own;       // of the micro-kernels: unpacked weights and more
  std::uint8_t* gathered;  // runs of a chunk's pixels
};

// Neighbouring output pixels [first, end), whose tap tables are made together.
struct DirectChunk {
  int first, end;
  DirectTile tile[kDirectMaxChunkTiles];
};

// Windows of neighbouring pixels, inside the input: copies `rows` rows of
// `bytes` bytes for each pixel, and up to 63 bytes behind them, which the next
// row or window overwrites.
struct DirectWindows {
  int pixels;
  const std::uint8_t* from;
  std::ptrdiff_t step;       // from one pixel's window to the next
  std::ptrdiff_t row_bytes;  // from one input row to the next
  int rows;
  std::size_t bytes;
  std::uint8_t* to;
  std::size_t stride;  // from one pixel's run to the next
};

// What an instruction set brings.
struct DirectMicroKernels {
  // Fills the tap table of the tile of `pixels` pixels from `first` on; returns
  // how many taps it has. Taps that are padding for all pixels are left out
  // unless `all` are asked for.
  int (*fill_taps)(const DirectTask&, const DirectCursor& first, int pixels,
                   bool all, DirectTap* taps);
  void (*gather)(const DirectWindows& windows);
  // All tiles of a chunk times one block of 64 filters, to the output.
  void (*run_block)(const DirectTask&, const DirectChunk&, int block);
  // Its own scratch, DirectTask::own; of the layout, all is known but offsets.
  std::size_t (*task_bytes)(const DirectLayout&);
  // Whether it needs all taps of a chunk's first tile.
  bool first_has_all_taps;
  // ConvKernel's.
  double (*predicted_ns)(const ConvGeometry&, int batch);
};

extern const DirectMicroKernels kDirectMicroKernelsAvx2;
extern const DirectMicroKernels kDirectMicroKernelsAvx512Vnni;
extern const DirectMicroKernels kDirectMicroKernelsAvx512VnniWide;
extern const DirectMicroKernels kDirectMicroKernelsNeon;

// How many tiles from this one on, whose first pixel is `pixel`, have as many
// pixels as it.
int SameSizeTiles(const DirectChunk& chunk, const DirectTile* tile, int pixel);

// The size of DirectTask::pad; fills it.
std::size_t DirectPadBytes(const DirectLayout& layout);
void FillDirectPad(const DirectTask& task);

// The next pixel but `pixels`.
void AdvanceDirect(const ConvGeometry& g, int pixels, DirectCursor& cursor);

// fill_taps for any instruction set; for AVX-512.
int FillDirectTaps(const DirectTask& task, const DirectCursor& first,
                   int pixels, bool all, DirectTap* taps);
int FillDirectTapsAvx512Vnni(const DirectTask& task, const DirectCursor& first,
                             int pixels, bool all, DirectTap* taps);

// Gathers the windows of `pixels` output pixels from `first` on.
void GatherDirect(const DirectTask& task, const DirectMicroKernels& kernels,
                  const DirectCursor& first, int pixels);

// gather for CPUs with AVX2; with AVX-512.
void GatherWindowsAvx2(const DirectWindows& windows);
void GatherWindowsAvx512Vnni(const DirectWindows& windows);

// Members of ConvKernel.
bool DirectApplies(const ConvGeometry& g, const std::int8_t* codes);
bool DirectFusesMaxPool(const ConvGeometry& g);
int DirectTasks(const ConvGeometry& g, int batch, int threads);

}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_DIRECT_H_
