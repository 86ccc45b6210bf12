// How a direct convolution walks over its pixels and filters; the work is done
// by the micro-kernels of one instruction set.

#include <algorithm>

#include "engine/kernels/direct.h"
#include "engine/kernels/kernels.h"

namespace tern {
namespace {

// Two tiles of 4 take less time than a tile of 6 and one of 2.
int TilePixels(int left) {
  if (left >= 2 * kDirectTilePixels) return kDirectTilePixels;
  return left > kDirectTilePixels ? (left + 1) / 2 : left;
}

// Tiles of a chunk whose windows have been gathered: the same for each chunk of
// as many pixels.
void FillGathered(const DirectTask& task, int pixels_before,
                  DirectChunk& chunk) {
  if (chunk.end - chunk.first == pixels_before) return;
  DirectTap* taps = task.taps;
  const std::uint8_t* gathered = task.gathered;
  DirectTile* tile = chunk.tile;
  for (int left = chunk.end - chunk.first; left > 0;) {
    const int pixels = TilePixels(left);
    taps->tap = 0;
    for (int m = 0; m < pixels; ++m) {
      taps->pixel[m] = gathered;
      gathered += task.layout.gathered_bytes;
    }
    *tile++ = {taps++, 1, pixels};
    left -= pixels;
  }
}

// The tap tables of layers with one tap that is never padding: with few
// channels the general way would cost a tenth of the products' time.
void FillOneTap(const DirectTask& task, DirectCursor& cursor,
                DirectChunk& chunk) {
  const ConvGeometry& g = *task.g;
  const std::ptrdiff_t step = std::ptrdiff_t{1} * g.stride_w * g.in_c;
  const std::ptrdiff_t row_step = g.stride_h * task.row_bytes;
  const auto row_of = [&](const DirectCursor& at) {
    return task.call->input + at.image * task.image_bytes + at.y * row_step;
  };
  int x = cursor.x;
  const std::uint8_t* run = row_of(cursor) + x * step;
  DirectTap* taps = task.taps;
  DirectTile* tile = chunk.tile;
  for (int left = chunk.end - chunk.first; left > 0;) {
    const int pixels = TilePixels(left);
    taps->tap = 0;
    for (int m = 0; m < pixels; ++m) {
      taps->pixel[m] = run;
      run += step;
      if (++x < g.out_w) continue;
      AdvanceDirect(g, x - cursor.x, cursor);
      x = 0;
      run = row_of(cursor);
    }
    *tile++ = {taps++, 1, pixels};
    left -= pixels;
  }
  cursor.x = x;
}

// Makes the tap tables of a chunk; the chunk before had `pixels_before` pixels.
void FillChunk(const DirectTask& task, const DirectMicroKernels& kernels,
               int pixels_before, DirectCursor& cursor, DirectChunk& chunk) {
  const DirectLayout& layout = task.layout;
  if (layout.gathers) {
    const int pixels = chunk.end - chunk.first;
    GatherDirect(task, kernels, cursor, pixels);
    AdvanceDirect(*task.g, pixels, cursor);
    return FillGathered(task, pixels_before, chunk);
  }
  if (layout.taps == 1 && !layout.padded) {
    return FillOneTap(task, cursor, chunk);
  }
  DirectTap* taps = task.taps;
  DirectTile* tile = chunk.tile;
  for (int p = chunk.first; p < chunk.end;) {
    const int pixels = TilePixels(chunk.end - p);
    const bool all = task.call->pad_value != nullptr ||
                     (kernels.first_has_all_taps && tile == chunk.tile);
    *tile++ = {taps, kernels.fill_taps(task, cursor, pixels, all, taps),
               pixels};
    AdvanceDirect(*task.g, pixels, cursor);
    taps += layout.taps;
    p += pixels;
  }
}

DirectTask MakeTask(const ConvCall& call, const DirectLayout& layout,
                    std::byte* scratch) {
  const ConvGeometry& g = *call.geometry;
  DirectTask task;
  task.call = &call;
  task.g = &g;
  task.layout = layout;
  task.row_bytes = std::ptrdiff_t{1} * g.in_w * g.in_c;
  task.image_bytes = task.row_bytes * g.in_h;
  auto* bytes = reinterpret_cast<std::uint8_t*>(scratch);
  task.taps = reinterpret_cast<DirectTap*>(scratch);
  task.pad = bytes + layout.pad_offset;
  task.sums = reinterpret_cast<std::int32_t*>(scratch + layout.tile_offset);
  task.own = bytes + layout.own_offset;
  task.gathered = bytes + layout.gathered_offset;
  FillDirectPad(task);
  DirectTap padding = {};
  std::fill_n(padding.pixel, kDirectTilePixels, task.pad);
  std::fill_n(task.taps, layout.pad_offset / sizeof(DirectTap), padding);
  return task;
}

void RunTask(const ConvCall& call, int threads, int index, std::byte* scratch,
             const DirectMicroKernels& kernels) {
  const ConvGeometry& g = *call.geometry;
  const DirectLayout layout =
      MakeDirectLayout(g, call.batch, threads, kernels.task_bytes);
  DirectTask task = MakeTask(call, layout, scratch);
  const std::int64_t pixels = std::int64_t{1} * call.batch * g.out_h * g.out_w;
  const int pixel_piece = index / layout.block_pieces;
  const int block_piece = index % layout.block_pieces;
  task.first_block = layout.blocks * block_piece / layout.block_pieces;
  task.end_block = layout.blocks * (block_piece + 1) / layout.block_pieces;
  // Pieces of whole tiles.
  const std::int64_t tiles =
      (pixels + kDirectTilePixels - 1) / kDirectTilePixels;
  const auto edge = [&](std::int64_t piece) {
    return static_cast<int>(std::min(
        tiles * piece / layout.pixel_pieces * kDirectTilePixels, pixels));
  };
  DirectChunk chunk;
  chunk.end = edge(pixel_piece);
  const int end = edge(pixel_piece + 1);
  DirectCursor cursor = {chunk.end / g.out_w / g.out_h,
                         chunk.end / g.out_w % g.out_h, chunk.end % g.out_w};
  chunk.first = chunk.end;
  while (chunk.end < end) {
    const int pixels_before = chunk.end - chunk.first;
    chunk.first = chunk.end;
    chunk.end =
        std::min(end, chunk.first + layout.chunk_tiles * kDirectTilePixels);
    FillChunk(task, kernels, pixels_before, cursor, chunk);
    for (int block = task.first_block; block < task.end_block; ++block) {
      kernels.run_block(task, chunk, block);
    }
  }
}

template <const DirectMicroKernels& kKernels>
std::size_t ScratchBytes(const ConvGeometry& g, int batch, int threads) {
  return MakeDirectLayout(g, batch, threads, kKernels.task_bytes).scratch_bytes;
}

template <const DirectMicroKernels& kKernels>
void Run(const ConvCall& call, int threads, int task, std::byte* scratch) {
  RunTask(call, threads, task, scratch, kKernels);
}

template <const DirectMicroKernels& kKernels>
double PredictedNs(const ConvGeometry& g, int batch) {
  return kKernels.predicted_ns(g, batch);
}

template <const DirectMicroKernels& kKernels>
constexpr ConvKernel MakeKernel() {
  return {
      "direct",      DirectApplies,        DirectFusesMaxPool,     PackedBytes,
      PackWeights,   DirectTasks,          ScratchBytes<kKernels>, BeginNothing,
      Run<kKernels>, PredictedNs<kKernels>};
}

}  // namespace

int SameSizeTiles(const DirectChunk& chunk, const DirectTile* tile, int pixel) {
  const int pixels = tile->pixels;
  int tiles = 0;
  while (pixel < chunk.end && tile[tiles].pixels == pixels) {
    ++tiles;
    pixel += pixels;
  }
  return tiles;
}

#if defined(__x86_64__)
const ConvKernel kDirectAvx2 = MakeKernel<kDirectMicroKernelsAvx2>();
const ConvKernel kDirectAvx512Vnni =
    MakeKernel<kDirectMicroKernelsAvx512Vnni>();
const ConvKernel kDirectAvx512VnniWide =
    MakeKernel<kDirectMicroKernelsAvx512VnniWide>();
#elif defined(__aarch64__)
const ConvKernel kDirectNeon = MakeKernel<kDirectMicroKernelsNeon>();
#endif

}  // namespace tern
