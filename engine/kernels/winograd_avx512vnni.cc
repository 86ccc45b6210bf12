// Winograd on AVX-512 VNNI. A leaf: includes no header with inline code.
//
// The 36 matrix products run on vpdpwssd with 6 tiles x 64 filters in 24
// accumulators; weights are int8, two filters' bytes interleaved so that two
// shifts widen one and one shift the other. Every loop over a tile is unrolled
// in full: g++ would otherwise keep the accumulators on the stack.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/kernels/winograd_kernels.h"

namespace tern::winograd {
namespace {

// g++ at -O2 would call these, with whole tiles on the stack.
#define TERN_INLINE [[gnu::always_inline]] inline

using V = __m512i;

constexpr int kMaxRows = 6;

TERN_INLINE V Add8(V a, V b) { return _mm512_add_epi8(a, b); }
TERN_INLINE V Sub8(V a, V b) { return _mm512_sub_epi8(a, b); }
TERN_INLINE V Add16(V a, V b) { return _mm512_add_epi16(a, b); }
TERN_INLINE V Sub16(V a, V b) { return _mm512_sub_epi16(a, b); }
TERN_INLINE V Twice16(V a) { return _mm512_slli_epi16(a, 1); }
TERN_INLINE V Four16(V a) { return _mm512_slli_epi16(a, 2); }
TERN_INLINE V Add32(V a, V b) { return _mm512_add_epi32(a, b); }
TERN_INLINE V Sub32(V a, V b) { return _mm512_sub_epi32(a, b); }
TERN_INLINE V Twice32(V a) { return _mm512_slli_epi32(a, 1); }
TERN_INLINE V Four32(V a) { return _mm512_slli_epi32(a, 2); }

// ---- Input transform -------------------------------------------------------

// Position along one dimension of the i-th value that a tile of kSize has.
template <int kSize>
constexpr int Position(int i) {
  return kSize == 3 && i == 4 ? 5 : i;
}

// Values 0..2 (kHalf 0) and 3.. (kHalf 1) along one dimension. A tile's 36 at
// once would not fit the registers.
template <int kSize, int kHalf>
TERN_INLINE void Input(const V d[], V o[]) {
  if constexpr (kSize == 4 && kHalf == 0) {
    const V even = Sub16(Four16(d[2]), d[4]);
    const V odd = Sub16(Four16(d[1]), d[3]);
    o[0] = Sub16(Four16(d[0]), Add16(even, d[2]));
    o[1] = Add16(even, odd);
    o[2] = Sub16(even, odd);
  } else if constexpr (kSize == 4) {
    const V twice = Twice16(Sub16(d[3], d[1]));
    const V d42 = Sub16(d[4], d[2]);
    o[3] = Add16(d42, twice);
    o[4] = Sub16(d42, twice);
    o[5] = Sub16(Sub16(d[5], d[3]), Twice16(twice));
  } else if constexpr (kHalf == 0) {
    const V d23 = Sub16(d[2], d[3]);
    const V third = Add16(Twice16(d[1]), d23);
    o[0] = Add16(Twice16(Sub16(d[0], d[2])), Sub16(d[3], d[1]));
    o[1] = Add16(third, Twice16(third));
    o[2] = Add16(Twice16(Sub16(d[2], d[1])), d23);
  } else {
    const V twice = Twice16(Sub16(d[3], d[1]));
    o[3] = twice;
    o[4] = Sub16(Sub16(d[4], d[2]), twice);
  }
}

template <int kRows, int kCols, int kHalf>
TERN_INLINE void TransformHalf(const std::uint8_t* const* pixels, int c,
                               std::int16_t* out, std::ptrdiff_t plane) {
  constexpr int kHigh = kRows + 2;
  constexpr int kWide = kCols + 2;
  constexpr int kFirst = kHalf == 0 ? 0 : 3;
  constexpr int kEnd = kHalf == 0 ? 3 : kHigh;
  V half[6][6];
#pragma GCC unroll 6
  for (int j = 0; j < kWide; ++j) {
    V d[6];
    V o[6];
#pragma GCC unroll 6
    for (int i = 0; i < kHigh; ++i)
      d[i] = _mm512_cvtepu8_epi16(_mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(pixels[6 * i + j] + c)));
    Input<kRows, kHalf>(d, o);
#pragma GCC unroll 3
    for (int i = kFirst; i < kEnd; ++i) half[i][j] = o[i];
  }
#pragma GCC unroll 3
  for (int i = kFirst; i < kEnd; ++i) {
    V o[6];
    Input<kCols, 0>(half[i], o);
    Input<kCols, 1>(half[i], o);
#pragma GCC unroll 6
    for (int j = 0; j < kWide; ++j) {
      const int e = 6 * Position<kRows>(i) + Position<kCols>(j);
      _mm512_store_si512(out + e * plane + c, o[j]);
    }
  }
}

template <int kRows, int kCols>
void TransformInput(const std::uint8_t* const* pixels, int channels,
                    std::int16_t* out, std::ptrdiff_t plane) {
  for (int c = 0; c < channels; c += 32) {
    TransformHalf<kRows, kCols, 0>(pixels, c, out, plane);
    TransformHalf<kRows, kCols, 1>(pixels, c, out, plane);
  }
}

void TransformInputOf(const ConvCall& call, const Tile& tile,
                      const std::uint8_t* border, std::int16_t* out,
                      std::ptrdiff_t plane) {
  const std::uint8_t* pixels[kPositions];
  FindPixels(call, tile, border, pixels);
  const int channels = call.geometry->in_c;
  if (tile.rows == 4) {
    if (tile.cols == 4)
      TransformInput<4, 4>(pixels, channels, out, plane);
    else
      TransformInput<4, 3>(pixels, channels, out, plane);
  } else {
    if (tile.cols == 4)
      TransformInput<3, 4>(pixels, channels, out, plane);
    else
      TransformInput<3, 3>(pixels, channels, out, plane);
  }
}

// ---- Weight transform ------------------------------------------------------

// Tables over a nibble (g0, g2) of codes, and over a code g1.
TERN_INLINE V Table(int a, int b) {
  alignas(16) std::int8_t values[16];
  for (int n = 0; n < 16; ++n) {
    const int g0 = n % 4 == 2 ? -1 : n % 4;
    const int g2 = n / 4 == 2 ? -1 : n / 4;
    values[n] = static_cast<std::int8_t>(a * g0 + b * g2);
  }
  return _mm512_broadcast_i32x4(
      _mm_load_si128(reinterpret_cast<const __m128i*>(values)));
}

// Three taps (columns) to six positions.
TERN_INLINE void Weights(V g0, V g1, V g2, V o[6]) {
  const V outer = Add8(g0, g2);
  const V g2x2 = Add8(g2, g2);
  const V g2x4 = Add8(g2x2, g2x2);
  const V g0x2 = Add8(g0, g0);
  const V g0x3 = Add8(g0, g0x2);
  const V even = Add8(g0, g2x4);
  const V odd = Add8(g1, g1);
  o[0] = Add8(g0x3, g0x3);
  o[1] = Add8(outer, g1);
  o[2] = Sub8(outer, g1);
  o[3] = Add8(even, odd);
  o[4] = Sub8(even, odd);
  o[5] = Add8(g2x4, g2x2);
}

// Packed weights of a whole network lie in the outer cache.
constexpr int kAhead = 4;

[[gnu::noinline]] void TransformWeights(const std::uint8_t* packed, int groups,
                                        std::int8_t* out,
                                        std::ptrdiff_t plane) {
  const V sum = Table(1, 1);
  const V even = Table(1, 4);
  const V first = Table(6, 0);
  const V last = Table(0, 6);
  const V middle = Table(1, 0);
  const V twice = Table(2, 0);
  const V low4 = _mm512_set1_epi8(15);
  const V low2 = _mm512_set1_epi8(3);
  for (int group = 0; group < groups; ++group) {
#pragma GCC unroll 9
    for (int line = 0; line < 9; ++line)
      _mm_prefetch(packed + kAhead * kGroupBytes + 64 * line, _MM_HINT_T0);
#pragma GCC unroll 4
    for (int unit = 0; unit < 4; ++unit) {
      V t[3][6];
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) {
        V outer = _mm512_load_si512(packed + 64 * (2 * j + unit / 2));
        if (unit % 2 == 1) outer = _mm512_srli_epi16(outer, 4);
        outer = _mm512_and_si512(outer, low4);
        V inner = _mm512_load_si512(packed + 64 * (6 + j));
        if (unit != 0) inner = _mm512_srli_epi16(inner, 2 * unit);
        inner = _mm512_and_si512(inner, low2);
        const V s = _mm512_shuffle_epi8(sum, outer);
        const V q = _mm512_shuffle_epi8(even, outer);
        const V g1 = _mm512_shuffle_epi8(middle, inner);
        const V d = _mm512_shuffle_epi8(twice, inner);
        t[j][0] = _mm512_shuffle_epi8(first, outer);
        t[j][1] = Add8(s, g1);
        t[j][2] = Sub8(s, g1);
        t[j][3] = Add8(q, d);
        t[j][4] = Sub8(q, d);
        t[j][5] = _mm512_shuffle_epi8(last, outer);
      }
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) {
        V o[6];
        Weights(t[0][i], t[1][i], t[2][i], o);
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j)
          _mm512_store_si512(out + (6 * i + j) * plane + 64 * unit, o[j]);
      }
    }
    packed += kGroupBytes;
    out += 4 * 64;
  }
}

