// Winograd's weight transform and matrix products on AVX-512 VNNI. A leaf:
// includes no header with inline code.
//
// A position's product runs on vpdpwssd with 6 tiles x 64 filters in 24
// accumulators. Its weights are int8, [step of 4 channels][16 filters][filter]
// [channels 0, 2, 1, 3]: one shift widens a filter's second pair of channels,
// two the first. Every loop over a tile is unrolled in full: g++ would
// otherwise keep the accumulators on the stack.

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

// A vector of codes of all nine taps, ready for its four steps: the codes of
// taps (0, j) and (2, j) as nibbles, those of steps 0 and 2 in one vector, of 1
// and 3 in the other; the codes of taps (1, j) as they are.
struct Codes {
  V outer[3][2];
  V inner[3];
};

TERN_INLINE V LoadCodes(const std::uint8_t* codes, __mmask16 exists) {
  const V order = _mm512_broadcast_i32x4(
      _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15));
  return _mm512_shuffle_epi8(_mm512_maskz_load_epi32(exists, codes), order);
}

// a where the mask's bits are set, else b.
TERN_INLINE V Select(V mask, V a, V b) {
  return _mm512_ternarylogic_epi32(mask, a, b, 0xCA);
}

TERN_INLINE void LoadTaps(const std::uint8_t* codes, std::ptrdiff_t tap_bytes,
                          __mmask16 exists, Codes* out) {
  const V low2 = _mm512_set1_epi8(0x33);
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    const V first = LoadCodes(codes + j * tap_bytes, exists);
    const V last = LoadCodes(codes + (6 + j) * tap_bytes, exists);
    out->outer[j][0] = Select(low2, first, _mm512_slli_epi16(last, 2));
    out->outer[j][1] = Select(low2, _mm512_srli_epi16(first, 2), last);
    out->inner[j] = LoadCodes(codes + (3 + j) * tap_bytes, exists);
  }
}

// Step kStep of the four, 16 filters.
template <int kStep>
TERN_INLINE void TransformStep(const Codes& codes, std::int8_t* out,
                               std::ptrdiff_t plane) {
  const V low4 = _mm512_set1_epi8(15);
  const V low2 = _mm512_set1_epi8(3);
  V t[3][6];
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    V outer = codes.outer[j][kStep % 2];
    if (kStep >= 2) outer = _mm512_srli_epi16(outer, 4);
    outer = _mm512_and_si512(outer, low4);
    V inner = codes.inner[j];
    if (kStep > 0) inner = _mm512_srli_epi16(inner, 2 * kStep);
    inner = _mm512_and_si512(inner, low2);
    const V s = _mm512_shuffle_epi8(Table(1, 1), outer);
    const V q = _mm512_shuffle_epi8(Table(1, 4), outer);
    const V g1 = _mm512_shuffle_epi8(Table(1, 0), inner);
    const V d = _mm512_shuffle_epi8(Table(2, 0), inner);
    t[j][0] = _mm512_shuffle_epi8(Table(6, 0), outer);
    t[j][1] = Add8(s, g1);
    t[j][2] = Sub8(s, g1);
    t[j][3] = Add8(q, d);
    t[j][4] = Sub8(q, d);
    t[j][5] = _mm512_shuffle_epi8(Table(0, 6), outer);
  }
#pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) {
    V o[6];
    Weights(t[0][i], t[1][i], t[2][i], o);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j)
      _mm512_store_si512(out + (6 * i + j) * plane, o[j]);
  }
}

constexpr std::ptrdiff_t kStepBytes = 4 * kFilterBlock;
// Packed weights of a whole network lie in the outer cache.
constexpr int kGroupsAhead = 1;

}  // namespace

void TransformWeightsAvx512Vnni(const PackedChannels& packed, std::int8_t* out,
                                std::ptrdiff_t plane) {
  const std::ptrdiff_t tap_bytes = packed.tap_bytes;
  const std::ptrdiff_t group_bytes =
      std::ptrdiff_t{kPackedVectorBytes} * packed.vectors;
  const std::uint8_t* group = packed.codes;
  for (int i = 0; i < packed.groups; ++i, group += group_bytes) {
    for (int z = 0; z < 4; ++z) {
      const bool exists = z < packed.vectors;
      const std::uint8_t* codes =
          exists ? group + kPackedVectorBytes * z : group;
#pragma GCC unroll 9
      for (int tap = 0; tap < 9; ++tap)
        _mm_prefetch(codes + tap * tap_bytes + kGroupsAhead * group_bytes,
                     _MM_HINT_T0);
      Codes taps;
      LoadTaps(codes, tap_bytes, exists ? 0xFFFF : 0, &taps);
      std::int8_t* to = out + 4 * kStepBytes * i + 64 * z;
      TransformStep<0>(taps, to, plane);
      TransformStep<1>(taps, to + kStepBytes, plane);
      TransformStep<2>(taps, to + 2 * kStepBytes, plane);
      TransformStep<3>(taps, to + 3 * kStepBytes, plane);
    }
  }
}

