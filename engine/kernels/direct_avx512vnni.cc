// Direct convolution from 2-bit weights with vpdpbusd (direct.h has the
// layout). Register tile: 6 pixels x 64 filters, 24 accumulators. One 64-byte
// load of codes serves four steps; (p >> 2s) & 3 indexes a table of bytes.

#include <immintrin.h>
#include <string.h>

#include "engine/kernels/direct.h"
#include "engine/kernels/epilogue_avx2.h"

// Arrays of registers stay registers only where everything that touches them
// is inlined early.
#define TERN_ALWAYS_INLINE inline __attribute__((always_inline))

namespace tern {
namespace {

enum class TileKind { kSums, kU8, kS16 };

// Where a tile's results go. The common outputs, u8 and s16 without a residual
// and clamped to the type's own bounds, are made in registers, where packing
// clamps; the others from sums in memory.
struct TileOutput {
  TileKind kind;
  std::int32_t* sums;  // kSums: [pixels][64], of one tile
  // Of the tile's filters, padded with zeros to 64.
  const float* multiplier;
  const float* bias;
  __mmask64 filters;
  std::uint8_t* output;
  std::size_t pixel_bytes;
};

TERN_ALWAYS_INLINE __m512i Unpack(const std::uint8_t* codes, int step) {
  const __m512i table = _mm512_set1_epi32(0x00FF0100);
  static constexpr std::uint32_t kMask = 0x03030303;
  __m512i p = _mm512_load_si512(codes);
  if (step > 0) p = _mm512_srli_epi16(p, 2 * static_cast<unsigned>(step));
  asm volatile("vpandd %1%{1to16%}, %0, %0" : "+v"(p) : "m"(kMask));
  return _mm512_shuffle_epi8(table, p);
}

// As _mm512_set1_epi32, but where it stands: g++ 12 otherwise hoists the loads
// of several pixels and runs out of registers for the accumulators.
TERN_ALWAYS_INLINE __m512i Broadcast(const std::uint8_t* bytes) {
  __m512i x;
  asm volatile("vpbroadcastd %1, %0"
               : "=v"(x)
               : "m"(*reinterpret_cast<const std::uint8_t(*)[4]>(bytes)));
  return x;
}

// As _mm512_dpbusd_epi32, in the order written, for the same reason.
TERN_ALWAYS_INLINE void MultiplyAdd(__m512i& acc, __m512i x, __m512i w) {
  asm volatile("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
}

template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void Step(__m512i (&acc)[kPixels][kVectors],
                             const std::uint8_t* group,
                             const std::uint8_t* const (&pixel)[kPixels],
                             std::ptrdiff_t offset, int step) {
  __m512i w[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    w[v] = Unpack(group + 64 * v, step);
  }
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    const __m512i x = Broadcast(pixel[m] + offset + 4 * step);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      MultiplyAdd(acc[m][v], x, w[v]);
    }
  }
}

template <int kVectors>
TERN_ALWAYS_INLINE void RoundTilePixel(const __m512i (&acc)[kVectors],
                                       const float* multiplier,
                                       const float* bias, __m512i (&y)[4]) {
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    y[v] = _mm512_cvtps_epi32(_mm512_fmadd_ps(
        _mm512_cvtepi32_ps(acc[v]), _mm512_load_ps(multiplier + 16 * v),
        _mm512_load_ps(bias + 16 * v)));
  }
#pragma GCC unroll 4
  for (int v = kVectors; v < 4; ++v) y[v] = _mm512_setzero_si512();
}

// A masked store costs several times a plain one.
inline void StoreBytes(std::uint8_t* to, __mmask64 mask, __m512i bytes) {
  if (mask == ~__mmask64{0}) [[likely]] {
    _mm512_storeu_si512(to, bytes);
  } else {
    _mm512_mask_storeu_epi8(to, mask, bytes);
  }
}

inline void StoreWords(std::uint8_t* to, __mmask32 mask, __m512i words) {
  if (mask == ~__mmask32{0}) [[likely]] {
    _mm512_storeu_si512(to, words);
  } else {
    _mm512_mask_storeu_epi16(to, mask, words);
  }
}