// ---- Products --------------------------------------------------------------

// kRows tiles x 64 filters, summed over `pairs` pairs of channels.
template <int kRows, bool kAccumulate>
[[gnu::noinline]] void Multiply(const std::int16_t* v, std::ptrdiff_t row,
                                int pairs, const std::int8_t* u,
                                std::int32_t* sums) {
  V acc[kRows][4];
#pragma GCC unroll 6
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
    for (int z = 0; z < 4; ++z)
      acc[m][z] = kAccumulate
                      ? _mm512_load_si512(sums + m * kFilterBlock + z * 16)
                      : _mm512_setzero_si512();
  }
  for (int pair = 0; pair < pairs; ++pair) {
    const V a = _mm512_load_si512(u);
    const V b = _mm512_load_si512(u + 64);
    const V w[4] = {
        _mm512_srai_epi16(_mm512_slli_epi16(a, 8), 8), _mm512_srai_epi16(a, 8),
        _mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8), _mm512_srai_epi16(b, 8)};
    u += 128;
#pragma GCC unroll 6
    for (int m = 0; m < kRows; ++m) {
      std::int32_t two;
      std::memcpy(&two, v + m * row, sizeof(two));
      const V x = _mm512_set1_epi32(two);
#pragma GCC unroll 4
      for (int z = 0; z < 4; ++z)
        acc[m][z] = _mm512_dpwssd_epi32(acc[m][z], x, w[z]);
    }
    v += 2;
  }
