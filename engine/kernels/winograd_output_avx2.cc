// Winograd's output transform and epilogue on AVX2. A leaf: includes no
// header with inline code.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/kernels/winograd_pieces.h"

namespace tern::winograd {
namespace {

// g++ at -O2 would call these, with whole tiles on the stack.
#define TERN_INLINE [[gnu::always_inline]] inline

using V = __m256i;

TERN_INLINE V Add32(V a, V b) { return _mm256_add_epi32(a, b); }
TERN_INLINE V Sub32(V a, V b) { return _mm256_sub_epi32(a, b); }
TERN_INLINE V Twice32(V a) { return _mm256_slli_epi32(a, 1); }
TERN_INLINE V Four32(V a) { return _mm256_slli_epi32(a, 2); }

// Position along one dimension of the i-th value that a tile of kSize has.
template <int kSize>
constexpr int Position(int i) {
  return kSize == 3 && i == 4 ? 5 : i;
}

// Outputs kHalf and kHalf + 2 along one dimension of a tile: those that need
// sums (even) or differences (odd) of positions. A tile's four at once would
// not fit the registers.
template <int kSize, int kHalf>
TERN_INLINE void Output(const V m[], V y[]) {
  if constexpr (kHalf == 0) {
    const V a = Add32(m[1], m[2]);
    if constexpr (kSize == 4) {
      const V c = Add32(m[3], m[4]);
      y[0] = Add32(Add32(m[0], c), Four32(a));
      y[2] = Add32(a, c);
    } else {
      y[0] = Add32(Add32(m[0], m[3]), Twice32(a));
      y[2] = Add32(Add32(a, m[4]), Twice32(m[3]));
    }
  } else {
    const V b = Sub32(m[1], m[2]);
    if constexpr (kSize == 4) {
      const V e = Sub32(m[3], m[4]);
      y[1] = Add32(Twice32(b), e);
      y[3] = Add32(Add32(b, m[5]), Twice32(e));
    } else {
      y[1] = Add32(b, m[3]);
    }
  }
}

// Outputs are scaled by 9 * 2^(Shift(row) + Shift(column)).
template <int kSize>
constexpr int Shift(int i) {
  return kSize == 4 ? (i == 0 ? 3 : i == 1 ? 2 : 1) : (i == 0 ? 2 : 1);
}

// Rows kHalf and kHalf + 2 of a tile for 8 filters.
template <int kRows, int kCols, int kHalf>
TERN_INLINE void TransformRows(const std::int32_t* sums, std::ptrdiff_t plane,
                               std::int32_t* out) {
  constexpr int kHigh = kRows + 2;
  constexpr int kWide = kCols + 2;
  const V inverse9 = _mm256_set1_epi32(kInverse9);
  V half[4][6];
#pragma GCC unroll 6
  for (int j = 0; j < kWide; ++j) {
    V m[6];
    V y[4];
#pragma GCC unroll 6
    for (int i = 0; i < kHigh; ++i) {
      const int e = 6 * Position<kRows>(i) + Position<kCols>(j);
      m[i] = _mm256_load_si256(reinterpret_cast<const V*>(sums + e * plane));
    }
    Output<kRows, kHalf>(m, y);
#pragma GCC unroll 2
    for (int r = kHalf; r < kRows; r += 2) half[r][j] = y[r];
  }
#pragma GCC unroll 2
  for (int r = kHalf; r < kRows; r += 2) {
    V y[4];
    Output<kCols, 0>(half[r], y);
    Output<kCols, 1>(half[r], y);
#pragma GCC unroll 4
    for (int c = 0; c < kCols; ++c) {
      const V exact = _mm256_srai_epi32(_mm256_mullo_epi32(y[c], inverse9),
                                        Shift<kRows>(r) + Shift<kCols>(c));
      _mm256_store_si256(reinterpret_cast<V*>(out + (4 * r + c) * kFilterBlock),
                         exact);
    }
  }
}

// One tile's sums for 64 filters to accumulators, [4 * row + column][64].
template <int kRows, int kCols>
void TransformOutput(const std::int32_t* sums, std::ptrdiff_t plane,
                     std::int32_t* out) {
  for (int z = 0; z < kFilterBlock; z += 8) {
    TransformRows<kRows, kCols, 0>(sums + z, plane, out + z);
    TransformRows<kRows, kCols, 1>(sums + z, plane, out + z);
  }
}

enum class Kind : std::uint8_t { kU8AnyClamp, kU8FullRange, kS16, kF32 };
enum class Residual : std::uint8_t { kNone, kU8, kS16 };

// Filters are finished 32 at a time.
constexpr int kHalfBlock = 32;

TERN_INLINE void StoreU(void* to, V v) {
  _mm256_storeu_si256(static_cast<V*>(to), v);
}

// `count` of kHalfBlock elements at `from`, zeros behind them in `part`.
template <typename T>
TERN_INLINE const T* Padded(const T* from, int count, T* part) {
  if (count == kHalfBlock) return from;
  std::memset(part, 0, sizeof(T) * kHalfBlock);
  std::memcpy(part, from, sizeof(T) * count);
  return part;
}

TERN_INLINE void LoadFloats(const float* from, int valid, __m256 out[4]) {
  float part[kHalfBlock];
  from = Padded(from, valid, part);
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z) out[z] = _mm256_loadu_ps(from + 8 * z);
}

TERN_INLINE void LoadResidualU8(const std::uint8_t* from, int valid,
                                __m256 r[4]) {
  std::uint8_t part[kHalfBlock];
  from = Padded(from, valid, part);
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z)
    r[z] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + 8 * z))));
}