// `out` is a copy: stores of bytes may alias anything but locals.
template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void WriteTileU8(const __m512i (&acc)[kPixels][kVectors],
                                    TileOutput out) {
  // Packing works within 128-bit lanes; this puts the lanes in order.
  const __m512i order =
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    __m512i y[4];
    RoundTilePixel<kVectors>(acc[m], out.multiplier, out.bias, y);
    const __m512i bytes = _mm512_packus_epi16(_mm512_packs_epi32(y[0], y[1]),
                                              _mm512_packs_epi32(y[2], y[3]));
    StoreBytes(out.output + out.pixel_bytes * m, out.filters,
               _mm512_permutexvar_epi32(order, bytes));
  }
}

template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void WriteTileS16(const __m512i (&acc)[kPixels][kVectors],
                                     TileOutput out) {
  const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    __m512i y[4];
    RoundTilePixel<kVectors>(acc[m], out.multiplier, out.bias, y);
    std::uint8_t* output = out.output + out.pixel_bytes * m;
    StoreWords(output, static_cast<__mmask32>(out.filters),
               _mm512_permutexvar_epi64(order, _mm512_packs_epi32(y[0], y[1])));
    if (kVectors <= 2) continue;
    StoreWords(output + 64, static_cast<__mmask32>(out.filters >> 32),
               _mm512_permutexvar_epi64(order, _mm512_packs_epi32(y[2], y[3])));
  }
}

template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void WriteSums(const __m512i (&acc)[kPixels][kVectors],
                                  std::int32_t* sums) {
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      _mm512_store_si512(sums + 64 * m + 16 * v, acc[m][v]);
    }
  }
}

// What one tap adds; `w` are its weights. Meanwhile the runs of the tap after
// the next come into the cache: the strides of a convolution are too much for
// the processor to foresee. Beside few filters that would take too long.
template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void AddTap(__m512i (&acc)[kPixels][kVectors],
                               const DirectTap& tap, int steps,
                               const std::uint8_t* w) {
  const std::uint8_t* pixel[kPixels];
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) pixel[m] = tap.pixel[m];
  std::ptrdiff_t offset = 0;
  for (int i = steps / 4; i > 0; --i) {
#pragma GCC unroll 6
    for (int m = 0; m < kPixels && kVectors > 2; ++m) {
      __builtin_prefetch((&tap)[kDirectTapsAhead].pixel[m] + offset);
    }
    // Each step loads the weights anew: kept from step to step they would
    // push vectors to the stack.
    Step<kPixels, kVectors>(acc, w, pixel, offset, 0);
    asm("" : "+r"(w));
    Step<kPixels, kVectors>(acc, w, pixel, offset, 1);
    asm("" : "+r"(w));
    Step<kPixels, kVectors>(acc, w, pixel, offset, 2);
    asm("" : "+r"(w));
    Step<kPixels, kVectors>(acc, w, pixel, offset, 3);
    w += 64 * kVectors;
    offset += 16;
  }
  const int rest = steps % 4;
  if (rest > 0) Step<kPixels, kVectors>(acc, w, pixel, offset, 0);
  asm("" : "+r"(w));
  if (rest > 1) Step<kPixels, kVectors>(acc, w, pixel, offset, 1);
  asm("" : "+r"(w));
  if (rest > 2) Step<kPixels, kVectors>(acc, w, pixel, offset, 2);
}

