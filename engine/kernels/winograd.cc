#include "engine/kernels/winograd.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace tern::winograd {
namespace {

constexpr int kTaps = 9;
constexpr int kSlab = 32;  // channels of one step of the input transform

// Rows of the input transform and of the output transform; a tile of 3 has no
// position 4. Outputs are scaled by 3 * 2^kOutputShift.
constexpr int kInput4[6][6] = {{4, 0, -5, 0, 1, 0},  {0, 4, 4, -1, -1, 0},
                               {0, -4, 4, 1, -1, 0}, {0, -2, -1, 2, 1, 0},
                               {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr int kInput3[6][6] = {{2, -1, -2, 1, 0, 0}, {0, 6, 3, -3, 0, 0},
                               {0, -2, 3, -1, 0, 0}, {0, -2, 0, 2, 0, 0},
                               {0, 0, 0, 0, 0, 0},   {0, 2, -1, -2, 1, 0}};
constexpr int kWeights[6][3] = {{6, 0, 0}, {1, 1, 1},  {1, -1, 1},
                                {1, 2, 4}, {1, -2, 4}, {0, 0, 6}};
constexpr int kOutput4[4][6] = {{1, 4, 4, 1, 1, 0},
                                {0, 2, -2, 1, -1, 0},
                                {0, 1, 1, 1, 1, 0},
                                {0, 1, -1, 2, -2, 1}};
constexpr int kOutput3[4][6] = {{1, 2, 2, 1, 0, 0},
                                {0, 1, -1, 1, 0, 0},
                                {0, 1, 1, 2, 0, 1},
                                {0, 0, 0, 0, 0, 0}};
constexpr int kShift4[4] = {3, 2, 1, 1};
constexpr int kShift3[4] = {2, 1, 1, 0};

int CeilDiv(int a, int b) { return (a + b - 1) / b; }
int RoundUp(int a, int b) { return CeilDiv(a, b) * b; }

int PositionsAlong(Split split) { return 6 * split.fours + 5 * split.threes; }

std::size_t AlignUp(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

// A stride of about `elements` elements whose planes do not share cache sets.
std::ptrdiff_t PlaneStride(std::ptrdiff_t elements, std::ptrdiff_t size) {
  const std::ptrdiff_t line = 64 / size;
  elements = (elements + line - 1) / line * line;
  return (elements * size / 64) % 2 == 0 ? elements + line : elements;
}

}  // namespace

Split ChooseSplit(int size) {
  Split best{CeilDiv(size, 4), 0};
  for (int threes = 1; threes <= 3; ++threes) {
    const Split split{CeilDiv(std::max(0, size - 3 * threes), 4), threes};
    if (PositionsAlong(split) < PositionsAlong(best)) best = split;
  }
  return best;
}

void ListTiles(const Blocking& blocking, int batch, int begin, int end,
               Tile* tiles) {
  const Split rows = blocking.rows;
  const Split cols = blocking.cols;
  const struct {
    bool four_rows, four_cols;
  } groups[] = {{true, false}, {true, true}, {false, true}, {false, false}};
  int first = 0;
  for (const auto& group : groups) {
    const int group_rows = group.four_rows ? rows.fours : rows.threes;
    const int group_cols = group.four_cols ? cols.fours : cols.threes;
    const int count = batch * group_rows * group_cols;
    const int y0 = group.four_rows ? 0 : 4 * rows.fours;
    const int x0 = group.four_cols ? 0 : 4 * cols.fours;
    const int height = group.four_rows ? 4 : 3;
    const int width = group.four_cols ? 4 : 3;
    for (int t = std::max(begin, first); t < std::min(end, first + count);
         ++t) {
      const int index = t - first;
      const int column = index % group_cols;
      const int row = index / group_cols % group_rows;
      *tiles++ = {index / group_cols / group_rows, y0 + height * row,
                  x0 + width * column, height, width};
    }
    first += count;
  }
}

PositionRanges FindRanges(const Tile* tiles, int count) {
  const auto find = [tiles, count](bool rows, bool cols) {
    TileRange range{0, 0};
    for (int t = 0; t < count; ++t) {
      if ((rows && tiles[t].rows != 4) || (cols && tiles[t].cols != 4))
        continue;
      if (range.end == 0) range.begin = t;
      range.end = t + 1;
    }
    return range;
  };
  return {{0, count}, find(true, false), find(false, true), find(true, true)};
}

bool SharesInputs(const Blocking& blocking) {
  return blocking.tile_tasks == 1 && blocking.tile_block >= blocking.tiles;
}

ScratchLayout PlanScratch(const Profile& profile, const ConvGeometry& g,
                          const Blocking& blocking) {
  const int slab_channels = RoundUp(g.in_c, kSlab);
  const int blocks = MakePackedLayout(g).blocks;
  const int n = blocking.tile_block;
  ScratchLayout layout{};
  layout.input_row = slab_channels;
  layout.input_plane = PlaneStride(std::ptrdiff_t{n} * slab_channels, 2);
  layout.weight_plane =
      PlaneStride(std::ptrdiff_t{blocking.channel_chunk} * kFilterBlock, 1);
  layout.weight_block_bytes = kPositions * layout.weight_plane;
  layout.sum_plane = PlaneStride(std::ptrdiff_t{n} * kFilterBlock, 4);
  std::size_t at = 0;
  const auto take = [&at](std::size_t bytes) {
    const std::size_t begin = at;
    at += AlignUp(bytes);
    return begin;
  };
  layout.tiles = take(sizeof(Tile) * n);
  layout.border = take(slab_channels + kOverreadBytes);
  layout.outputs = take(sizeof(std::int32_t) * 16 * kFilterBlock);
  layout.weights =
      take(layout.weight_block_bytes * (blocking.resident ? blocks : 1));
  if (profile.keeps_wide)
    layout.wide =
        take(sizeof(std::int16_t) * blocking.channel_chunk * kFilterBlock);
  layout.inputs = take(sizeof(std::int16_t) * kPositions * layout.input_plane);
  layout.sums = take(sizeof(std::int32_t) * kPositions * layout.sum_plane);
  layout.total = at;
  return layout;
}

bool Applies(const ConvGeometry& g, const std::int8_t* codes) {
  if (g.kernel_h != 3 || g.kernel_w != 3) return false;
  if (g.stride_h != 1 || g.stride_w != 1) return false;
  if (g.pad_top < 0 || g.pad_top > 2 || g.pad_left < 0 || g.pad_left > 2)
    return false;
  if (MakePackedLayout(g).gathers) return false;
  const std::size_t taps = std::size_t{kTaps} * g.in_c;
  if (taps <= kMaxTapsOfOneSign) return true;
  for (int k = 0; k < g.filters; ++k) {
    const std::int8_t* filter = codes + taps * k;
    if (std::count(filter, filter + taps, 1) > kMaxTapsOfOneSign ||
        std::count(filter, filter + taps, -1) > kMaxTapsOfOneSign)
      return false;
  }
  return true;
}

bool FusesMaxPool(const ConvGeometry& g) {
  // Tiles of 3 would cut 2x2 windows.
  return ChooseSplit(g.out_h).threes == 0 && ChooseSplit(g.out_w).threes == 0;
}

void FindPixels(const ConvCall& call, const Tile& tile,
                const std::uint8_t* border, const std::uint8_t* pixels[36]) {
  const ConvGeometry& g = *call.geometry;
  const int y0 = tile.y - g.pad_top;
  const int x0 = tile.x - g.pad_left;
  const std::ptrdiff_t row_bytes = std::ptrdiff_t{g.in_w} * g.in_c;
  const std::uint8_t* image = call.input + tile.image * row_bytes * g.in_h;
  for (int i = 0; i < 6; ++i) {
    const int y = y0 + i;
    const bool row_exists = y >= 0 && y < g.in_h;
    const std::uint8_t* row = image + y * row_bytes;
    for (int j = 0; j < 6; ++j) {
      const int x = x0 + j;
      const bool exists = row_exists && x >= 0 && x < g.in_w;
      pixels[6 * i + j] = exists ? row + std::ptrdiff_t{x} * g.in_c : border;
    }
  }
}

bool ClampsAfterRounding(const ConvCall& call) {
  const ConvGeometry& g = *call.geometry;
  const Epilogue& e = call.epilogue;
  if (e.output_type != OutputType::kU8 || e.low != 0 || e.high != 255)
    return false;
  float multiplier = 0;
  float bias = 0;
  for (int k = 0; k < g.filters; ++k) {
    multiplier = std::max(multiplier, std::fabs(e.multiplier[k]));
    bias = std::max(bias, std::fabs(e.bias[k]));
  }
  const float residual =
      e.residual == nullptr ? 0 : 32768.F * std::fabs(e.residual_scale);
  return multiplier * (255.F * kTaps) * static_cast<float>(g.in_c) + bias +
             residual <
         1e9F;
}

void TransformInputReference(const int* pixels, int rows, int cols, int* out) {
  const auto& by_row = rows == 4 ? kInput4 : kInput3;
  const auto& by_col = cols == 4 ? kInput4 : kInput3;
  for (int e = 0; e < kPositions; ++e) {
    out[e] = 0;
    for (int at = 0; at < kPositions; ++at)
      out[e] += by_row[e / 6][at / 6] * by_col[e % 6][at % 6] * pixels[at];
  }
}

void TransformWeightsReference(const std::int8_t* taps, int* out) {
  for (int e = 0; e < kPositions; ++e) {
    out[e] = 0;
    for (int t = 0; t < kTaps; ++t)
      out[e] += kWeights[e / 6][t / 3] * kWeights[e % 6][t % 3] * taps[t];
  }
}

void TransformOutputReference(const std::int32_t* sums, int rows, int cols,
                              std::int32_t* out) {
  const auto& by_row = rows == 4 ? kOutput4 : kOutput3;
  const auto& by_col = cols == 4 ? kOutput4 : kOutput3;
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c) {
      std::uint32_t sum = 0;
      for (int e = 0; e < kPositions; ++e)
        sum += static_cast<std::uint32_t>(by_row[r][e / 6] * by_col[c][e % 6]) *
               static_cast<std::uint32_t>(sums[e]);
      const int shift = (rows == 4 ? kShift4 : kShift3)[r] +
                        (cols == 4 ? kShift4 : kShift3)[c];
      out[r * cols + c] = static_cast<std::int32_t>(
                              sum * static_cast<std::uint32_t>(kInverse9)) >>
                          shift;
    }
  }
}

}  // namespace tern::winograd
