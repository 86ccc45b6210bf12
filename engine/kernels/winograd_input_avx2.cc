// Winograd's input transform on AVX2. A leaf: includes no header with inline
// code.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/winograd_pieces.h"

namespace tern::winograd {
namespace {

// g++ at -O2 would call these, with whole tiles on the stack.
#define TERN_INLINE [[gnu::always_inline]] inline

using V = __m256i;

TERN_INLINE V Add16(V a, V b) { return _mm256_add_epi16(a, b); }
TERN_INLINE V Sub16(V a, V b) { return _mm256_sub_epi16(a, b); }
TERN_INLINE V Twice16(V a) { return _mm256_slli_epi16(a, 1); }
TERN_INLINE V Four16(V a) { return _mm256_slli_epi16(a, 2); }

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
      d[i] = _mm256_cvtepu8_epi16(_mm_loadu_si128(
          reinterpret_cast<const __m128i*>(pixels[6 * i + j] + c)));
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
      _mm256_store_si256(reinterpret_cast<V*>(out + e * plane + c), o[j]);
    }
  }
}

template <int kRows, int kCols>
void TransformInput(const std::uint8_t* const* pixels, int channels,
                    std::int16_t* out, std::ptrdiff_t plane) {
  for (int c = 0; c < channels; c += 16) {
    TransformHalf<kRows, kCols, 0>(pixels, c, out, plane);
    TransformHalf<kRows, kCols, 1>(pixels, c, out, plane);
  }
}

}  // namespace

void TransformInputAvx2(const std::uint8_t* const* pixels, int rows, int cols,
                        int channels, std::int16_t* out, std::ptrdiff_t plane) {
  if (rows == 4) {
    if (cols == 4)
      TransformInput<4, 4>(pixels, channels, out, plane);
    else
      TransformInput<4, 3>(pixels, channels, out, plane);
  } else {
    if (cols == 4)
      TransformInput<3, 4>(pixels, channels, out, plane);
    else
      TransformInput<3, 3>(pixels, channels, out, plane);
  }
}

}  // namespace tern::winograd
