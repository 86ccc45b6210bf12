// Winograd's weight transform and matrix products on AVX2. A leaf: includes no
// header with inline code.
//
// A position's product runs on vpmaddwd with 6 tiles x 16 filters in 12
// accumulators. Transformed weights lie as [16 filters][pair of channels]
// [8 filters][8 filters][2 channels], four such blocks for 64 filters.

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

constexpr int kMaxRows = 6;
constexpr int kPairBytes = 32;  // of 16 filters

TERN_INLINE V Add8(V a, V b) { return _mm256_add_epi8(a, b); }
TERN_INLINE V Sub8(V a, V b) { return _mm256_sub_epi8(a, b); }
TERN_INLINE V Load(const void* from) {
  return _mm256_load_si256(static_cast<const V*>(from));
}
TERN_INLINE void Store(void* to, V v) {
  _mm256_store_si256(static_cast<V*>(to), v);
}

// Tables over a nibble (g0, g2) of codes, and over a code g1.
TERN_INLINE V Table(int a, int b) {
  alignas(16) std::int8_t values[16];
  for (int n = 0; n < 16; ++n) {
    const int g0 = n % 4 == 2 ? -1 : n % 4;
    const int g2 = n / 4 == 2 ? -1 : n / 4;
    values[n] = static_cast<std::int8_t>(a * g0 + b * g2);
  }
  return _mm256_broadcastsi128_si256(
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

// From bytes of filters a b a b (two channels) to all of a, then all of b.
TERN_INLINE V Separate(V bytes) {
  const V in_lane = _mm256_shuffle_epi8(
      bytes,
      _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15, 0,
                       2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
  return _mm256_permute4x64_epi64(in_lane, 0xD8);
}

// Unit kUnit of a group whose nine half vectors lie at `group`.
template <int kUnit>
TERN_INLINE void TransformUnit(const V group[9], std::int8_t* out,
                               std::ptrdiff_t plane) {
  const V low4 = _mm256_set1_epi8(15);
  const V low2 = _mm256_set1_epi8(3);
  V t[3][6];
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    V outer = group[2 * j + kUnit / 2];
    if (kUnit % 2 == 1) outer = _mm256_srli_epi16(outer, 4);
    outer = _mm256_and_si256(outer, low4);
    V inner = group[6 + j];
    if (kUnit != 0) inner = _mm256_srli_epi16(inner, 2 * kUnit);
    inner = _mm256_and_si256(inner, low2);
    const V s = _mm256_shuffle_epi8(Table(1, 1), outer);
    const V q = _mm256_shuffle_epi8(Table(1, 4), outer);
    const V g1 = _mm256_shuffle_epi8(Table(1, 0), inner);
    const V d = _mm256_shuffle_epi8(Table(2, 0), inner);
    t[j][0] = _mm256_shuffle_epi8(Table(6, 0), outer);
    t[j][1] = Add8(s, g1);
    t[j][2] = Sub8(s, g1);
    t[j][3] = Add8(q, d);
    t[j][4] = Sub8(q, d);
    t[j][5] = _mm256_shuffle_epi8(Table(0, 6), outer);
  }
#pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) {
    V o[6];
    Weights(t[0][i], t[1][i], t[2][i], o);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) Store(out + (6 * i + j) * plane, o[j]);
  }
}

// kRows tiles x 16 filters: lanes 0..7 of two vectors of 16.
template <int kRows, bool kAccumulate>
[[gnu::noinline]] void Multiply(const std::int16_t* v, std::ptrdiff_t row,
                                int pairs, const std::int8_t* u,
                                std::int32_t* sums) {
  V acc[kRows][2];
#pragma GCC unroll 6
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
    for (int z = 0; z < 2; ++z)
      acc[m][z] = kAccumulate ? Load(sums + m * kFilterBlock + z * 16)
                              : _mm256_setzero_si256();
  }
  for (int pair = 0; pair < pairs; ++pair) {
    const V w0 = _mm256_cvtepi8_epi16(
        _mm_load_si128(reinterpret_cast<const __m128i*>(u)));
    const V w1 = _mm256_cvtepi8_epi16(
        _mm_load_si128(reinterpret_cast<const __m128i*>(u + 16)));
    u += kPairBytes;
#pragma GCC unroll 6
    for (int m = 0; m < kRows; ++m) {
      std::int32_t two;
      std::memcpy(&two, v + m * row, sizeof(two));
      const V x = _mm256_set1_epi32(two);
      acc[m][0] = _mm256_add_epi32(acc[m][0], _mm256_madd_epi16(x, w0));
      acc[m][1] = _mm256_add_epi32(acc[m][1], _mm256_madd_epi16(x, w1));
    }
    v += 2;
  }
#pragma GCC unroll 6
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
    for (int z = 0; z < 2; ++z)
      Store(sums + m * kFilterBlock + z * 16, acc[m][z]);
  }
}

using MultiplyFn = void (*)(const std::int16_t*, std::ptrdiff_t, int,
                            const std::int8_t*, std::int32_t*);
constexpr MultiplyFn kMultiply[2][kMaxRows + 1] = {
    {nullptr, Multiply<1, false>, Multiply<2, false>, Multiply<3, false>,
     Multiply<4, false>, Multiply<5, false>, Multiply<6, false>},
    {nullptr, Multiply<1, true>, Multiply<2, true>, Multiply<3, true>,
     Multiply<4, true>, Multiply<5, true>, Multiply<6, true>}};

}  // namespace

void TransformWeightsAvx2(const std::uint8_t* packed, int groups,
                          std::int8_t* out, std::ptrdiff_t plane) {
  const std::ptrdiff_t block = std::ptrdiff_t{2} * groups * kPairBytes;
  for (int group = 0; group < groups; ++group) {
    for (int lanes = 0; lanes < 2; ++lanes) {
      V half[9];
#pragma GCC unroll 9
      for (int i = 0; i < 9; ++i)
        half[i] = Separate(Load(packed + 64 * i + 32 * lanes));
      // Units 0 and 2 belong to the first 32 filters, 1 and 3 to the others.
      std::int8_t* even = out + lanes * block;
      std::int8_t* odd = even + 2 * block;
      TransformUnit<0>(half, even, plane);
      TransformUnit<1>(half, odd, plane);
      TransformUnit<2>(half, even + kPairBytes, plane);
      TransformUnit<3>(half, odd + kPairBytes, plane);
    }
    packed += kGroupBytes;
    out += std::ptrdiff_t{2} * kPairBytes;
  }
}

void MultiplyAvx2(const std::int16_t* inputs, std::ptrdiff_t row, int tiles,
                  int pairs, const std::int8_t* weights, std::int16_t*,
                  bool accumulate, std::int32_t* sums) {
  // Steps of equal size: a short last one would waste the multipliers.
  const int steps = (tiles + kMaxRows - 1) / kMaxRows;
  for (int step = 0; step < steps; ++step) {
    const int rows = tiles / steps + (step < tiles % steps ? 1 : 0);
    for (int block = 0; block < 4; ++block) {
      kMultiply[accumulate ? 1 : 0][rows](
          inputs, row, pairs,
          weights + std::ptrdiff_t{block} * pairs * kPairBytes,
          sums + 32 * (block / 2) + 8 * (block % 2));
    }
    inputs += rows * row;
    sums += std::ptrdiff_t{rows} * kFilterBlock;
  }
}

}  // namespace tern::winograd