#pragma GCC unroll 6
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
    for (int z = 0; z < 4; ++z)
      _mm512_store_si512(sums + m * kFilterBlock + z * 16, acc[m][z]);
  }
}

using MultiplyFn = void (*)(const std::int16_t*, std::ptrdiff_t, int,
                            const std::int8_t*, std::int32_t*);
constexpr MultiplyFn kMultiply[2][kMaxRows + 1] = {
    {nullptr, Multiply<1, false>, Multiply<2, false>, Multiply<3, false>,
     Multiply<4, false>, Multiply<5, false>, Multiply<6, false>},
    {nullptr, Multiply<1, true>, Multiply<2, true>, Multiply<3, true>,
     Multiply<4, true>, Multiply<5, true>, Multiply<6, true>}};

// All 36 products of one filter block over one chunk of channels.
void MultiplyAll(const PositionRanges& ranges, const ScratchLayout& layout,
                 const std::int16_t* inputs, const std::int8_t* weights,
                 int pairs, bool accumulate, std::int32_t* sums) {
  for (int e = 0; e < kPositions; ++e) {
    const bool rows_of_4 = e / 6 == 4;
    const bool cols_of_4 = e % 6 == 4;
    const TileRange range =
        rows_of_4 ? (cols_of_4 ? ranges.both_of_4 : ranges.rows_of_4)
                  : (cols_of_4 ? ranges.cols_of_4 : ranges.all);
    const int count = range.end - range.begin;
    if (count == 0) continue;
    // Steps of equal size: a short last one would waste the multipliers.
    const int steps = (count + kMaxRows - 1) / kMaxRows;
    const std::int16_t* v =
        inputs + e * layout.input_plane + range.begin * layout.input_row;
    const std::int8_t* u = weights + e * layout.weight_plane;
    std::int32_t* m = sums + e * layout.sum_plane +
                      std::ptrdiff_t{range.begin} * kFilterBlock;
    for (int step = 0; step < steps; ++step) {
      const int rows = count / steps + (step < count % steps ? 1 : 0);
      kMultiply[accumulate ? 1 : 0][rows](v, layout.input_row, pairs, u, m);
      v += rows * layout.input_row;
      m += std::ptrdiff_t{rows} * kFilterBlock;
    }
  }
}

