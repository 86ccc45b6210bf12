// Direct convolution with udot, of Armv8.2's dot product (direct.h has the
// layout). It multiplies unsigned bytes, so that weights are w + 1 here, which
// is 0, 1 or 2, and modulo 2^32
//
//     sum x * w = sum x * (w + 1) - sum x.
//
// Bytes behind the end of a run take part in neither sum: another thread may
// write there in between. Their weights are 0, not 1.
//
// Register tile: 6 pixels x 16 filters, 24 accumulators of 4 filters. The codes
// of 16 filters are unpacked to bytes first, for all tiles of a chunk: there
// are not enough registers to unpack in the k-loop.

#include <arm_neon.h>
#include <string.h>

#include "engine/kernels/direct.h"

namespace tern {
namespace {

constexpr int kVectorFilters = 16;
constexpr int kGroupInputs = 16;     // run bytes
constexpr int kStepBytes = 64;       // 16 filters x 4 weights
constexpr int kGroupBytes = 4 * 64;  // 4 steps

// Bits of those bytes of a tap's last group that belong to its run.
uint8x16_t LastMask(const DirectLayout& layout) {
  const uint8x16_t index = {0, 1, 2,  3,  4,  5,  6,  7,
                            8, 9, 10, 11, 12, 13, 14, 15};
  const int left = layout.run - kGroupInputs * (layout.groups - 1);
  return vcltq_u8(index, vdupq_n_u8(static_cast<std::uint8_t>(left)));
}

// One step of 4 of the 16 filters: their codes are the lowest bits of `codes`.
template <int kStep>
inline void UnpackStep(uint8x16_t codes, uint8x16_t mask, std::uint8_t* to) {
  // Codes 0, 1 and 2 are weights 0, +1 and -1.
  const uint8x16_t table = {1, 2, 0};
  const uint8x16_t weights = vqtbl1q_u8(table, vandq_u8(codes, vdupq_n_u8(3)));
  const uint32x4_t inputs = vdupq_laneq_u32(vreinterpretq_u32_u8(mask), kStep);
  vst1q_u8(to + kStepBytes * kStep,
           vandq_u8(weights, vreinterpretq_u8_u32(inputs)));
}

// 64 bytes of codes to four steps of 64 bytes, 0 where the mask of the group's
// inputs is.
void UnpackGroup(const std::uint8_t* codes, uint8x16_t mask, std::uint8_t* to) {
  for (int part = 0; part < kStepBytes; part += 16) {
    const uint8x16_t p = vld1q_u8(codes + part);
    UnpackStep<0>(p, mask, to + part);
    UnpackStep<1>(vshrq_n_u8(p, 2), mask, to + part);
    UnpackStep<2>(vshrq_n_u8(p, 4), mask, to + part);
    UnpackStep<3>(vshrq_n_u8(p, 6), mask, to + part);
  }
}

// Weights of the block's v-th 16 filters: [tap][group][4 steps][64 bytes].
void UnpackVector(const DirectLayout& layout, const std::uint8_t* codes,
                  int vectors, int v, std::uint8_t* to) {
  const uint8x16_t last = LastMask(layout);
  const uint8x16_t whole = vdupq_n_u8(0xFF);
  codes += kStepBytes * v;
  for (int tap = 0; tap < layout.taps; ++tap) {
    for (int left = layout.groups; left > 0; --left) {
      UnpackGroup(codes, left > 1 ? whole : last, to);
      codes += kStepBytes * vectors;
      to += kGroupBytes;
    }
  }
}

template <int kPixels>
inline void AddInputs(const std::uint8_t* const (&pixel)[kPixels],
                      std::ptrdiff_t offset, uint8x16_t ones,
                      uint32x4_t (&sums)[kPixels]) {
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    sums[m] = vdotq_u32(sums[m], vld1q_u8(pixel[m] + offset), ones);
  }
}

// Starts the sums of one tile at minus the sum of its pixels' inputs.
template <int kPixels>
inline void StartSums(const DirectTile& tile, int groups, uint8x16_t last,
                      uint32x4_t (&acc)[kPixels][4]) {
  const uint8x16_t ones = vdupq_n_u8(1);
  uint32x4_t sums[kPixels] = {};
  const std::ptrdiff_t end = std::ptrdiff_t{kGroupInputs} * (groups - 1);
  for (int t = 0; t < tile.count; ++t) {
    const std::uint8_t* pixel[kPixels];
#pragma GCC unroll 6
    for (int m = 0; m < kPixels; ++m) pixel[m] = tile.taps[t].pixel[m];
    for (std::ptrdiff_t offset = 0; offset < end; offset += kGroupInputs) {
      AddInputs<kPixels>(pixel, offset, ones, sums);
    }
    AddInputs<kPixels>(pixel, end, vandq_u8(ones, last), sums);
  }
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    const uint32x4_t start = vdupq_n_u32(0U - vaddvq_u32(sums[m]));
    acc[m][0] = acc[m][1] = acc[m][2] = acc[m][3] = start;
  }
}

