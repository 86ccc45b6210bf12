// Winograd's weight transform and matrix products on AVX2. A leaf: includes no
// header with inline code.
//
// A position's product runs on vpmaddwd with 6 tiles x 16 filters in 12
// accumulators. Transformed weights lie as [8 filters][pair of channels]
// [filter][2 channels], eight such parts for 64 filters.

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
constexpr int kPairBytes = 16;  // of 8 filters

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

// Half a packed vector: the codes of 8 filters' groups of 16 channels, or
// zeros. In its order one shuffle later, [pair of channels][filter][2].
TERN_INLINE V LoadCodes(const std::uint8_t* codes, bool exists) {
  if (!exists) return _mm256_setzero_si256();
  const V in_lane = _mm256_shuffle_epi8(
      Load(codes), _mm256_broadcastsi128_si256(_mm_setr_epi8(
                       0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)));
  return _mm256_permute4x64_epi64(in_lane, 0xD8);
}

// All nine taps, ready for their four steps: the codes of taps (0, j) and
// (2, j) as nibbles, those of steps 0 and 2 in one vector, of 1 and 3 in the
// other; the codes of taps (1, j) as they are.
struct Codes {
  V outer[3][2];
  V inner[3];
};

TERN_INLINE void LoadTaps(const std::uint8_t* codes, std::ptrdiff_t tap_bytes,
                          bool exists, Codes* out) {
  const V low = _mm256_set1_epi8(0x33);
  const V high = _mm256_set1_epi8(static_cast<char>(0xCC));
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    const V first = LoadCodes(codes + j * tap_bytes, exists);
    const V last = LoadCodes(codes + (6 + j) * tap_bytes, exists);
    out->outer[j][0] =
        _mm256_or_si256(_mm256_and_si256(first, low),
                        _mm256_and_si256(_mm256_slli_epi16(last, 2), high));
    out->outer[j][1] =
        _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(first, 2), low),
                        _mm256_and_si256(last, high));
    out->inner[j] = LoadCodes(codes + (3 + j) * tap_bytes, exists);
  }
}

// Step kStep of the four.
template <int kStep>
TERN_INLINE void TransformStep(const Codes& codes, std::int8_t* out,
                               std::ptrdiff_t plane) {
  const V low4 = _mm256_set1_epi8(15);
  const V low2 = _mm256_set1_epi8(3);
  V t[3][6];
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    V outer = codes.outer[j][kStep % 2];
    if (kStep >= 2) outer = _mm256_srli_epi16(outer, 4);
    outer = _mm256_and_si256(outer, low4);
    V inner = codes.inner[j];
    if (kStep > 0) inner = _mm256_srli_epi16(inner, 2 * kStep);
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

// A part's bytes of a group; of all groups.
constexpr std::ptrdiff_t kPartGroupBytes =
    std::ptrdiff_t{kPairBytes} * kPackedGroupChannels / 2;

std::ptrdiff_t PartBytes(int groups) { return kPartGroupBytes * groups; }

// kRows tiles x 16 filters, whose parts are u and next_u.
template <int kRows, bool kAccumulate>
[[gnu::noinline]] void Multiply(const std::int16_t* v, std::ptrdiff_t row,
                                int pairs, const std::int8_t* u,
                                const std::int8_t* next_u, std::int32_t* sums) {
  V acc[kRows][2];
#pragma GCC unroll 6
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
    for (int z = 0; z < 2; ++z)
      acc[m][z] = kAccumulate ? Load(sums + m * kFilterBlock + z * 8)
                              : _mm256_setzero_si256();
  }
  for (int pair = 0; pair < pairs; ++pair) {
    const V w0 = _mm256_cvtepi8_epi16(
        _mm_load_si128(reinterpret_cast<const __m128i*>(u)));
    const V w1 = _mm256_cvtepi8_epi16(
        _mm_load_si128(reinterpret_cast<const __m128i*>(next_u)));
    u += kPairBytes;
    next_u += kPairBytes;
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
      Store(sums + m * kFilterBlock + z * 8, acc[m][z]);
  }
}

using MultiplyFn = void (*)(const std::int16_t*, std::ptrdiff_t, int,
                            const std::int8_t*, const std::int8_t*,
                            std::int32_t*);
constexpr MultiplyFn kMultiply[2][kMaxRows + 1] = {
    {nullptr, Multiply<1, false>, Multiply<2, false>, Multiply<3, false>,
     Multiply<4, false>, Multiply<5, false>, Multiply<6, false>},
    {nullptr, Multiply<1, true>, Multiply<2, true>, Multiply<3, true>,
     Multiply<4, true>, Multiply<5, true>, Multiply<6, true>}};

}  // namespace

void TransformWeightsAvx2(const PackedChannels& packed, std::int8_t* out,
                          std::ptrdiff_t plane) {
  const std::ptrdiff_t part_bytes = PartBytes(packed.groups);
  for (int group = 0; group < packed.groups; ++group) {
    const std::uint8_t* codes =
        packed.codes +
        std::ptrdiff_t{kPackedVectorBytes} * packed.vectors * group;
    for (int part = 0; part < 8; ++part) {
      Codes taps;
      LoadTaps(codes + 32 * part, packed.tap_bytes, part < 2 * packed.vectors,
               &taps);
      std::int8_t* to = out + part_bytes * part + kPartGroupBytes * group;
      TransformStep<0>(taps, to, plane);
      TransformStep<1>(taps, to + 2 * kPairBytes, plane);
      TransformStep<2>(taps, to + 4 * kPairBytes, plane);
      TransformStep<3>(taps, to + 6 * kPairBytes, plane);
    }
  }
}

void MultiplyAvx2(const std::int16_t* inputs, std::ptrdiff_t row, int tiles,
                  int steps, const std::int8_t* weights, std::int16_t*,
                  bool accumulate, std::int32_t* sums) {
  const std::ptrdiff_t part_bytes = PartBytes((steps + 3) / 4);
  // Passes of equal size: a short last one would waste the multipliers.
  const int passes = (tiles + kMaxRows - 1) / kMaxRows;
  for (int pass = 0; pass < passes; ++pass) {
    const int rows = tiles / passes + (pass < tiles % passes ? 1 : 0);
    for (int part = 0; part < 8; part += 2) {
      kMultiply[accumulate ? 1 : 0][rows](
          inputs, row, 2 * steps, weights + part_bytes * part,
          weights + part_bytes * (part + 1), sums + 8 * part);
    }
    inputs += rows * row;
    sums += std::ptrdiff_t{rows} * kFilterBlock;
  }
}

}  // namespace tern::winograd