// ---- Output transform ------------------------------------------------------

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

// ---- Epilogue --------------------------------------------------------------

enum class Store : std::uint8_t { kU8AnyClamp, kU8FullRange, kS16, kF32 };
enum class Residual : std::uint8_t { kNone, kU8, kS16 };

struct EpilogueCall {
  const ConvCall* call;
  const float* scales;  // of the filter block: multipliers, then biases
  int first_filter;
  int valid;  // filters of the block that exist
};

// Lane l of vector z holds filters 16 (l / 4) + 4 z + l % 4: packing four
// vectors to bytes leaves the filters in order.
TERN_INLINE V Chunks(V a, V b, int c0, int c1, int c2, int c3) {
  const V index = _mm512_setr_epi64(2 * c0, 2 * c0 + 1, 2 * c1, 2 * c1 + 1,
                                    2 * c2, 2 * c2 + 1, 2 * c3, 2 * c3 + 1);
  return _mm512_permutex2var_epi64(a, index, b);
}

TERN_INLINE __mmask64 Mask64(int valid) {
  return valid >= 64 ? ~__mmask64{0} : (__mmask64{1} << valid) - 1;
}
TERN_INLINE __mmask32 Mask32(int valid) {
  return valid >= 32  ? ~__mmask32{0}
         : valid <= 0 ? 0
                      : (__mmask32{1} << valid) - 1;
}

TERN_INLINE void LoadResidualU8(const std::uint8_t* from, int valid,
                                __m512 r[4]) {
  const V bytes = valid == kFilterBlock
                      ? _mm512_loadu_si512(from)
                      : _mm512_maskz_loadu_epi8(Mask64(valid), from);
  const V spread = _mm512_broadcast_i32x4(
      _mm_setr_epi32(0x80808000, 0x80808001, 0x80808002, 0x80808003));
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z)
    r[z] = _mm512_cvtepi32_ps(
        _mm512_shuffle_epi8(bytes, Add8(spread, _mm512_set1_epi32(4 * z))));
}

TERN_INLINE void LoadResidualS16(const std::int16_t* from, int valid,
                                 __m512 r[4]) {
  V low;
  V high;
  if (valid == kFilterBlock) {
    low = _mm512_loadu_si512(from);
    high = _mm512_loadu_si512(from + 32);
  } else {
    low = _mm512_maskz_loadu_epi16(Mask32(valid), from);
    high = _mm512_maskz_loadu_epi16(Mask32(valid - 32), from + 32);
  }
  const V a = Chunks(low, high, 0, 2, 4, 6);
  const V b = Chunks(low, high, 1, 3, 5, 7);
  const V wide[4] = {_mm512_unpacklo_epi16(a, a), _mm512_unpackhi_epi16(a, a),
                     _mm512_unpacklo_epi16(b, b), _mm512_unpackhi_epi16(b, b)};
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z)
    r[z] = _mm512_cvtepi32_ps(_mm512_srai_epi32(wide[z], 16));
}

TERN_INLINE void StoreF32(const __m512 f[4], int valid, float* to) {
  alignas(64) float ordered[kFilterBlock];
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z) {
    alignas(64) float lanes[16];
    _mm512_store_ps(lanes, f[z]);
    for (int lane = 0; lane < 16; ++lane)
      ordered[16 * (lane / 4) + 4 * z + lane % 4] = lanes[lane];
  }
  std::memcpy(to, ordered, sizeof(float) * valid);
}