// `tiles` tiles of kPixels pixels, whose outputs follow each other. With few
// channels a call for each tile would cost a tenth of the time.
template <int kPixels, int kVectors>
__attribute__((noinline)) void MultiplyTiles(const DirectTile* tile, int tiles,
                                             int steps,
                                             const std::uint8_t* weights,
                                             TileOutput out) {
  const std::size_t tap_bytes =
      static_cast<std::size_t>((steps + 3) / 4) * 64 * kVectors;
  for (; tiles > 0; --tiles, ++tile) {
    __m512i acc[kPixels][kVectors];
#pragma GCC unroll 6
    for (int m = 0; m < kPixels; ++m) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[m][v] = _mm512_setzero_si512();
    }
#pragma GCC unroll 6
    for (int m = kPixels; m < 2 * kPixels; ++m) {
      __builtin_prefetch(out.output + m * out.pixel_bytes, 1);
    }
    const DirectTap* const end = tile->taps + tile->count;
    for (const DirectTap* tap = tile->taps; tap != end; ++tap) {
      AddTap<kPixels, kVectors>(acc, *tap, steps,
                                weights + tap->tap * tap_bytes);
    }
    switch (out.kind) {
      case TileKind::kSums:
        return WriteSums<kPixels, kVectors>(acc, out.sums);
      case TileKind::kU8:
        WriteTileU8<kPixels, kVectors>(acc, out);
        break;
      case TileKind::kS16:
        WriteTileS16<kPixels, kVectors>(acc, out);
        break;
    }
    out.output += kPixels * out.pixel_bytes;
  }
}

using MultiplyFunction = void (*)(const DirectTile*, int, int,
                                  const std::uint8_t*, TileOutput);

template <int kPixels>
MultiplyFunction ChooseVectors(int vectors) {
  switch (vectors) {
    case 1:
      return MultiplyTiles<kPixels, 1>;
    case 2:
      return MultiplyTiles<kPixels, 2>;
    case 3:
      return MultiplyTiles<kPixels, 3>;
    default:
      return MultiplyTiles<kPixels, 4>;
  }
}

MultiplyFunction Choose(int pixels, int vectors) {
  switch (pixels) {
    case 1:
      return ChooseVectors<1>(vectors);
    case 2:
      return ChooseVectors<2>(vectors);
    case 3:
      return ChooseVectors<3>(vectors);
    case 4:
      return ChooseVectors<4>(vectors);
    case 5:
      return ChooseVectors<5>(vectors);
    default:
      return ChooseVectors<6>(vectors);
  }
}

inline int Smaller(int a, int b) { return a < b ? a : b; }

// Outputs of `pixels` rows of sums, filters [k, k + count).
void WriteTile(const DirectTask& task, const std::int32_t* sums,
               std::size_t first, int pixels, int k, int count) {
  for (int m = 0; m < pixels; ++m) {
    const std::size_t index = (first + m) * task.g->filters + k;
    for (int i = 0; i < count; i += 8) {
      const __m256i acc = _mm256_load_si256(
          reinterpret_cast<const __m256i*>(sums + 64 * m + i));
      WriteEight(task.call->epilogue, _mm256_cvtepi32_ps(acc), k + i, index + i,
                 Smaller(count - i, 8), task.call->output);
    }
  }
}

// Whether no output of the block can leave the range of int32 before it is
// clamped. Sums are at most 255 for each input.
bool FitsInt32(const float* multiplier, const float* bias, double depth) {
  const __m512 largest = _mm512_set1_ps(static_cast<float>(255 * depth));
  const __m512 limit = _mm512_set1_ps(0x1p30F);
  __mmask16 fits = 0xFFFF;
  for (int v = 0; v < kDirectBlockFilters; v += 16) {
    const __m512 bound =
        _mm512_fmadd_ps(largest, _mm512_load_ps(multiplier + v),
                        _mm512_abs_ps(_mm512_load_ps(bias + v)));
    fits = static_cast<__mmask16>(fits &
                                  _mm512_cmp_ps_mask(bound, limit, _CMP_LE_OQ));
  }
  return fits == 0xFFFF;
}

TileKind KindOf(const DirectTask& task, const TileOutput& out) {
  const Epilogue& e = task.call->epilogue;
  const double depth = 1.0 * task.layout.taps * task.layout.run;
  if (e.residual != nullptr || !FitsInt32(out.multiplier, out.bias, depth)) {
    return TileKind::kSums;
  }
  if (e.output_type == OutputType::kU8 && e.low == 0 && e.high == 255) {
    return TileKind::kU8;
  }
  if (e.output_type == OutputType::kS16 && e.low == -32768 && e.high == 32767) {
    return TileKind::kS16;
  }
  return TileKind::kSums;
}