TERN_INLINE void LoadResidualS16(const std::int16_t* from, int valid,
                                 __m256 r[4]) {
  std::int16_t part[kHalfBlock];
  from = Padded(from, valid, part);
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z)
    r[z] = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 8 * z))));
}

TERN_INLINE void StoreF32(const __m256 f[4], int valid, float* to) {
  float part[kHalfBlock];
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z) _mm256_storeu_ps(part + 8 * z, f[z]);
  std::memcpy(to, part, sizeof(float) * valid);
}

// Packing works within 128-bit lanes; a permutation puts them in order.
TERN_INLINE void StoreS16(const V i[4], int valid, std::int16_t* to) {
  std::int16_t part[kHalfBlock];
  std::int16_t* at = valid < kHalfBlock ? part : to;
#pragma GCC unroll 2
  for (int z = 0; z < 4; z += 2)
    StoreU(at + 8 * z,
           _mm256_permute4x64_epi64(_mm256_packs_epi32(i[z], i[z + 1]), 0xD8));
  if (valid < kHalfBlock) std::memcpy(to, part, sizeof(*to) * valid);
}

TERN_INLINE void StoreU8(const V i[4], int valid, std::uint8_t* to) {
  const V bytes = _mm256_permutevar8x32_epi32(
      _mm256_packus_epi16(_mm256_packs_epi32(i[0], i[1]),
                          _mm256_packs_epi32(i[2], i[3])),
      _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  if (valid == kHalfBlock) {
    StoreU(to, bytes);
    return;
  }
  std::uint8_t part[kHalfBlock];
  StoreU(part, bytes);
  std::memcpy(to, part, valid);
}

template <Kind kStore>
TERN_INLINE void StorePixel(const ConvCall& call, const __m256 f[4],
                            std::ptrdiff_t at, int valid) {
  if constexpr (kStore == Kind::kF32) {
    StoreF32(f, valid, static_cast<float*>(call.output) + at);
  } else {
    V i[4];
#pragma GCC unroll 4
    for (int z = 0; z < 4; ++z) {
      __m256 clamped = f[z];
      if constexpr (kStore != Kind::kU8FullRange) {
        clamped = _mm256_min_ps(
            _mm256_max_ps(clamped, _mm256_set1_ps(call.epilogue.low)),
            _mm256_set1_ps(call.epilogue.high));
      }
      i[z] = _mm256_cvtps_epi32(clamped);
    }
    if constexpr (kStore == Kind::kS16)
      StoreS16(i, valid, static_cast<std::int16_t*>(call.output) + at);
    else
      StoreU8(i, valid, static_cast<std::uint8_t*>(call.output) + at);
  }
}

template <Residual kResidual>
TERN_INLINE void ScalePixel(const ConvCall& call, const V acc[4],
                            const __m256 scale[4], const __m256 bias[4],
                            std::ptrdiff_t at, int valid, __m256 f[4]) {
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z)
    f[z] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[z]), scale[z], bias[z]);
  if constexpr (kResidual != Residual::kNone) {
    __m256 r[4];
    if constexpr (kResidual == Residual::kU8)
      LoadResidualU8(
          static_cast<const std::uint8_t*>(call.epilogue.residual) + at, valid,
          r);
    else
      LoadResidualS16(
          static_cast<const std::int16_t*>(call.epilogue.residual) + at, valid,
          r);
    const __m256 by = _mm256_set1_ps(call.epilogue.residual_scale);
#pragma GCC unroll 4
    for (int z = 0; z < 4; ++z) f[z] = _mm256_fmadd_ps(r[z], by, f[z]);
  }
}