TERN_INLINE void StoreS16(const V i[4], int valid, std::int16_t* to) {
  const V a = _mm512_packs_epi32(i[0], i[1]);
  const V b = _mm512_packs_epi32(i[2], i[3]);
  const V low = Chunks(a, b, 0, 4, 1, 5);
  const V high = Chunks(a, b, 2, 6, 3, 7);
  if (valid == kFilterBlock) {
    _mm512_storeu_si512(to, low);
    _mm512_storeu_si512(to + 32, high);
  } else {
    _mm512_mask_storeu_epi16(to, Mask32(valid), low);
    _mm512_mask_storeu_epi16(to + 32, Mask32(valid - 32), high);
  }
}

TERN_INLINE void StoreU8(const V i[4], int valid, std::uint8_t* to) {
  const V bytes = _mm512_packus_epi16(_mm512_packs_epi32(i[0], i[1]),
                                      _mm512_packs_epi32(i[2], i[3]));
  if (valid == kFilterBlock)
    _mm512_storeu_si512(to, bytes);
  else
    _mm512_mask_storeu_epi8(to, Mask64(valid), bytes);
}

template <Store kStore>
TERN_INLINE void StorePixel(const ConvCall& call, const __m512 f[4],
                            std::ptrdiff_t at, int valid) {
  if constexpr (kStore == Store::kF32) {
    StoreF32(f, valid, static_cast<float*>(call.output) + at);
  } else {
    V i[4];
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
    if constexpr (kStore == Store::kS16)
      StoreS16(i, valid, static_cast<std::int16_t*>(call.output) + at);
    else
      StoreU8(i, valid, static_cast<std::uint8_t*>(call.output) + at);
  }
}

template <Residual kResidual>
TERN_INLINE void ScalePixel(const ConvCall& call, const V acc[4],
                            const __m512 scale[4], const __m512 bias[4],
                            std::ptrdiff_t at, int valid, __m512 f[4]) {
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z)
    f[z] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[z]), scale[z], bias[z]);
  if constexpr (kResidual != Residual::kNone) {
    __m512 r[4];
    if constexpr (kResidual == Residual::kU8)
      LoadResidualU8(
          static_cast<const std::uint8_t*>(call.epilogue.residual) + at, valid,
          r);
    else
      LoadResidualS16(
          static_cast<const std::int16_t*>(call.epilogue.residual) + at, valid,
          r);
    const __m512 by = _mm512_set1_ps(call.epilogue.residual_scale);
#pragma GCC unroll 4
    for (int z = 0; z < 4; ++z) f[z] = _mm512_fmadd_ps(r[z], by, f[z]);
  }
}

// Values of the 2x2 window at `acc`. Multipliers are not negative, so without
// a residual the largest accumulator gives the largest value.
template <Residual kResidual>
TERN_INLINE void PoolWindow(const ConvCall& call, const std::int32_t* acc,
                            const __m512 scale[4], const __m512 bias[4],
                            std::ptrdiff_t at, std::ptrdiff_t row_stride,
                            int valid, __m512 f[4]) {
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
void FinishTile(const EpilogueCall& e, const Tile& tile,
                const std::int32_t* acc) {
  const ConvCall& call = *e.call;
  const ConvGeometry& g = *call.geometry;
  __m512 scale[4];
  __m512 bias[4];
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z) {
    scale[z] = _mm512_load_ps(e.scales + 16 * z);
    bias[z] = _mm512_load_ps(e.scales + kFilterBlock + 16 * z);
  }
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

using FinishFn = void (*)(const EpilogueCall&, const Tile&,
                          const std::int32_t*);

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

FinishFn PickFinish(const ConvCall& call) {
  const Epilogue& e = call.epilogue;
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
  return ClampsAfterRounding(call)
             ? PickFinish<Store::kU8FullRange>(residual, e.max_pool_2x2)
             : PickFinish<Store::kU8AnyClamp>(residual, e.max_pool_2x2);
}

void FinishBlock(const EpilogueCall& e, FinishFn finish, const Tile* tiles,
                 int count, const std::int32_t* sums, std::ptrdiff_t plane,
                 std::int32_t* acc) {
  for (int t = 0; t < count; ++t, sums += kFilterBlock) {
    if (tiles[t].rows == 4) {
      if (tiles[t].cols == 4)
        TransformOutput<4, 4>(sums, plane, acc);
      else
        TransformOutput<4, 3>(sums, plane, acc);
    } else {
      if (tiles[t].cols == 4)
        TransformOutput<3, 4>(sums, plane, acc);
      else
        TransformOutput<3, 3>(sums, plane, acc);
    }
    finish(e, tiles[t], acc);
  }
}

}  // namespace

