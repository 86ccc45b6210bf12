// Winograd's output transform and epilogue on AVX-512.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/epilogue_avx512vnni.h"
#include "engine/kernels/winograd_pieces.h"

namespace tern::winograd {
namespace {

// g++ at -O2 would call these, with whole tiles on the stack.
#define TERN_INLINE [[gnu::always_inline]] inline

using V = __m512i;

TERN_INLINE V Add32(V a, V b) { return _mm512_add_epi32(a, b); }
TERN_INLINE V Sub32(V a, V b) { return _mm512_sub_epi32(a, b); }
TERN_INLINE V Twice32(V a) { return _mm512_slli_epi32(a, 1); }
TERN_INLINE V Four32(V a) { return _mm512_slli_epi32(a, 2); }

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

// Rows kHalf and kHalf + 2 of a tile for 16 filters.
template <int kRows, int kCols, int kHalf>
TERN_INLINE void TransformRows(const std::int32_t* sums, std::ptrdiff_t plane,
                               std::int32_t* out) {
  constexpr int kHigh = kRows + 2;
  constexpr int kWide = kCols + 2;
  const V inverse9 = _mm512_set1_epi32(kInverse9);
  V half[4][6];
#pragma GCC unroll 6
  for (int j = 0; j < kWide; ++j) {
    V m[6];
    V y[4];
#pragma GCC unroll 6
    for (int i = 0; i < kHigh; ++i) {
      const int e = 6 * Position<kRows>(i) + Position<kCols>(j);
      m[i] = _mm512_load_si512(sums + e * plane);
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
      const V exact = _mm512_srai_epi32(_mm512_mullo_epi32(y[c], inverse9),
                                        Shift<kRows>(r) + Shift<kCols>(c));
      _mm512_store_si512(out + (4 * r + c) * kFilterBlock, exact);
    }
  }
}

// One tile's sums for 64 filters to accumulators, [4 * row + column][64].
template <int kRows, int kCols>
void TransformOutput(const std::int32_t* sums, std::ptrdiff_t plane,
                     std::int32_t* out) {
  for (int z = 0; z < kFilterBlock; z += 16) {
    TransformRows<kRows, kCols, 0>(sums + z, plane, out + z);
    TransformRows<kRows, kCols, 1>(sums + z, plane, out + z);
  }
}

enum class Store : std::uint8_t { kU8AnyClamp, kU8FullRange, kS16, kF32 };
enum class Residual : std::uint8_t { kNone, kU8, kS16 };

// Of the first `valid` filters of a block.
TERN_INLINE __mmask64 MaskOf(int valid) {
  return ~__mmask64{0} >> (kFilterBlock - valid);
}

TERN_INLINE void LoadFloats(const float* from, int valid, __m512 out[4]) {
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z)
    out[z] = _mm512_maskz_loadu_ps(Sixteen(MaskOf(valid), z), from + 16 * z);
}

template <Store kStore>
TERN_INLINE void StorePixel(const ConvCall& call, const __m512 f[4],
                            std::ptrdiff_t at, int valid) {
  if constexpr (kStore == Store::kF32) {
#pragma GCC unroll 4
    for (int z = 0; z < 4; ++z)
      _mm512_mask_storeu_ps(static_cast<float*>(call.output) + at + 16 * z,
                            Sixteen(MaskOf(valid), z), f[z]);
  } else {
    __m512i i[4];
#pragma GCC unroll 4
    for (int z = 0; z < 4; ++z) {
      __m512 clamped = f[z];
      if constexpr (kStore != Store::kU8FullRange) {
        clamped = _mm512_min_ps(
            _mm512_max_ps(clamped, _mm512_set1_ps(call.epilogue.low)),
            _mm512_set1_ps(call.epilogue.high));
      }
      i[z] = _mm512_cvtps_epi32(clamped);
    }
    const __mmask64 mask = MaskOf(valid);
    auto* output = static_cast<std::uint8_t*>(call.output);
    if constexpr (kStore == Store::kS16) {
      StoreWords(output + 2 * at, static_cast<__mmask32>(mask),
                 PackWords(i[0], i[1]));
      StoreWords(output + 2 * at + 64, static_cast<__mmask32>(mask >> 32),
                 PackWords(i[2], i[3]));
    } else {
      StoreBytes(output + at, mask, PackBytes(i));
    }
  }
}

template <Residual kResidual>
TERN_INLINE void ScalePixel(const ConvCall& call, const V acc[4],
                            const __m512 scale[4], const __m512 bias[4],
                            std::ptrdiff_t at, int valid, __m512 (&f)[4]) {
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z)
    f[z] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[z]), scale[z], bias[z]);
  const Epilogue& e = call.epilogue;
  if constexpr (kResidual == Residual::kU8) {
    AddResiduals(static_cast<const std::uint8_t*>(e.residual) + at,
                 e.residual_scale, MaskOf(valid), f);
  } else if constexpr (kResidual == Residual::kS16) {
    AddResiduals(static_cast<const std::int16_t*>(e.residual) + at,
                 e.residual_scale, MaskOf(valid), f);
  }
}

