// Direct convolution with vpmaddubsw (direct.h has the layout). Weights are
// -1, 0 or +1, so a sum of two products is at most 510 and 64 of them fit
// int16: no saturation, and sums are widened only every 64 steps.
//
// Register tile: 6 pixels x 16 filters, 12 accumulators. The codes of 16
// filters are unpacked to bytes first, for all tiles of a chunk: there are not
// enough registers to unpack in the k-loop.

#include <immintrin.h>
#include <string.h>

#include "engine/kernels/direct.h"
#include "engine/kernels/epilogue_avx2.h"

namespace tern {
namespace {

constexpr int kVectorFilters = 16;
constexpr int kStepBytes = 64;  // 16 filters x 4 weights
constexpr int kMaxSteps = 64;   // before sums are widened

// One 64-byte vector of codes to four steps of 64 bytes.
void UnpackGroup(const std::uint8_t* codes, std::uint8_t* to) {
  const __m256i table = _mm256_set1_epi32(0x00FF0100);
  const __m256i mask = _mm256_set1_epi8(3);
  for (int half = 0; half < 2; ++half) {
    __m256i p =
        _mm256_load_si256(reinterpret_cast<const __m256i*>(codes) + half);
    for (int step = 0; step < 4; ++step) {
      _mm256_store_si256(
          reinterpret_cast<__m256i*>(to + kStepBytes * step) + half,
          _mm256_shuffle_epi8(table, _mm256_and_si256(p, mask)));
      p = _mm256_srli_epi16(p, 2);
    }
  }
}

// Weights of the block's v-th 16 filters: [tap][4 groups steps][64 bytes].
void UnpackVector(const DirectLayout& layout, const std::uint8_t* codes,
                  int vectors, int v, std::uint8_t* to) {
  codes += 64 * v;
  for (int i = layout.taps * layout.groups; i > 0; --i) {
    UnpackGroup(codes, to);
    codes += 64 * vectors;
    to += 4 * kStepBytes;
  }
}

inline __m256i Broadcast(const std::uint8_t* bytes) {
  std::int32_t four;
  memcpy(&four, bytes, sizeof(four));
  return _mm256_set1_epi32(four);
}

// Adds the 16-bit sums, two for each filter, to the 32-bit ones, if there are
// any yet.
template <int kPixels>
inline void Widen(__m256i (&acc)[kPixels][2], bool first, std::int32_t* sums) {
  const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      auto* to = reinterpret_cast<__m256i*>(sums + kVectorFilters * m) + h;
      __m256i sum = _mm256_madd_epi16(acc[m][h], ones);
      if (!first) sum = _mm256_add_epi32(sum, _mm256_load_si256(to));
      _mm256_store_si256(to, sum);
      acc[m][h] = _mm256_setzero_si256();
    }
  }
}

template <int kPixels>
inline void Steps(__m256i (&acc)[kPixels][2],
                  const std::uint8_t* const (&pixel)[kPixels], int from, int to,
                  const std::uint8_t* weights) {
  const std::uint8_t* w = weights + std::ptrdiff_t{kStepBytes} * from;
  const std::ptrdiff_t end = std::ptrdiff_t{4} * to;
  for (std::ptrdiff_t offset = std::ptrdiff_t{4} * from; offset < end;
       offset += 4) {
    const __m256i w0 = _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
    const __m256i w1 =
        _mm256_load_si256(reinterpret_cast<const __m256i*>(w) + 1);
    w += kStepBytes;
#pragma GCC unroll 6
    for (int m = 0; m < kPixels; ++m) {
      const __m256i x = Broadcast(pixel[m] + offset);
      acc[m][0] = _mm256_add_epi16(acc[m][0], _mm256_maddubs_epi16(x, w0));
      acc[m][1] = _mm256_add_epi16(acc[m][1], _mm256_maddubs_epi16(x, w1));
    }
  }
}