// One step: 4 inputs of each pixel times the weights of 16 filters.
template <int kPixels, int kStep>
inline void Step(const uint8x16_t (&x)[kPixels], const std::uint8_t* weights,
                 uint32x4_t (&acc)[kPixels][4]) {
#pragma GCC unroll 4
  for (int part = 0; part < 4; ++part) {
    const uint8x16_t w = vld1q_u8(weights + kStepBytes * kStep + 16 * part);
#pragma GCC unroll 6
    for (int m = 0; m < kPixels; ++m) {
      acc[m][part] = vdotq_laneq_u32(acc[m][part], w, x[m], kStep);
    }
  }
}

// Sums of one tile: [pixels][16 filters].
template <int kPixels>
__attribute__((noinline)) void MultiplyTile(const DirectTile& tile,
                                            const DirectLayout& layout,
                                            const std::uint8_t* weights,
                                            std::int32_t* sums) {
  const int groups = layout.groups;
  uint32x4_t acc[kPixels][4];
  StartSums<kPixels>(tile, groups, LastMask(layout), acc);
  for (int t = 0; t < tile.count; ++t) {
    const DirectTap& tap = tile.taps[t];
    const std::uint8_t* pixel[kPixels];
#pragma GCC unroll 6
    for (int m = 0; m < kPixels; ++m) pixel[m] = tap.pixel[m];
    const std::uint8_t* w =
        weights + static_cast<std::ptrdiff_t>(tap.tap) * groups * kGroupBytes;
    const std::ptrdiff_t end = std::ptrdiff_t{kGroupInputs} * groups;
    for (std::ptrdiff_t offset = 0; offset < end; offset += kGroupInputs) {
      uint8x16_t x[kPixels];
#pragma GCC unroll 6
      for (int m = 0; m < kPixels; ++m) x[m] = vld1q_u8(pixel[m] + offset);
      Step<kPixels, 0>(x, w, acc);
      Step<kPixels, 1>(x, w, acc);
      Step<kPixels, 2>(x, w, acc);
      Step<kPixels, 3>(x, w, acc);
      w += kGroupBytes;
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
#pragma GCC unroll 4
    for (int part = 0; part < 4; ++part) {
      vst1q_s32(sums + kVectorFilters * m + 4 * part,
                vreinterpretq_s32_u32(acc[m][part]));
    }
  }
}

using MultiplyFunction = void (*)(const DirectTile&, const DirectLayout&,
                                  const std::uint8_t*, std::int32_t*);

MultiplyFunction Choose(int pixels) {
  switch (pixels) {
    case 1:
      return MultiplyTile<1>;
    case 2:
      return MultiplyTile<2>;
    case 3:
      return MultiplyTile<3>;
    case 4:
      return MultiplyTile<4>;
    case 5:
      return MultiplyTile<5>;
    default:
      return MultiplyTile<6>;
  }
}

// Copies of up to 4 values, so that what lies behind them is neither read nor
// written.
float32x4_t LoadFloats(const float* from, int count) {
  if (count >= 4) return vld1q_f32(from);
  float all[4] = {};
  memcpy(all, from, sizeof(float) * static_cast<unsigned>(count));
  return vld1q_f32(all);
}

float32x4_t LoadResidual(const Epilogue& e, std::size_t index, int count) {
  std::int16_t all[4] = {};
  if (e.residual_type == OutputType::kU8) {
    const auto* from = static_cast<const std::uint8_t*>(e.residual) + index;
    for (int i = 0; i < count; ++i) all[i] = from[i];
  } else {
    memcpy(all, static_cast<const std::int16_t*>(e.residual) + index,
           sizeof(std::int16_t) * static_cast<unsigned>(count));
  }
  return vcvtq_f32_s32(vmovl_s16(vld1_s16(all)));
}

// Outputs index .. index + count of filters k .. k + count; count <= 4.
void WriteFour(const Epilogue& e, int32x4_t acc, int k, std::size_t index,
               int count, void* output) {
  float32x4_t f = vfmaq_f32(LoadFloats(e.bias + k, count), vcvtq_f32_s32(acc),
                            LoadFloats(e.multiplier + k, count));
  if (e.residual != nullptr) {
    f = vfmaq_f32(f, LoadResidual(e, index, count),
                  vdupq_n_f32(e.residual_scale));
  }
  const auto values = static_cast<unsigned>(count);
  if (e.output_type == OutputType::kF32) {
    float all[4];
    vst1q_f32(all, f);
    memcpy(static_cast<float*>(output) + index, all, sizeof(float) * values);
    return;
  }
  // To nearest, ties to even.
  const int32x4_t y = vcvtnq_s32_f32(
      vminq_f32(vmaxq_f32(f, vdupq_n_f32(e.low)), vdupq_n_f32(e.high)));
  const int16x4_t words = vmovn_s32(y);
  if (e.output_type == OutputType::kS16) {
    std::int16_t all[4];
    vst1_s16(all, words);
    memcpy(static_cast<std::int16_t*>(output) + index, all,
           sizeof(std::int16_t) * values);
    return;
  }
  std::uint8_t all[8];
  vst1_u8(all, vqmovun_s16(vcombine_s16(words, words)));
  memcpy(static_cast<std::uint8_t*>(output) + index, all, values);
}

void WriteTile(const DirectTask& task, std::size_t first, int pixels, int k,
               int count) {
  const auto filters = static_cast<std::size_t>(task.g->filters);
  for (int m = 0; m < pixels; ++m) {
    const std::size_t index = (first + m) * filters + k;
    const std::int32_t* sums = task.sums + kVectorFilters * m;
    for (int i = 0; i < count; i += 4) {
      WriteFour(task.call->epilogue, vld1q_s32(sums + i), k + i, index + i,
                count - i < 4 ? count - i : 4, task.call->output);
    }
  }
}

void RunBlock(const DirectTask& task, const DirectChunk& chunk, int block) {
  const DirectLayout& layout = task.layout;
  const int left = task.g->filters - block * kPackedBlockFilters;
  const int filters = left < kPackedBlockFilters ? left : kPackedBlockFilters;
  const int vectors = (filters + kVectorFilters - 1) / kVectorFilters;
  const std::uint8_t* codes = task.call->packed + layout.block_bytes * block;
  for (int v = 0; v < vectors; ++v) {
    UnpackVector(layout, codes, vectors, v, task.own);
    const int k = block * kPackedBlockFilters + kVectorFilters * v;
    const int rest = task.g->filters - k;
    const int count = rest < kVectorFilters ? rest : kVectorFilters;
    auto pixel = static_cast<std::size_t>(chunk.first);
    const auto end = static_cast<std::size_t>(chunk.end);
    for (const DirectTile* tile = chunk.tile; pixel < end; ++tile) {
      Choose(tile->pixels)(*tile, layout, task.own, task.sums);
      WriteTile(task, pixel, tile->pixels, k, count);
      pixel += static_cast<std::size_t>(tile->pixels);
    }
  }
}

void GatherWindows(const DirectWindows& windows) {
  const DirectWindows w = windows;
  const auto bytes = static_cast<std::ptrdiff_t>(w.bytes);
  const std::uint8_t* window = w.from;
  std::uint8_t* run = w.to;
  for (int m = 0; m < w.pixels; ++m) {
    const std::uint8_t* from = window;
    std::uint8_t* to = run;
    for (int row = 0; row < w.rows; ++row) {
      for (std::ptrdiff_t i = 0; i < bytes; i += 16) {
        vst1q_u8(to + i, vld1q_u8(from + i));
      }
      from += w.row_bytes;
      to += bytes;
    }
    window += w.step;
    run += w.stride;
  }
}

std::size_t TaskBytes(const DirectLayout& layout) {
  return std::size_t{kGroupBytes} * layout.taps * layout.groups;
}

// Two udot a cycle, unpacking for each chunk, and the epilogue, at 2.5 GHz: a
// sum of throughputs, measured nowhere. It has no other kernel to beat.
double PredictedNs(const ConvGeometry& g, int batch) {
  const DirectLayout layout = MakeDirectLayout(g, batch, 1);
  const int tiles =
      (batch * g.out_h * g.out_w + kDirectTilePixels - 1) / kDirectTilePixels;
  const int vectors = (g.filters + kVectorFilters - 1) / kVectorFilters;
  const double groups = 1.0 * layout.taps * layout.groups;
  const double unpacking = 20 * groups * vectors / layout.chunk_tiles;
  return tiles * (52 * groups * vectors + unpacking + 200 * vectors) / 2.5;
}

}  // namespace

const DirectMicroKernels kDirectMicroKernelsNeon = {
    FillDirectTaps, GatherWindows, RunBlock, TaskBytes, false, PredictedNs};

}  // namespace tern