// Values of the 2x2 window at `acc`. Multipliers are not negative, so without
// a residual the largest accumulator gives the largest value.
template <Residual kResidual>
TERN_INLINE void PoolWindow(const ConvCall& call, const std::int32_t* acc,
                            const __m256 scale[4], const __m256 bias[4],
                            std::ptrdiff_t at, std::ptrdiff_t row_stride,
                            int valid, __m256 f[4]) {
  const int filters = call.geometry->filters;
  constexpr int kSteps[4] = {0, 1, 4, 5};
  V best[4];
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) {
    V now[4];
#pragma GCC unroll 4
    for (int z = 0; z < 4; ++z)
      now[z] = _mm256_load_si256(
          reinterpret_cast<const V*>(acc + kSteps[p] * kFilterBlock + 8 * z));
    if constexpr (kResidual == Residual::kNone) {
#pragma GCC unroll 4
      for (int z = 0; z < 4; ++z)
        best[z] = p == 0 ? now[z] : _mm256_max_epi32(best[z], now[z]);
    } else {
      __m256 g[4];
      ScalePixel<kResidual>(call, now, scale, bias,
                            at + p / 2 * row_stride + p % 2 * filters, valid,
                            g);
#pragma GCC unroll 4
      for (int z = 0; z < 4; ++z)
        f[z] = p == 0 ? g[z] : _mm256_max_ps(f[z], g[z]);
    }
  }
  if constexpr (kResidual == Residual::kNone)
    ScalePixel<kResidual>(call, best, scale, bias, 0, valid, f);
}