// Values of the 2x2 window at `acc`. Multipliers are not negative, so without
// a residual the largest accumulator gives the largest value.
template <Residual kResidual>
TERN_INLINE void PoolWindow(const ConvCall& call, const std::int32_t* acc,
                            const __m512 scale[4], const __m512 bias[4],
                            std::ptrdiff_t at, std::ptrdiff_t row_stride,
                            int valid, __m512 (&f)[4]) {
  const int filters = call.geometry->filters;
  constexpr int kSteps[4] = {0, 1, 4, 5};
  V best[4];
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) {
    V now[4];
#pragma GCC unroll 4
    for (int z = 0; z < 4; ++z)
      now[z] = _mm512_load_si512(acc + kSteps[p] * kFilterBlock + 16 * z);
    if constexpr (kResidual == Residual::kNone) {
#pragma GCC unroll 4
      for (int z = 0; z < 4; ++z)
        best[z] = p == 0 ? now[z] : _mm512_max_epi32(best[z], now[z]);
    } else {
      __m512 g[4];
      ScalePixel<kResidual>(call, now, scale, bias,
                            at + p / 2 * row_stride + p % 2 * filters, valid,
                            g);
#pragma GCC unroll 4
      for (int z = 0; z < 4; ++z)
        f[z] = p == 0 ? g[z] : _mm512_max_ps(f[z], g[z]);
    }
  }
  if constexpr (kResidual == Residual::kNone)
    ScalePixel<kResidual>(call, best, scale, bias, 0, valid, f);
}

template <Store kStore, Residual kResidual, bool kPool>
void FinishTile(const FinishCall& e, const Tile& tile,
                const std::int32_t* acc) {
  const ConvCall& call = *e.call;
  const ConvGeometry& g = *call.geometry;
  __m512 scale[4];
  __m512 bias[4];
  LoadFloats(call.epilogue.multiplier + e.first_filter, e.valid, scale);
  LoadFloats(call.epilogue.bias + e.first_filter, e.valid, bias);
  const std::ptrdiff_t row_stride = std::ptrdiff_t{g.out_w} * g.filters;
  const std::ptrdiff_t at =
      (std::ptrdiff_t{tile.image} * g.out_h + tile.y) * row_stride +
      std::ptrdiff_t{tile.x} * g.filters + e.first_filter;
  const int rows = g.out_h - tile.y < tile.rows ? g.out_h - tile.y : tile.rows;
  const int cols = g.out_w - tile.x < tile.cols ? g.out_w - tile.x : tile.cols;
  __m512 f[4];
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
          now[z] = _mm512_load_si512(acc + (4 * r + c) * kFilterBlock + 16 * z);
        const std::ptrdiff_t pixel =
            at + r * row_stride + std::ptrdiff_t{c} * g.filters;
        ScalePixel<kResidual>(call, now, scale, bias, pixel, e.valid, f);
        StorePixel<kStore>(call, f, pixel, e.valid);
      }
    }
  }
}

using FinishFn = void (*)(const FinishCall&, const Tile&, const std::int32_t*);

template <Store kStore>
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
      return PickFinish<Store::kS16>(residual, e.max_pool_2x2);
    case OutputType::kF32:
      return PickFinish<Store::kF32>(residual, e.max_pool_2x2);
    case OutputType::kU8:
      break;
  }
  return call.clamps_rounding
             ? PickFinish<Store::kU8FullRange>(residual, e.max_pool_2x2)
             : PickFinish<Store::kU8AnyClamp>(residual, e.max_pool_2x2);
}

}  // namespace

void FinishAvx512Vnni(const FinishCall& call, const Tile* tiles, int count) {
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
    finish(call, tiles[t], call.outputs);
  }
}

}  // namespace tern::winograd