namespace {

// What a pass of tiles does for the weights: widens them in registers, also
// stores them as int16 for the passes that follow, or loads what one stored.
enum class Widen : std::uint8_t { kHere, kAndKeep, kKept };

// What a pair of a step's channels adds to kRows tiles x 64 filters.
template <int kRows, int kPair, Widen kWiden>
TERN_INLINE void AddPair(V (&acc)[kRows][4], const std::int16_t* v,
                         std::ptrdiff_t row, const std::int8_t* u,
                         std::int16_t* wide) {
  V w[4];
#pragma GCC unroll 4
  for (int z = 0; z < 4; ++z) {
    if constexpr (kWiden == Widen::kKept) {
      w[z] = _mm512_load_si512(wide + 32 * z);
    } else {
      w[z] = _mm512_load_si512(u + 64 * z);
      if constexpr (kPair == 0) w[z] = _mm512_slli_epi16(w[z], 8);
      w[z] = _mm512_srai_epi16(w[z], 8);
    }
    if constexpr (kWiden == Widen::kAndKeep)
      _mm512_store_si512(wide + 32 * z, w[z]);
  }
#pragma GCC unroll 6
  for (int m = 0; m < kRows; ++m) {
    std::int32_t two;
    std::memcpy(&two, v + m * row, sizeof(two));
    const V x = _mm512_set1_epi32(two);
#pragma GCC unroll 4
    for (int z = 0; z < 4; ++z)
      acc[m][z] = _mm512_dpwssd_epi32(acc[m][z], x, w[z]);
  }
}

// kRows tiles x 64 filters, summed over `steps` steps of 4 channels.
template <int kRows, bool kAccumulate, Widen kWiden>
[[gnu::noinline]] void Multiply(const std::int16_t* v, std::ptrdiff_t row,
                                int steps, const std::int8_t* u,
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
  for (int step = 0; step < steps; ++step) {
    AddPair<kRows, 0, kWiden>(acc, v, row, u, wide);
    // Weights are loaded anew for the second pair: there are no registers for
    // them.
    asm("" : "+r"(u));
    AddPair<kRows, 1, kWiden>(acc, v + 2, row, u, wide + 128);
    v += 4;
    u += kStepBytes;
    if constexpr (kWiden != Widen::kHere) wide += 256;
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

// Rows of a pass over the weights. Passes of equal size: a short last one would
// waste the multipliers.
int Passes(int tiles) { return (tiles + kMaxRows - 1) / kMaxRows; }

int RowsOf(int pass, int tiles) {
  const int passes = Passes(tiles);
  return tiles / passes + (pass < tiles % passes ? 1 : 0);
}

}  // namespace

void MultiplyAvx512Vnni(const std::int16_t* inputs, std::ptrdiff_t row,
                        int tiles, int steps, const std::int8_t* weights,
                        std::int16_t*, bool accumulate, std::int32_t* sums) {
  const int passes = Passes(tiles);
  for (int pass = 0; pass < passes; ++pass) {
    const int rows = RowsOf(pass, tiles);
    Choose<Widen::kHere>(rows, accumulate)(inputs, row, steps, weights, nullptr,
                                           sums);
    inputs += rows * row;
    sums += std::ptrdiff_t{rows} * kFilterBlock;
  }
}

void MultiplyAvx512VnniWide(const std::int16_t* inputs, std::ptrdiff_t row,
                            int tiles, int steps, const std::int8_t* weights,
                            std::int16_t* wide, bool accumulate,
                            std::int32_t* sums) {
  const int passes = Passes(tiles);
  for (int pass = 0; pass < passes; ++pass) {
    const int rows = RowsOf(pass, tiles);
    const MultiplyFn multiply =
        passes == 1 ? Choose<Widen::kHere>(rows, accumulate)
        : pass == 0 ? Choose<Widen::kAndKeep>(rows, accumulate)
                    : Choose<Widen::kKept>(rows, accumulate);
    multiply(inputs, row, steps, weights, wide, sums);
    inputs += rows * row;
    sums += std::ptrdiff_t{rows} * kFilterBlock;
  }
}

}  // namespace tern::winograd