void CopyPadded(const float* from, int count, float* to) {
  for (int i = 0; i < kDirectBlockFilters; i += 16) {
    const int left = count - i;
    const auto mask = static_cast<__mmask16>(left >= 16 ? 0xFFFF
                                             : left > 0 ? (1 << left) - 1
                                                        : 0);
    _mm512_store_ps(to + i, _mm512_maskz_loadu_ps(mask, from + i));
  }
}

// Multipliers and biases of a block.
constexpr std::size_t kFactorBytes = 2 * kDirectBlockFilters * sizeof(float);

void RunBlock(const DirectTask& task, const DirectChunk& chunk, int block) {
  const Epilogue& e = task.call->epilogue;
  const int filters = task.g->filters;
  const int k = block * kDirectBlockFilters;
  const int count = Smaller(filters - k, kDirectBlockFilters);
  const int vectors = (count + 15) / 16;
  const std::uint8_t* weights =
      task.call->packed + task.layout.block_bytes * block;
  const std::size_t element = e.output_type == OutputType::kU8 ? 1 : 2;
  auto* multiplier = reinterpret_cast<float*>(task.unpacked);
  float* bias = multiplier + kDirectBlockFilters;
  CopyPadded(e.multiplier + k, count, multiplier);
  CopyPadded(e.bias + k, count, bias);
  TileOutput out = {TileKind::kSums,
                    task.sums,
                    multiplier,
                    bias,
                    ~__mmask64{0} >> (kDirectBlockFilters - count),
                    nullptr,
                    filters * element};
  out.kind = KindOf(task, out);
  const bool sums = out.kind == TileKind::kSums;
  int pixel = chunk.first;
  for (const DirectTile* tile = chunk.tile; pixel < chunk.end;) {
    // There is room for the sums of one tile.
    const int tiles = sums ? 1 : SameSizeTiles(chunk, tile, pixel);
    out.output = static_cast<std::uint8_t*>(task.call->output) +
                 (static_cast<std::size_t>(pixel) * filters + k) * element;
    Choose(tile->pixels, vectors)(tile, tiles, task.layout.steps, weights, out);
    if (sums) WriteTile(task, task.sums, pixel, tile->pixels, k, count);
    pixel += tiles * tile->pixels;
    tile += tiles;
  }
}

constexpr DirectMicroKernels kMicroKernels = {
    FillDirectTapsAvx512Vnni, GatherWindowsAvx512Vnni, RunBlock};

DirectLayout LayoutOf(const ConvGeometry& g, int batch, int threads) {
  return MakeDirectLayout(g, batch, threads, kFactorBytes);
}

std::size_t ScratchBytes(const ConvGeometry& g, int batch, int threads) {
  return LayoutOf(g, batch, threads).scratch_bytes;
}

void Run(const ConvCall& call, int threads, int task, std::byte* scratch) {
  RunDirect(call, LayoutOf(*call.geometry, call.batch, threads), task, scratch,
            kMicroKernels);
}

// The k-loop at the peak of the multiply-accumulate instruction, for whole
// tiles, and the epilogue; fitted on a Zen 5 core at 3.7 GHz, where 128
// multiply-accumulates take a cycle.
double PredictedNs(const ConvGeometry& g, int batch) {
  const DirectLayout layout = MakeDirectLayout(g, batch, 1);
  const int tiles =
      (batch * g.out_h * g.out_w + kDirectTilePixels - 1) / kDirectTilePixels;
  const int vectors = (g.filters + 15) / 16;
  const double k_loop = 3.0 * layout.taps * layout.steps * vectors;
  const double gathering =
      layout.gathers ? 30 + 2.5 * kDirectTilePixels * g.kernel_h : 0;
  return tiles * (1.03 * k_loop + 14 * vectors + 4 * layout.taps + gathering) /
         3.7;
}

}  // namespace

extern const ConvKernel kDirectAvx512Vnni = {
    "direct",          DirectApplies, DirectFusesMaxPool,
    DirectPackedBytes, DirectPack,    DirectTasks,
    ScratchBytes,      Run,           PredictedNs};

}  // namespace tern
