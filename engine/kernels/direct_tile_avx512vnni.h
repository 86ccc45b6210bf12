// What the direct kernels with vpdpbusd share: the instructions of their
// k-loops and the way from a register tile's sums to the output. A leaf header,
// for the files of this instruction set only; everything in it is local to its
// includer.

#ifndef TERN_ENGINE_KERNELS_DIRECT_TILE_AVX512VNNI_H_
#define TERN_ENGINE_KERNELS_DIRECT_TILE_AVX512VNNI_H_

#include <immintrin.h>

#include "engine/kernels/direct.h"
#include "engine/kernels/epilogue_avx512vnni.h"

namespace tern {
namespace {

enum class TileKind { kSums, kU8, kS16 };

// Where a tile's results go. The common outputs, u8 and s16 without a residual
// and clamped to the type's own bounds, are made in registers, where packing
// clamps; the others from sums in memory.
struct TileOutput {
  TileKind kind;
  std::int32_t* sums;  // [pixels][64], of one tile
  // Of the tile's filters, padded with zeros to 64.
  const float* multiplier;
  const float* bias;
  __mmask64 filters;
  // Whether packing to the output's type clamps as the epilogue asks.
  bool packing_clamps;
  std::uint8_t* output;
  std::size_t pixel_bytes;
};

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

// `out` is a copy: stores of bytes may alias anything but locals.
template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void WriteTileU8(const __m512i (&acc)[kPixels][kVectors],
                                    TileOutput out) {
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    __m512i y[4];
    RoundTilePixel<kVectors>(acc[m], out.multiplier, out.bias, y);
    StoreBytes(out.output + out.pixel_bytes * m, out.filters, PackBytes(y));
  }
}

template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void WriteTileS16(const __m512i (&acc)[kPixels][kVectors],
                                     TileOutput out) {
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    __m512i y[4];
    RoundTilePixel<kVectors>(acc[m], out.multiplier, out.bias, y);
    std::uint8_t* output = out.output + out.pixel_bytes * m;
    StoreWords(output, static_cast<__mmask32>(out.filters),
               PackWords(y[0], y[1]));
    if (kVectors <= 2) continue;
    StoreWords(output + 64, static_cast<__mmask32>(out.filters >> 32),
               PackWords(y[2], y[3]));
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

inline int Smaller(int a, int b) { return a < b ? a : b; }

// The values of a pixel's block.
TERN_ALWAYS_INLINE void StoreValues(const Epilogue& e, const TileOutput& out,
                                    __m512 (&f)[4], std::uint8_t* to) {
  if (e.output_type == OutputType::kF32) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      _mm512_mask_storeu_ps(to + 64 * v, Sixteen(out.filters, v), f[v]);
    }
    return;
  }
  if (!out.packing_clamps) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      f[v] = _mm512_min_ps(_mm512_max_ps(f[v], _mm512_set1_ps(e.low)),
                           _mm512_set1_ps(e.high));
    }
  }
  __m512i y[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) y[v] = _mm512_cvtps_epi32(f[v]);
  if (e.output_type == OutputType::kU8) {
    StoreBytes(to, out.filters, PackBytes(y));
    return;
  }
  StoreWords(to, static_cast<__mmask32>(out.filters), PackWords(y[0], y[1]));
  StoreWords(to + 64, static_cast<__mmask32>(out.filters >> 32),
             PackWords(y[2], y[3]));
}

// Any epilogue: a pixel's outputs of a block, to `to`, from its 64 sums.
// `index` is that of the first of them.
TERN_ALWAYS_INLINE void WriteAny(const Epilogue& e, const TileOutput& out,
                                 const std::int32_t* sums, std::size_t index,
                                 std::uint8_t* to) {
  __m512 f[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    f[v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + 16 * v)),
                           _mm512_load_ps(out.multiplier + 16 * v),
                           _mm512_load_ps(out.bias + 16 * v));
  }
  if (e.residual != nullptr) {
    if (e.residual_type == OutputType::kU8) {
      AddResiduals(static_cast<const std::uint8_t*>(e.residual) + index,
                   e.residual_scale, out.filters, f);
    } else {
      AddResiduals(static_cast<const std::int16_t*>(e.residual) + index,
                   e.residual_scale, out.filters, f);
    }
  }
  StoreValues(e, out, f, to);
}

// The same for a tile, whose first pixel's outputs belong to `out.output`.
inline void WriteTile(const DirectTask& task, const TileOutput& out, int block,
                      std::size_t first, int pixels) {
  const auto filters = static_cast<std::size_t>(task.g->filters);
  std::size_t index =
      first * filters + kPackedBlockFilters * static_cast<std::size_t>(block);
  for (int m = 0; m < pixels; ++m) {
    WriteAny(task.call->epilogue, out, out.sums + kPackedBlockFilters * m,
             index, out.output + out.pixel_bytes * m);
    index += filters;
  }
}