template <Kind kStore, Residual kResidual, bool kPool>
void FinishTile(const FinishCall& e, const Tile& tile,
                const std::int32_t* acc) {
  const ConvCall& call = *e.call;
  const ConvGeometry& g = *call.geometry;
  __m256 scale[4];
  __m256 bias[4];
  LoadFloats(call.epilogue.multiplier + e.first_filter, e.valid, scale);
  LoadFloats(call.epilogue.bias + e.first_filter, e.valid, bias);
  const std::ptrdiff_t row_stride = std::ptrdiff_t{g.out_w} * g.filters;
  const std::ptrdiff_t at =
      (std::ptrdiff_t{tile.image} * g.out_h + tile.y) * row_stride +
      std::ptrdiff_t{tile.x} * g.filters + e.first_filter;
  const int rows = g.out_h - tile.y < tile.rows ? g.out_h - tile.y : tile.rows;
  const int cols = g.out_w - tile.x < tile.cols ? g.out_w - tile.x : tile.cols;
  __m256 f[4];
  if constexpr (kPool) {
    const int pooled_h = g.out_h / 2;
    const int pooled_w = g.out_w / 2;
    for (int r = 0; r < rows / 2; ++r) {
      for (int c = 0; c < cols / 2; ++c) {
        PoolWindow<kResidual>(call, acc + (8 * r + 2 * c) * kFilterBlock, scale,
                              bias, at + 2 * r * row_stride + 2 * c * g.filters,
                              row_stride, e.valid, f);
        const std::ptrdiff_t pooled =
            ((std::ptrdiff_t{tile.image} * pooled_h + tile.y / 2 + r) *
                 pooled_w +
             tile.x / 2 + c) *
                g.filters +
            e.first_filter;
        StorePixel<kStore>(call, f, pooled, e.valid);
      }
    }
  } else {
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) {
        V now[4];
#pragma GCC unroll 4
        for (int z = 0; z < 4; ++z)
          now[z] = _mm256_load_si256(reinterpret_cast<const V*>(
              acc + (4 * r + c) * kFilterBlock + 8 * z));
        const std::ptrdiff_t pixel =
            at + r * row_stride + std::ptrdiff_t{c} * g.filters;
        ScalePixel<kResidual>(call, now, scale, bias, pixel, e.valid, f);
        StorePixel<kStore>(call, f, pixel, e.valid);
      }
    }
  }
}

using FinishFn = void (*)(const FinishCall&, const Tile&, const std::int32_t*);

template <Kind kStore>
FinishFn PickFinish(Residual residual, bool pool) {
  switch (residual) {
    case Residual::kU8:
      return pool ? FinishTile<kStore, Residual::kU8, true>
                  : FinishTile<kStore, Residual::kU8, false>;
    case Residual::kS16:
      return pool ? FinishTile<kStore, Residual::kS16, true>
                  : FinishTile<kStore, Residual::kS16, false>;
    case Residual::kNone:
      break;
  }
  return pool ? FinishTile<kStore, Residual::kNone, true>
              : FinishTile<kStore, Residual::kNone, false>;
}

FinishFn PickFinish(const FinishCall& call) {
  const Epilogue& e = call.call->epilogue;
  const Residual residual = e.residual == nullptr ? Residual::kNone
                            : e.residual_type == OutputType::kU8
                                ? Residual::kU8
                                : Residual::kS16;
  switch (e.output_type) {
    case OutputType::kS16:
      return PickFinish<Kind::kS16>(residual, e.max_pool_2x2);
    case OutputType::kF32:
      return PickFinish<Kind::kF32>(residual, e.max_pool_2x2);
    case OutputType::kU8:
      break;
  }
  return call.clamps_rounding
             ? PickFinish<Kind::kU8FullRange>(residual, e.max_pool_2x2)
             : PickFinish<Kind::kU8AnyClamp>(residual, e.max_pool_2x2);
}

}  // namespace

void FinishAvx2(const FinishCall& call, const Tile* tiles, int count) {
  const FinishFn finish = PickFinish(call);
  const std::int32_t* sums = call.sums;
  const std::ptrdiff_t plane = call.sum_plane;
  for (int t = 0; t < count; ++t, sums += kFilterBlock) {
    if (tiles[t].rows == 4) {
      if (tiles[t].cols == 4)
        TransformOutput<4, 4>(sums, plane, call.outputs);
      else
        TransformOutput<4, 3>(sums, plane, call.outputs);
    } else {
      if (tiles[t].cols == 4)
        TransformOutput<3, 4>(sums, plane, call.outputs);
      else
        TransformOutput<3, 3>(sums, plane, call.outputs);
    }
    for (int half = 0; half < 2; ++half) {
      FinishCall part = call;
      part.first_filter += kHalfBlock * half;
      part.valid -= kHalfBlock * half;
      if (part.valid > kHalfBlock) part.valid = kHalfBlock;
      if (part.valid > 0)
        finish(part, tiles[t], call.outputs + kHalfBlock * half);
    }
  }
}

}  // namespace tern::winograd