// Sums of one tile: [pixels][16 filters].
template <int kPixels>
__attribute__((always_inline)) inline void MultiplyTile(
    const DirectTile& tile, int steps, const std::uint8_t* weights,
    std::int32_t* sums) {
  __m256i acc[kPixels][2];
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    acc[m][0] = acc[m][1] = _mm256_setzero_si256();
  }
  const std::ptrdiff_t tap_bytes =
      std::ptrdiff_t{kStepBytes} * ((steps + 3) / 4 * 4);
  bool first = true;
  int room = kMaxSteps;
  for (int t = 0; t < tile.count; ++t) {
    const DirectTap& tap = tile.taps[t];
    const std::uint8_t* pixel[kPixels];
#pragma GCC unroll 6
    for (int m = 0; m < kPixels; ++m) pixel[m] = tap.pixel[m];
    const std::uint8_t* w =
        weights + static_cast<std::ptrdiff_t>(tap.tap) * tap_bytes;
    for (int from = 0; from < steps;) {
      const int to = steps - from < room ? steps : from + room;
      Steps<kPixels>(acc, pixel, from, to, w);
      room -= to - from;
      from = to;
      if (room > 0) continue;
      Widen<kPixels>(acc, first, sums);
      first = false;
      room = kMaxSteps;
    }
  }
  if (first || room < kMaxSteps) Widen<kPixels>(acc, first, sums);
}

// The common outputs of 16 filters from k on: u8 from 0 on without a residual.
struct BytesOutput {
  const Epilogue* e;
  int k;
  std::size_t stride;
  std::uint8_t* output;
};

template <int kPixels>
inline void WriteBytes(const BytesOutput& out, const std::int32_t* sums) {
  const float* multiplier = out.e->multiplier + out.k;
  const float* bias = out.e->bias + out.k;
  const __m256 m0 = _mm256_loadu_ps(multiplier);
  const __m256 m1 = _mm256_loadu_ps(multiplier + 8);
  const __m256 c0 = _mm256_loadu_ps(bias);
  const __m256 c1 = _mm256_loadu_ps(bias + 8);
  const __m256 high = _mm256_set1_ps(out.e->high);
  // Packing clamps below: what is too small for an integer converts to the
  // smallest.
  const auto round = [high](const std::int32_t* from, __m256 m, __m256 c) {
    const __m256 acc = _mm256_cvtepi32_ps(
        _mm256_load_si256(reinterpret_cast<const __m256i*>(from)));
    const __m256 f = _mm256_fmadd_ps(acc, m, c);
    return _mm256_cvtps_epi32(_mm256_min_ps(f, high));
  };
  std::uint8_t* output = out.output;
#pragma GCC unroll 6
  for (int p = 0; p < kPixels; ++p) {
    const __m256i words =
        _mm256_packs_epi32(round(sums, m0, c0), round(sums + 8, m1, c1));
    // Packing works within halves: 0..3 8..11 | 4..7 12..15.
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output),
                     _mm_packus_epi16(_mm256_castsi256_si128(ordered),
                                      _mm256_extracti128_si256(ordered, 1)));
    sums += kVectorFilters;
    output += out.stride;
  }
}

// `tiles` tiles of kPixels pixels, whose outputs follow each other; with null
// for the output one tile, whose sums are left to the caller.
template <int kPixels>
__attribute__((noinline)) void MultiplyTiles(const DirectTile* tile, int tiles,
                                             int steps,
                                             const std::uint8_t* weights,
                                             BytesOutput out,
                                             std::int32_t* sums) {
  for (; tiles > 0; --tiles, ++tile) {
    MultiplyTile<kPixels>(*tile, steps, weights, sums);
    if (out.output == nullptr) return;
    WriteBytes<kPixels>(out, sums);
    out.output += kPixels * out.stride;
  }
}

using MultiplyFunction = void (*)(const DirectTile*, int, int,
                                  const std::uint8_t*, BytesOutput,
                                  std::int32_t*);

MultiplyFunction Choose(int pixels) {
  switch (pixels) {
    case 1:
      return MultiplyTiles<1>;
    case 2:
      return MultiplyTiles<2>;
    case 3:
      return MultiplyTiles<3>;
    case 4:
      return MultiplyTiles<4>;
    case 5:
      return MultiplyTiles<5>;
    default:
      return MultiplyTiles<6>;
  }
}

