// Winograd's weight transform and matrix products on AVX-512 VNNI. A leaf:
// includes no header with inline code.
//
// A position's product runs on vpdpwssd with 6 tiles x 64 filters in 24
// accumulators; weights are int8, two filters' bytes interleaved so that two
// shifts widen one and one shift the other. Every loop over a tile is unrolled
// in full: g++ would otherwise keep the accumulators on the stack.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/kernels/winograd_pieces.h"

namespace tern::winograd {
namespace {

// g++ at -O2 would call these, with whole tiles on the stack.
#define TERN_INLINE [[gnu::always_inline]] inline

using V = __m512i;

constexpr int kMaxRows = 6;

TERN_INLINE V Add8(V a, V b) { return _mm512_add_epi8(a, b); }
TERN_INLINE V Sub8(V a, V b) { return _mm512_sub_epi8(a, b); }

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

}  // namespace

void TransformWeightsAvx512Vnni(const std::uint8_t* packed, int groups,
                                std::int8_t* out, std::ptrdiff_t plane) {
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

namespace {

// What a step of tiles does for the weights: widens them in registers, also
// stores them as int16 for the steps that follow, or loads what one stored.
enum class Widen : std::uint8_t { kHere, kAndKeep, kKept };

// kRows tiles x 64 filters, summed over `pairs` pairs of channels.
template <int kRows, bool kAccumulate, Widen kWiden>
[[gnu::noinline]] void Multiply(const std::int16_t* v, std::ptrdiff_t row,
                                int pairs, const std::int8_t* u,
                                std::int16_t* wide, std::int32_t* sums) {
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
    V w[4];
    if constexpr (kWiden == Widen::kKept) {
#pragma GCC unroll 4
      for (int z = 0; z < 4; ++z) w[z] = _mm512_load_si512(wide + 32 * z);
    } else {
      const V a = _mm512_load_si512(u);
      const V b = _mm512_load_si512(u + 64);
      w[0] = _mm512_srai_epi16(_mm512_slli_epi16(a, 8), 8);
      w[1] = _mm512_srai_epi16(a, 8);
      w[2] = _mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8);
      w[3] = _mm512_srai_epi16(b, 8);
      u += 128;
    }
    if constexpr (kWiden == Widen::kAndKeep) {
#pragma GCC unroll 4
      for (int z = 0; z < 4; ++z) _mm512_store_si512(wide + 32 * z, w[z]);
    }
    if constexpr (kWiden != Widen::kHere) wide += 128;
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
                            const std::int8_t*, std::int16_t*, std::int32_t*);

template <bool kAccumulate, Widen kWiden>
constexpr MultiplyFn kMultiply[kMaxRows + 1] = {
    nullptr,
    Multiply<1, kAccumulate, kWiden>,
    Multiply<2, kAccumulate, kWiden>,
    Multiply<3, kAccumulate, kWiden>,
    Multiply<4, kAccumulate, kWiden>,
    Multiply<5, kAccumulate, kWiden>,
    Multiply<6, kAccumulate, kWiden>};

template <Widen kWiden>
MultiplyFn Choose(int rows, bool accumulate) {
  return accumulate ? kMultiply<true, kWiden>[rows]
                    : kMultiply<false, kWiden>[rows];
}

// Steps of equal size: a short last one would waste the multipliers.
int Steps(int tiles) { return (tiles + kMaxRows - 1) / kMaxRows; }

int RowsOf(int step, int tiles) {
  const int steps = Steps(tiles);
  return tiles / steps + (step < tiles % steps ? 1 : 0);
}

}  // namespace

void MultiplyAvx512Vnni(const std::int16_t* inputs, std::ptrdiff_t row,
                        int tiles, int pairs, const std::int8_t* weights,
                        std::int16_t*, bool accumulate, std::int32_t* sums) {
  const int steps = Steps(tiles);
  for (int step = 0; step < steps; ++step) {
    const int rows = RowsOf(step, tiles);
    Choose<Widen::kHere>(rows, accumulate)(inputs, row, pairs, weights, nullptr,
                                           sums);
    inputs += rows * row;
    sums += std::ptrdiff_t{rows} * kFilterBlock;
  }
}

void MultiplyAvx512VnniWide(const std::int16_t* inputs, std::ptrdiff_t row,
                            int tiles, int pairs, const std::int8_t* weights,
                            std::int16_t* wide, bool accumulate,
                            std::int32_t* sums) {
  const int steps = Steps(tiles);
  for (int step = 0; step < steps; ++step) {
    const int rows = RowsOf(step, tiles);
    const MultiplyFn multiply =
        steps == 1  ? Choose<Widen::kHere>(rows, accumulate)
        : step == 0 ? Choose<Widen::kAndKeep>(rows, accumulate)
                    : Choose<Widen::kKept>(rows, accumulate);
    multiply(inputs, row, pairs, weights, wide, sums);
    inputs += rows * row;
    sums += std::ptrdiff_t{rows} * kFilterBlock;
  }
}

}  // namespace tern::winograd
