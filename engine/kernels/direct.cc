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

bool Gathers(const ConvGeometry& g) {
  return g.kernel_h * g.kernel_w > 1 && g.in_c < 16;
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
  layout.tile_offset =
      layout.pad_offset + RoundUp64(layout.run) + kOverreadBytes;
  layout.own_offset = layout.tile_offset + kDirectTilePixels *
                                               kDirectBlockFilters *
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
  DirectLayout layout;
  layout.gathers = Gathers(g);
  layout.padded = HasPadding(g);
  layout.taps = layout.gathers ? 1 : g.kernel_h * g.kernel_w;
  layout.run = layout.gathers ? g.kernel_h * g.kernel_w * g.in_c : g.in_c;
  layout.steps = (layout.run + 3) / 4;
  layout.groups = (layout.steps + 3) / 4;
  layout.blocks = (g.filters + kDirectBlockFilters - 1) / kDirectBlockFilters;
  layout.block_bytes = std::size_t{1} * layout.taps * layout.groups * 4 * 64;
  SetPieces(g, batch, threads, layout);
  SetScratch(task_bytes, layout);
  return layout;
}

bool DirectApplies(const ConvGeometry&, const std::int8_t*) { return true; }

bool DirectFusesMaxPool(const ConvGeometry&) { return false; }

std::size_t DirectPackedBytes(const ConvGeometry& g) {
  const DirectLayout layout = MakeDirectLayout(g, 1, 1);
  const int sixteens = (g.filters + 15) / 16;
  return layout.block_bytes / 4 * sixteens;
}

void DirectPack(const ConvGeometry& g, const std::int8_t* codes,
                std::uint8_t* packed) {
  const DirectLayout layout = MakeDirectLayout(g, 1, 1);
  std::memset(packed, 0, DirectPackedBytes(g));
  for (int k = 0; k < g.filters; ++k) {
    const int block = k / kDirectBlockFilters;
    const int left = g.filters - block * kDirectBlockFilters;
    const int vectors = std::min(4, (left + 15) / 16);
    for (int tap = 0; tap < layout.taps; ++tap) {
      for (int i = 0; i < layout.run; ++i) {
        const unsigned code = *codes == 0 ? 0 : *codes > 0 ? 1 : 2;
        ++codes;
        const std::size_t vector =
            (std::size_t{1} * tap * layout.groups + i / 16) * vectors +
            k % kDirectBlockFilters / 16;
        std::uint8_t& byte = packed[layout.block_bytes * block + vector * 64 +
                                    k % 16 * 4 + i % 4];
        byte = static_cast<std::uint8_t>(byte | code << (2 * (i % 16 / 4)));
      }
    }
  }
}

int DirectTasks(const ConvGeometry& g, int batch, int threads) {
  const DirectLayout layout = MakeDirectLayout(g, batch, threads);
  return layout.pixel_pieces * layout.block_pieces;
}

}  // namespace tern
