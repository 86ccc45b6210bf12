// How a direct convolution walks over its pixels and filters; the work is done
// by the micro-kernels of one instruction set.

#include <algorithm>
#include <cstring>

#include "engine/kernels/direct.h"

namespace tern {
namespace {

// Two tiles of 4 take less time than a tile of 6 and one of 2.
int TilePixels(int left) {
  if (left >= 2 * kDirectTilePixels) return kDirectTilePixels;
  return left > kDirectTilePixels ? (left + 1) / 2 : left;
}

void Advance(const DirectSource& s, int pixels, DirectCursor& cursor) {
  cursor.x += pixels;
  while (cursor.x >= s.out_w) {
    cursor.x -= s.out_w;
    if (++cursor.y < s.out_h) continue;
    cursor.y = 0;
    ++cursor.image;
  }
}

// fill_taps for 1x1 kernels without padding.
int FillOneTap(const DirectTask& task, const DirectCursor& first, int pixels,
               DirectTap* taps) {
  DirectCursor at = first;
  const DirectSource& s = task.source;
  const std::ptrdiff_t step = task.g->stride_w * s.pixel_bytes;
  const std::ptrdiff_t row_step = task.g->stride_h * s.row_bytes;
  const std::uint8_t* row = s.base + at.image * s.image_bytes + at.y * row_step;
  taps->tap = 0;
  for (int m = 0; m < pixels; ++m) {
    taps->pixel[m] = row + at.x * step;
    if (++at.x < s.out_w) continue;
    Advance(s, 0, at);
    row = s.base + at.image * s.image_bytes + at.y * row_step;
  }
  return 1;
}

// Output pixels [first, end) of the task's source; in the output tensor the
// first is `out_first`.
void RunPixels(const DirectTask& task, const DirectMicroKernels& kernels,
               int first, int end, std::size_t out_first) {
  const DirectLayout& layout = task.layout;
  const int chunk_pixels = layout.chunk_tiles * kDirectTilePixels;
  DirectCursor cursor = {first / task.source.out_w / task.source.out_h,
                         first / task.source.out_w % task.source.out_h,
                         first % task.source.out_w};
  const auto fill_taps =
      layout.taps == 1 && !layout.padded ? FillOneTap : kernels.fill_taps;
  DirectChunk chunk;
  for (; first < end; first = chunk.end) {
    chunk.first = first;
    chunk.end = std::min(end, first + chunk_pixels);
    chunk.out_first = out_first;
    DirectTap* taps = task.taps;
    DirectTile* tile = chunk.tile;
    for (int p = first; p < chunk.end;) {
      const int pixels = TilePixels(chunk.end - p);
      *tile++ = {taps, fill_taps(task, cursor, pixels, taps), pixels};
      Advance(task.source, pixels, cursor);
      taps += layout.taps;
      p += pixels;
    }
    for (int block = task.first_block; block < task.end_block; ++block) {
      kernels.run_block(task, chunk, block);
    }
    out_first += static_cast<std::size_t>(chunk.end - first);
  }
}

void FillPadding(const DirectTask& task, std::uint8_t* row, int from, int to) {
  const int channels = task.g->in_c;
  for (int x = from; x < to; ++x) {
    std::memcpy(row + std::size_t{1} * x * channels, task.pad, channels);
  }
}

// Copies the input rows of output rows [first, first + rows) of one image,
// padding made real.
void CopyBand(const DirectTask& task, int image, int first, int rows) {
  const ConvGeometry& g = *task.g;
  const std::size_t row_bytes = task.layout.copied_row_bytes;
  const int width = static_cast<int>(row_bytes / g.in_c);
  const int inputs = (rows - 1) * g.stride_h + g.kernel_h;
  // The part of a copied row that is input.
  const int from = std::min(g.pad_left, width);
  const int to = std::min(g.in_w + from, width);
  for (int i = 0; i < inputs; ++i) {
    std::uint8_t* row = task.copy + row_bytes * i;
    const int y = first * g.stride_h - g.pad_top + i;
    if (y < 0 || y >= g.in_h) {
      FillPadding(task, row, 0, width);
      continue;
    }
    FillPadding(task, row, 0, from);
    const std::size_t pixel = (std::size_t{1} * image * g.in_h + y) * g.in_w;
    std::memcpy(row + std::size_t{1} * from * g.in_c,
                task.call->input + pixel * g.in_c,
                std::size_t{1} * (to - from) * g.in_c);
    FillPadding(task, row, to, width);
  }
}

// Output pixels [first, end) of the tensor, band by band through copies.
void RunCopied(DirectTask& task, const DirectMicroKernels& kernels, int first,
               int end) {
  const ConvGeometry& g = *task.g;
  const auto row_bytes =
      static_cast<std::ptrdiff_t>(task.layout.copied_row_bytes);
  while (first < end) {
    const int row = first / g.out_w;
    const int y = row % g.out_h;
    const int rows = std::min(task.layout.band_rows, g.out_h - y);
    const int band_first = row * g.out_w;
    const int stop = std::min(band_first + rows * g.out_w, end);
    CopyBand(task, row / g.out_h, y, rows);
    task.source = {.base = task.copy,
                   .pixel_bytes = g.in_c,
                   .row_bytes = row_bytes,
                   .image_bytes = 0,
                   .height = (rows - 1) * g.stride_h + g.kernel_h,
                   .width = (g.out_w - 1) * g.stride_w + g.kernel_w,
                   .pad_top = 0,
                   .pad_left = 0,
                   .out_h = rows,
                   .out_w = g.out_w};
    RunPixels(task, kernels, first - band_first, stop - band_first, first);
    first = stop;
  }
}

DirectTask MakeTask(const ConvCall& call, const DirectLayout& layout,
                    std::byte* scratch) {
  const ConvGeometry& g = *call.geometry;
  DirectTask task;
  task.call = &call;
  task.g = &g;
  task.layout = layout;
  const std::ptrdiff_t row_bytes = std::ptrdiff_t{1} * g.in_w * g.in_c;
  task.source = {.base = call.input,
                 .pixel_bytes = g.in_c,
                 .row_bytes = row_bytes,
                 .image_bytes = row_bytes * g.in_h,
                 .height = g.in_h,
                 .width = g.in_w,
                 .pad_top = g.pad_top,
                 .pad_left = g.pad_left,
                 .out_h = g.out_h,
                 .out_w = g.out_w};
  auto* bytes = reinterpret_cast<std::uint8_t*>(scratch);
  task.taps = reinterpret_cast<DirectTap*>(scratch);
  task.pad = bytes + layout.pad_offset;
  task.sums = reinterpret_cast<std::int32_t*>(scratch + layout.tile_offset);
  task.unpacked = bytes + layout.unpacked_offset;
  task.copy = bytes + layout.copy_offset;
  std::memset(task.pad, 0, layout.tile_offset - layout.pad_offset);
  if (call.pad_value != nullptr) {
    std::memcpy(task.pad, call.pad_value, g.in_c);
  }
  return task;
}

}  // namespace

void RunDirect(const ConvCall& call, const DirectLayout& layout, int index,
               std::byte* scratch, const DirectMicroKernels& kernels) {
  DirectTask task = MakeTask(call, layout, scratch);
  const std::int64_t pixels =
      std::int64_t{1} * call.batch * task.g->out_h * task.g->out_w;
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
  const int first = edge(pixel_piece);
  const int end = edge(pixel_piece + 1);
  if (layout.copies) {
    RunCopied(task, kernels, first, end);
  } else {
    RunPixels(task, kernels, first, end, static_cast<std::size_t>(first));
  }
}

int FillDirectTaps(const DirectTask& task, const DirectCursor& first,
                   int pixels, DirectTap* taps) {
  const ConvGeometry& g = *task.g;
  const DirectSource& s = task.source;
  // Top left input position of each pixel.
  int y0[kDirectTilePixels];
  int x0[kDirectTilePixels];
  const std::uint8_t* corner[kDirectTilePixels];
  DirectCursor at = first;
  for (int m = 0; m < pixels; ++m) {
    y0[m] = at.y * g.stride_h - s.pad_top;
    x0[m] = at.x * g.stride_w - s.pad_left;
    corner[m] = s.base + at.image * s.image_bytes + y0[m] * s.row_bytes +
                x0[m] * s.pixel_bytes;
    Advance(s, 1, at);
  }
  const auto inside = [](int position, int size) {
    return static_cast<unsigned>(position) < static_cast<unsigned>(size);
  };
  const int columns = task.layout.whole_rows ? 1 : g.kernel_w;
  int count = 0;
  for (int ky = 0; ky < g.kernel_h; ++ky) {
    for (int kx = 0; kx < columns; ++kx) {
      const std::ptrdiff_t offset = ky * s.row_bytes + kx * s.pixel_bytes;
      bool any = task.call->pad_value != nullptr;
      for (int m = 0; m < pixels; ++m) {
        const bool in =
            inside(y0[m] + ky, s.height) && inside(x0[m] + kx, s.width);
        taps[count].pixel[m] = in ? corner[m] + offset : task.pad;
        any = any || in;
      }
      taps[count].tap = static_cast<std::size_t>(ky * columns + kx);
      if (any) ++count;
    }
  }
  return count;
}

}  // namespace tern