// Any output, of filters [k, k + count).
void WriteTile(const DirectTask& task, std::size_t first, int pixels, int k,
               int count) {
  const Epilogue& e = task.call->epilogue;
  const auto filters = static_cast<std::size_t>(task.g->filters);
  for (int m = 0; m < pixels; ++m) {
    const std::size_t index = (first + m) * filters + k;
    const std::int32_t* sums = task.sums + kVectorFilters * m;
    for (int i = 0; i < count; i += 8) {
      const __m256i acc =
          _mm256_load_si256(reinterpret_cast<const __m256i*>(sums + i));
      WriteEight(e, _mm256_cvtepi32_ps(acc), k + i, index + i,
                 count - i < 8 ? count - i : 8, task.call->output);
    }
  }
}

// All tiles of a chunk times 16 filters from k on.
void RunVector(const DirectTask& task, const DirectChunk& chunk, int k) {
  const Epilogue& e = task.call->epilogue;
  const auto filters = static_cast<std::size_t>(task.g->filters);
  const int left = task.g->filters - k;
  const int count = left < kVectorFilters ? left : kVectorFilters;
  const bool bytes = count == kVectorFilters && e.residual == nullptr &&
                     e.output_type == OutputType::kU8 && e.low == 0;
  BytesOutput out = {&e, k, filters, nullptr};
  int pixel = chunk.first;
  for (const DirectTile* tile = chunk.tile; pixel < chunk.end;) {
    const int tiles = bytes ? SameSizeTiles(chunk, tile, pixel) : 1;
    if (bytes) {
      out.output = static_cast<std::uint8_t*>(task.call->output) +
                   static_cast<std::size_t>(pixel) * filters + k;
    }
    Choose(tile->pixels)(tile, tiles, task.layout.steps, task.own, out,
                         task.sums);
    if (!bytes) WriteTile(task, pixel, tile->pixels, k, count);
    pixel += tiles * tile->pixels;
    tile += tiles;
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
    RunVector(task, chunk, block * kPackedBlockFilters + kVectorFilters * v);
  }
}

std::size_t TaskBytes(const DirectLayout& layout) {
  return std::size_t{4 * kStepBytes} * layout.taps * layout.groups;
}

// Two vpmaddubsw a cycle, unpacking for each chunk, and the epilogue; fitted
// on a Zen 5 core at 3.7 GHz.
double PredictedNs(const ConvGeometry& g, int batch) {
  const DirectLayout layout = MakeDirectLayout(g, batch, 1);
  const int tiles =
      (batch * g.out_h * g.out_w + kDirectTilePixels - 1) / kDirectTilePixels;
  const int vectors = (g.filters + kVectorFilters - 1) / kVectorFilters;
  const double steps = 1.0 * layout.taps * layout.steps;
  const double unpacking = 3 * steps * vectors / layout.chunk_tiles;
  return tiles * (6.5 * steps * vectors + unpacking + 50 * vectors) / 3.7;
}

}  // namespace

void GatherWindowsAvx2(const DirectWindows& windows) {
  const DirectWindows w = windows;
  const auto bytes = static_cast<std::ptrdiff_t>(w.bytes);
  const auto copy = [](const std::uint8_t* from, std::uint8_t* to) {
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(to),
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  };
  const std::uint8_t* window = w.from;
  std::uint8_t* run = w.to;
  for (int m = 0; m < w.pixels; ++m) {
    const std::uint8_t* from = window;
    std::uint8_t* to = run;
    for (int row = 0; row < w.rows; ++row) {
      copy(from, to);
      // Most first layers have rows of less than 32 bytes.
      for (std::ptrdiff_t i = 32; i < bytes; i += 32) copy(from + i, to + i);
      from += w.row_bytes;
      to += bytes;
    }
    window += w.step;
    run += w.stride;
  }
}

const DirectMicroKernels kDirectMicroKernelsAvx2 = {
    FillDirectTaps, GatherWindowsAvx2, RunBlock, TaskBytes, false, PredictedNs};

}  // namespace tern
