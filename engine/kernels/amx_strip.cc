#include "engine/kernels/amx_strip.h"

#include <algorithm>
#include <cstring>

namespace tern::amx {
namespace {

// Strips and unpacked weights stay in the second-level cache; gathered runs,
// which are not read from several rows, in the first. Strips are large where
// each of them unpacks all weights anew.
constexpr std::size_t kWeightsBytes = 640 << 10;
constexpr std::size_t kStripBytes = 160 << 10;
constexpr std::size_t kLargeStripBytes = 384 << 10;
constexpr std::size_t kGatheredStripBytes = 24 << 10;
// 16 rows at this distance share few sets of the first-level cache.
constexpr std::size_t kBadStride = 2048;

std::size_t RoundUp64(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

int DivideUp(int a, int b) { return (a + b - 1) / b; }

bool IsTall(const ConvGeometry& g) {
  return g.kernel_h == 1 && g.kernel_w == 1 && g.pad_top == 0 &&
         g.pad_left == 0 && g.in_h == g.stride_h * g.out_h &&
         (g.out_w - 1) * g.stride_w < g.in_w;
}

// Input columns that a row of windows covers, from the left padding's end on.
int UsedColumns(const ConvGeometry& g) {
  const int end = (g.out_w - 1) * g.stride_w + g.kernel_w - g.pad_left;
  return std::clamp(end, 0, g.in_w);
}

// Padding on the right.
int PadRight(const ConvGeometry& g) {
  return std::max(
      0, (g.out_w - 1) * g.stride_w + g.kernel_w - g.pad_left - g.in_w);
}

// Kernels of one column read one input pixel at each position; others all that
// lie between two.
bool OneColumn(const ConvGeometry& g) { return g.kernel_w == 1; }

void SetPitch(Layout& layout) {
  const ConvGeometry& g = layout.g;
  const std::size_t pixel = static_cast<std::size_t>(g.in_c);
  if (layout.direct.gathers) {
    layout.pitch = g.out_w;
    layout.position_bytes = layout.direct.gathered_bytes;
  } else if (OneColumn(g)) {
    layout.pitch = g.out_w;
    layout.position_bytes =
        pixel % kBadStride == 0 ? pixel + kTileBytes : pixel;
  } else {
    const int columns = UsedColumns(g) + std::max(g.pad_left, PadRight(g));
    layout.pitch = std::max(g.out_w, DivideUp(columns, g.stride_w));
    layout.position_bytes = pixel * static_cast<std::size_t>(g.stride_w);
  }
}

std::size_t PartBytes(const Layout& layout, int rows, std::size_t* plane) {
  const ConvGeometry& g = layout.g;
  const std::size_t row = layout.position_bytes * layout.pitch;
  if (layout.direct.gathers) return row * rows;
  *plane = row * (rows + (g.kernel_h - 1) / g.stride_h);
  // What lies right of the last row.
  const int right = OneColumn(g) ? 0 : g.pad_left;
  return RoundUp64(*plane * layout.planes + std::size_t{1} * right * g.in_c);
}

// Groups of packed weights whose input bytes follow each other in a strip.
int SegmentGroups(const Layout& layout) {
  const ConvGeometry& g = layout.g;
  const int groups = layout.direct.groups;
  const bool whole_rows =
      !layout.direct.gathers && !OneColumn(g) && g.in_c % 16 == 0;
  return whole_rows ? groups * g.kernel_w : groups;
}

void SetWeights(Layout& layout) {
  const int segment = SegmentGroups(layout);
  layout.steps = layout.direct.taps * layout.direct.groups / segment *
                 DivideUp(segment, kTileGroups);
  layout.block_weights = std::size_t{1} * kPackedBlockFilters / kPanelFilters *
                         kStepWeights * layout.steps;
  layout.kept_blocks =
      std::min(static_cast<int>(kWeightsBytes / layout.block_weights),
               layout.direct.blocks);
}

std::size_t StripLimit(const Layout& layout) {
  if (layout.direct.gathers) return kGatheredStripBytes;
  return layout.kept_blocks < layout.direct.blocks ? kLargeStripBytes
                                                   : kStripBytes;
}

void SetParts(Layout& layout) {
  const int rows = layout.g.out_h;
  const std::size_t limit = StripLimit(layout);
  std::size_t plane = 0;
  const auto bytes = [&](int part) { return PartBytes(layout, part, &plane); };
  int most = rows;
  if (bytes(rows) > limit) {
    most = 1;
    while (bytes(most + 1) <= limit) ++most;
  }
  layout.part_rows = DivideUp(rows, DivideUp(rows, most));
  layout.part_bytes = bytes(layout.part_rows);
  layout.plane_bytes = plane;
  layout.parts = layout.part_rows < rows
                     ? 1
                     : std::clamp(static_cast<int>(limit / layout.part_bytes),
                                  1, layout.batch);
}

// Cuts a call so that it takes the least time on all threads: each piece of
// pixels unpacks its blocks' weights, each piece of blocks copies its pixels'
// input. Twice as many tasks as threads even out what threads are late.
void SetPieces(int threads, Layout& layout) {
  DirectLayout& direct = layout.direct;
  direct.pixel_pieces = direct.block_pieces = 1;
  if (threads == 1) return;
  const Cost cost = CostOf(layout);
  const int tasks = 2 * threads;
  const int rows = layout.batch * layout.g.out_h;
  const std::int64_t tiles = std::int64_t{1} * rows * layout.pitch / kTileRows;
  const int most_pixel_pieces =
      static_cast<int>(std::clamp<std::int64_t>(tiles / 4, 1, rows));
  double least = cost.multiply + cost.unpack + cost.copy;
  for (int blocks = 1; blocks <= std::min(tasks, direct.blocks); ++blocks) {
    const int pixels = std::min(DivideUp(tasks, blocks), most_pixel_pieces);
    const double time =
        (cost.multiply + pixels * cost.unpack + blocks * cost.copy) /
        std::min(threads, pixels * blocks);
    if (time >= least) continue;
    least = time;
    direct.pixel_pieces = pixels;
    direct.block_pieces = blocks;
  }
}

}  // namespace

// Fitted on a Granite Rapids core.
Cost CostOf(const Layout& layout) {
  const ConvGeometry& g = layout.g;
  const int parts = layout.batch * DivideUp(g.out_h, layout.part_rows);
  const double tiles =
      1.0 * parts * DivideUp(layout.part_rows * layout.pitch, kTileRows);
  const int panels = DivideUp(g.filters, kPanelFilters);
  const double lines = 1.0 * layout.batch * g.out_h * layout.pitch *
                       static_cast<double>(layout.position_bytes) / 64;
  return {tiles * panels * (13 * layout.steps + 60),
          35.0 * panels * layout.steps, 2.5 * lines};
}

Layout MakeLayout(const ConvGeometry& g, int batch, int threads) {
  Layout layout;
  layout.direct = MakeDirectLayout(g, batch, 1);
  layout.g = g;
  layout.batch = batch;
  if (IsTall(g)) {
    layout.g.in_h *= batch;
    layout.g.out_h *= batch;
    layout.batch = 1;
  }
  layout.planes = std::min(g.stride_h, g.kernel_h);
  SetPitch(layout);
  SetWeights(layout);
  SetParts(layout);
  SetPieces(threads, layout);
  layout.max_tiles =
      layout.parts * DivideUp(layout.part_rows * layout.pitch, kTileRows);
  // A tile may begin at the last position.
  layout.strip_bytes = layout.part_bytes * layout.parts +
                       layout.position_bytes * kTileRows + kTileBytes;
  return layout;
}

void FillSteps(const Layout& layout, Step* steps) {
  const ConvGeometry& g = layout.g;
  const int segment = SegmentGroups(layout);
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(
      layout.position_bytes * static_cast<std::size_t>(layout.pitch));
  const int all = layout.direct.taps * layout.direct.groups;
  for (int first = 0; first < all; first += segment) {
    const int tap = first / layout.direct.groups;
    const int ky = tap / g.kernel_w;
    const int kx = tap % g.kernel_w;
    std::ptrdiff_t offset =
        layout.direct.gathers
            ? 0
            : static_cast<std::ptrdiff_t>(layout.plane_bytes) *
                      (ky % g.stride_h) +
                  row * (ky / g.stride_h) + std::ptrdiff_t{1} * kx * g.in_c;
    for (int i = 0; i < segment; i += kTileGroups) {
      *steps++ = {offset, first + i, std::min(kTileGroups, segment - i)};
      offset += kTileBytes;
    }
  }
}

namespace {

// Fills whole pixels with padding.
void FillPadding(const DirectTask& task, int pixels, std::uint8_t* to) {
  const std::size_t pixel = static_cast<std::size_t>(task.g->in_c);
  const std::uint8_t* value = task.call->pad_value;
  if (value == nullptr) {
    std::memset(to, 0, pixel * static_cast<std::size_t>(pixels));
    return;
  }
  for (int i = 0; i < pixels; ++i) {
    std::memcpy(to, value, pixel);
    to += pixel;
  }
}

// One row of a plane; a null `from` is a row of padding.
void CopyRow(const Layout& layout, const DirectTask& task,
             const std::uint8_t* from, std::uint8_t* to) {
  const ConvGeometry& g = layout.g;
  const std::size_t pixel = static_cast<std::size_t>(g.in_c);
  const int columns = layout.pitch * g.stride_w;
  const int used = UsedColumns(g);
  if (from == nullptr) return FillPadding(task, columns, to);
  FillPadding(task, g.pad_left, to);
  to += pixel * g.pad_left;
  std::memcpy(to, from, pixel * used);
  FillPadding(task, columns - g.pad_left - used, to + pixel * used);
}

// The same for kernels of one column.
void CopyPixels(const Layout& layout, const DirectTask& task,
                const std::uint8_t* from, std::uint8_t* to) {
  const ConvGeometry& g = layout.g;
  const std::size_t pixel = static_cast<std::size_t>(g.in_c);
  for (int x = 0; x < g.out_w; ++x) {
    const int column = x * g.stride_w - g.pad_left;
    if (from == nullptr || column < 0 || column >= g.in_w) {
      FillPadding(task, 1, to);
    } else {
      std::memcpy(to, from + pixel * column, pixel);
    }
    to += layout.position_bytes;
  }
}

// Output rows [y, y + rows) of one image.
struct Part {
  int image, y, rows;
};

void CopyPart(const Layout& layout, const DirectTask& task, const Part& part,
              std::uint8_t* to) {
  const ConvGeometry& g = layout.g;
  const std::ptrdiff_t row_bytes = std::ptrdiff_t{1} * g.in_w * g.in_c;
  const std::uint8_t* image =
      task.call->input + row_bytes * g.in_h * part.image;
  for (int plane = 0; plane < layout.planes; ++plane) {
    std::uint8_t* row = to + layout.plane_bytes * plane;
    const int rows = part.rows + (g.kernel_h - 1 - plane) / g.stride_h;
    for (int i = 0; i < rows; ++i) {
      const int y = (part.y + i) * g.stride_h + plane - g.pad_top;
      const std::uint8_t* from =
          y < 0 || y >= g.in_h ? nullptr : image + row_bytes * y;
      if (OneColumn(g)) {
        CopyPixels(layout, task, from, row);
      } else {
        CopyRow(layout, task, from, row);
      }
      row += layout.position_bytes * layout.pitch;
    }
    if (!OneColumn(g)) FillPadding(task, g.pad_left, row);
  }
}

void GatherPart(const DirectTask& task, const Part& part) {
  GatherDirect(task, kDirectMicroKernelsAvx512VnniWide, {part.image, part.y, 0},
               part.rows * task.g->out_w);
}

// Cuts a part into tiles, none of which begins between two rows.
Tile* CutPart(const Layout& layout, const Part& part, const std::uint8_t* input,
              Tile* tile) {
  const int width = layout.g.out_w;
  const int end = (part.image * layout.g.out_h + part.y + part.rows) * width;
  int pixel = end - part.rows * width;
  int x = 0;
  int position = 0;
  while (pixel < end) {
    tile->input = input + layout.position_bytes * position;
    for (int r = 0; r < kTileRows; ++r) {
      tile->pixel[r] = x < width && pixel < end ? pixel++ : -1;
      if (++x == layout.pitch) x = 0;
    }
    position += kTileRows;
    if (x >= width) {
      position += layout.pitch - x;
      x = 0;
    }
    ++tile;
  }
  return tile;
}

}  // namespace

int FillStrip(const Layout& layout, DirectTask& task, Rows& rows,
              std::uint8_t* strip, Tile* tiles) {
  Tile* tile = tiles;
  for (int i = 0; i < layout.parts && rows.first < rows.end; ++i) {
    const int y = rows.first % layout.g.out_h;
    const Part part = {rows.first / layout.g.out_h, y,
                       std::min({layout.part_rows, layout.g.out_h - y,
                                 rows.end - rows.first})};
    if (layout.direct.gathers) {
      task.gathered = strip;
      GatherPart(task, part);
    } else {
      CopyPart(layout, task, part, strip);
    }
    tile = CutPart(layout, part, strip, tile);
    strip += layout.part_bytes;
    rows.first += part.rows;
  }
  return static_cast<int>(tile - tiles);
}

}  // namespace tern::amx