void RunAvx512Vnni(const ConvCall& call, const Blocking& blocking, int task,
                   std::byte* scratch) {
  const ConvGeometry& g = *call.geometry;
  const ScratchLayout layout = PlanScratch(g, blocking);
  Tile* tiles = reinterpret_cast<Tile*>(scratch + layout.tiles);
  auto* border = reinterpret_cast<std::uint8_t*>(scratch + layout.border);
  auto* scales = reinterpret_cast<float*>(scratch + layout.scales);
  auto* inputs = reinterpret_cast<std::int16_t*>(scratch + layout.inputs);
  auto* weights = reinterpret_cast<std::int8_t*>(scratch + layout.weights);
  auto* sums = reinterpret_cast<std::int32_t*>(scratch + layout.sums);
  auto* acc = reinterpret_cast<std::int32_t*>(scratch + layout.outputs);

  const int all_blocks = (g.filters + kFilterBlock - 1) / kFilterBlock;
  const int filter_task = task % blocking.filter_tasks;
  const int first_block = all_blocks * filter_task / blocking.filter_tasks;
  const int end_block = all_blocks * (filter_task + 1) / blocking.filter_tasks;
  const int tile_task = task / blocking.filter_tasks;
  const std::int64_t all_tiles = blocking.tiles;
  const int first_tile =
      static_cast<int>(all_tiles * tile_task / blocking.tile_tasks);
  const int end_tile =
      static_cast<int>(all_tiles * (tile_task + 1) / blocking.tile_tasks);
  const int groups = (g.in_c + kChannelGroup - 1) / kChannelGroup;
  const int chunk_groups = blocking.channel_chunk / kChannelGroup;
  const std::ptrdiff_t packed_block = std::ptrdiff_t{groups} * kGroupBytes;

  if (call.pad_value == nullptr)
    std::memset(border, 0, g.in_c);
  else
    std::memcpy(border, call.pad_value, g.in_c);
  OrderScales(g, call.epilogue, first_block, end_block, scales);
  const FinishFn finish = PickFinish(call);
  if (blocking.resident) {
    for (int k = first_block; k < end_block; ++k)
      TransformWeights(call.packed + k * packed_block, groups,
                       weights + (k - first_block) * layout.weight_block_bytes,
                       layout.weight_plane);
  }
  for (int t = first_tile; t < end_tile; t += blocking.tile_block) {
    const int count =
        end_tile - t < blocking.tile_block ? end_tile - t : blocking.tile_block;
    ListTiles(blocking, call.batch, t, t + count, tiles);
    const PositionRanges ranges = FindRanges(tiles, count);
    for (int i = 0; i < count; ++i)
      TransformInputOf(call, tiles[i], border, inputs + i * layout.input_row,
                       layout.input_plane);
    for (int k = first_block; k < end_block; ++k) {
      std::int8_t* block_weights =
          weights +
          (blocking.resident ? k - first_block : 0) * layout.weight_block_bytes;
      for (int first = 0; first < groups; first += chunk_groups) {
        const int now =
            groups - first < chunk_groups ? groups - first : chunk_groups;
        if (!blocking.resident)
          TransformWeights(call.packed + k * packed_block + first * kGroupBytes,
                           now, block_weights, layout.weight_plane);
        MultiplyAll(ranges, layout, inputs + first * kChannelGroup,
                    block_weights, 2 * now, first != 0, sums);
      }
      const int filter = k * kFilterBlock;
      const EpilogueCall epilogue{
          &call, scales + (k - first_block) * 2 * kFilterBlock, filter,
          g.filters - filter < kFilterBlock ? g.filters - filter
                                            : kFilterBlock};
      FinishBlock(epilogue, finish, tiles, count, sums, layout.sum_plane, acc);
    }
  }
}

}  // namespace tern::winograd
