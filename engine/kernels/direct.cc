#include "engine/kernels/direct.h"

#include <algorithm>
#include <cstring>

namespace tern {
namespace {

// Tap tables and gathered runs should leave room in the first-level cache.
constexpr std::size_t kTapTableBytes = 16 << 10;
constexpr std::size_t kGatheredBytes = 24 << 10;
// What the copy of a window's last rows may write too much: into the next
// window, which is copied later, and behind the last one.
constexpr std::size_t kGatherSlack = 63;

std::size_t RoundUp64(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

bool HasPadding(const ConvGeometry& g) {
  return g.pad_top > 0 || g.pad_left > 0 ||
         (g.out_h - 1) * g.stride_h + g.kernel_h - g.pad_top > g.in_h ||
         (g.out_w - 1) * g.stride_w + g.kernel_w - g.pad_left > g.in_w;
}

void SetPieces(const ConvGeometry& g, int batch, int threads,
               DirectLayout& layout) {
  if (threads == 1) return;
  // Pieces of filters alone unpack no weights twice.
  if (layout.blocks >= 4 * threads) {
    layout.block_pieces = 4 * threads;
    return;
  }
  const int tiles =
      (batch * g.out_h * g.out_w + kDirectTilePixels - 1) / kDirectTilePixels;
  layout.pixel_pieces = std::clamp(tiles / 4, 1, 4 * threads);
  if (layout.pixel_pieces < 2 * threads) {
    layout.block_pieces =
        std::min(layout.blocks,
                 (2 * threads + layout.pixel_pieces - 1) / layout.pixel_pieces);
  }
}

void SetScratch(std::size_t (*task_bytes)(const DirectLayout&),
                DirectLayout& layout) {
  const std::size_t taps = layout.taps * sizeof(DirectTap);
  std::size_t tiles = kTapTableBytes / taps;
  if (layout.gathers) {
    layout.gathered_bytes = RoundUp64(layout.run);
    tiles = kGatheredBytes / (kDirectTilePixels * layout.gathered_bytes);
  }
  layout.chunk_tiles =
      static_cast<int>(std::clamp<std::size_t>(tiles, 1, kDirectMaxChunkTiles));
  layout.pad_offset =
      taps * layout.chunk_tiles + kDirectTapsAhead * sizeof(DirectTap);
  layout.tile_offset = layout.pad_offset + DirectPadBytes(layout);
  layout.own_offset = layout.tile_offset + kDirectTilePixels *
                                               kPackedBlockFilters *
                                               sizeof(std::int32_t);
  layout.gathered_offset =
      layout.own_offset +
      (task_bytes == nullptr ? 0 : RoundUp64(task_bytes(layout)));
  layout.scratch_bytes = layout.gathered_offset;
  if (layout.gathers) {
    layout.scratch_bytes +=
        layout.chunk_tiles * kDirectTilePixels * layout.gathered_bytes +
        kGatherSlack;
  }
}

}  // namespace

DirectLayout MakeDirectLayout(const ConvGeometry& g, int batch, int threads,
                              std::size_t (*task_bytes)(const DirectLayout&)) {
  DirectLayout layout = {MakePackedLayout(g)};
  layout.padded = HasPadding(g);
  SetPieces(g, batch, threads, layout);
  SetScratch(task_bytes, layout);
  return layout;
}

bool DirectApplies(const ConvGeometry&, const std::int8_t*) { return true; }

bool DirectFusesMaxPool(const ConvGeometry&) { return false; }

std::size_t DirectPadBytes(const DirectLayout& layout) {
  return RoundUp64(layout.run) + kOverreadBytes;
}

void FillDirectPad(const DirectTask& task) {
  const DirectLayout& layout = task.layout;
  const int channels = task.g->in_c;
  std::memset(task.pad, 0, DirectPadBytes(layout));
  if (task.call->pad_value == nullptr) return;
  for (int i = 0; i + channels <= layout.run; i += channels) {
    std::memcpy(task.pad + i, task.call->pad_value, channels);
  }
}

int DirectTasks(const ConvGeometry& g, int batch, int threads) {
  const DirectLayout layout = MakeDirectLayout(g, batch, threads);
  return layout.pixel_pieces * layout.block_pieces;
}

}  // namespace tern