// Whether no output of the block can leave the range of int32 before it is
// clamped. Sums are at most 255 for each input.
inline bool FitsInt32(const DirectTask& task, const float* multiplier,
                      const float* bias) {
  const Epilogue& e = task.call->epilogue;
  const double depth = 1.0 * task.layout.taps * task.layout.run;
  const __m512 largest = _mm512_set1_ps(static_cast<float>(255 * depth));
  const __m512 residual = _mm512_set1_ps(
      e.residual == nullptr ? 0 : 0x1p15F * __builtin_fabsf(e.residual_scale));
  const __m512 limit = _mm512_set1_ps(0x1p30F);
  __mmask16 fits = 0xFFFF;
  for (int v = 0; v < kPackedBlockFilters; v += 16) {
    const __m512 bound = _mm512_fmadd_ps(
        largest, _mm512_load_ps(multiplier + v),
        _mm512_add_ps(_mm512_abs_ps(_mm512_load_ps(bias + v)), residual));
    fits = static_cast<__mmask16>(fits &
                                  _mm512_cmp_ps_mask(bound, limit, _CMP_LE_OQ));
  }
  return fits == 0xFFFF;
}

// Whether these are the bounds of the output's type.
inline bool HasOwnBounds(const Epilogue& e) {
  if (e.output_type == OutputType::kU8) return e.low == 0 && e.high == 255;
  return e.output_type == OutputType::kS16 && e.low == -32768 &&
         e.high == 32767;
}

inline TileKind KindOf(const Epilogue& e, bool packing_clamps) {
  if (e.residual != nullptr || !packing_clamps) return TileKind::kSums;
  return e.output_type == OutputType::kU8 ? TileKind::kU8 : TileKind::kS16;
}

inline void CopyPadded(const float* from, int count, float* to) {
  for (int i = 0; i < kPackedBlockFilters; i += 16) {
    const int left = count - i;
    const auto mask = static_cast<__mmask16>(left >= 16 ? 0xFFFF
                                             : left > 0 ? (1 << left) - 1
                                                        : 0);
    _mm512_store_ps(to + i, _mm512_maskz_loadu_ps(mask, from + i));
  }
}

// Multipliers and biases of a block.
inline constexpr std::size_t kFactorBytes =
    2 * kPackedBlockFilters * sizeof(float);

// Fills `factors`, kFactorBytes, with the block's multipliers and biases.
inline TileOutput OutputOf(const DirectTask& task, int block, void* factors) {
  const Epilogue& e = task.call->epilogue;
  const int k = block * kPackedBlockFilters;
  const int count = Smaller(task.g->filters - k, kPackedBlockFilters);
  const std::size_t element = e.output_type == OutputType::kU8    ? 1
                              : e.output_type == OutputType::kS16 ? 2
                                                                  : 4;
  auto* multiplier = static_cast<float*>(factors);
  float* bias = multiplier + kPackedBlockFilters;
  CopyPadded(e.multiplier + k, count, multiplier);
  CopyPadded(e.bias + k, count, bias);
  TileOutput out = {TileKind::kSums,
                    nullptr,
                    multiplier,
                    bias,
                    ~__mmask64{0} >> (kPackedBlockFilters - count),
                    HasOwnBounds(e) && FitsInt32(task, multiplier, bias),
                    nullptr,
                    task.g->filters * element};
  out.kind = KindOf(e, out.packing_clamps);
  return out;
}

// Functions::kFunction<pixels, vectors>.
template <typename Functions, int kPixels>
auto ChooseVectors(int vectors) {
  switch (vectors) {
    case 1:
      return Functions::template kFunction<kPixels, 1>;
    case 2:
      return Functions::template kFunction<kPixels, 2>;
    case 3:
      return Functions::template kFunction<kPixels, 3>;
    default:
      return Functions::template kFunction<kPixels, 4>;
  }
}

template <typename Functions>
auto ChooseTile(int pixels, int vectors) {
  switch (pixels) {
    case 1:
      return ChooseVectors<Functions, 1>(vectors);
    case 2:
      return ChooseVectors<Functions, 2>(vectors);
    case 3:
      return ChooseVectors<Functions, 3>(vectors);
    case 4:
      return ChooseVectors<Functions, 4>(vectors);
    case 5:
      return ChooseVectors<Functions, 5>(vectors);
    default:
      return ChooseVectors<Functions, 6>(vectors);
  }
}

}  // namespace
}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_DIRECT_TILE_AVX512VNNI_H_
