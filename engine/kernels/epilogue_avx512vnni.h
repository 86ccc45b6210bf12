// What the epilogues of the AVX-512 kernels share: residuals in, 64 filters'
// outputs out, whole or, by mask, some of them. A leaf header, for the files of
// this instruction set only; everything in it is local to its includer.

#ifndef TERN_ENGINE_KERNELS_EPILOGUE_AVX512VNNI_H_
#define TERN_ENGINE_KERNELS_EPILOGUE_AVX512VNNI_H_

#include <immintrin.h>

#include <cstdint>

// Arrays of registers stay registers only where everything that touches them
// is inlined early.
#define TERN_ALWAYS_INLINE inline __attribute__((always_inline))

namespace tern {
namespace {

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

// Packing works within 128-bit lanes; these put the lanes in order.
TERN_ALWAYS_INLINE __m512i PackBytes(const __m512i (&y)[4]) {
  const __m512i order =
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(
      order, _mm512_packus_epi16(_mm512_packs_epi32(y[0], y[1]),
                                 _mm512_packs_epi32(y[2], y[3])));
}

TERN_ALWAYS_INLINE __m512i PackWords(__m512i low, __m512i high) {
  const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  return _mm512_permutexvar_epi64(order, _mm512_packs_epi32(low, high));
}

inline __mmask16 Sixteen(__mmask64 filters, int v) {
  return static_cast<__mmask16>(filters >> (16 * v));
}

// 16 residuals.
TERN_ALWAYS_INLINE __m512 LoadResiduals(const std::uint8_t* from,
                                        __mmask16 mask) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, from)));
}

TERN_ALWAYS_INLINE __m512 LoadResiduals(const std::int16_t* from,
                                        __mmask16 mask) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(mask, from)));
}

template <typename T>
TERN_ALWAYS_INLINE void AddResiduals(const T* from, float scale,
                                     __mmask64 filters, __m512 (&f)[4]) {
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    f[v] = _mm512_fmadd_ps(LoadResiduals(from + 16 * v, Sixteen(filters, v)),
                           _mm512_set1_ps(scale), f[v]);
  }
}

}  // namespace
}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_EPILOGUE_AVX512VNNI_H_
