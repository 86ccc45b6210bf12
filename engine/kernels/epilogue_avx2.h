// The epilogue in AVX2, 8 filters at a time, for the files of this instruction
// set only. A leaf header; everything in it is local to its includer.

#ifndef TERN_ENGINE_KERNELS_EPILOGUE_AVX2_H_
#define TERN_ENGINE_KERNELS_EPILOGUE_AVX2_H_

#include <immintrin.h>
#include <string.h>

#include "engine/kernels/conv.h"

namespace tern {
namespace {

// Copies of up to 8 values, so that what lies behind them is neither read nor
// written.
inline __m256 LoadFloats(const float* from, int count) {
  if (count >= 8) return _mm256_loadu_ps(from);
  float all[8] = {};
  memcpy(all, from, sizeof(float) * static_cast<unsigned>(count));
  return _mm256_loadu_ps(all);
}

inline __m256 LoadResidual(const Epilogue& e, std::size_t index, int count) {
  if (e.residual_type == OutputType::kU8) {
    const auto* from = static_cast<const std::uint8_t*>(e.residual) + index;
    std::uint8_t all[8] = {};
    if (count < 8) {
      memcpy(all, from, static_cast<unsigned>(count));
      from = all;
    }
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
  }
  const auto* from = static_cast<const std::int16_t*>(e.residual) + index;
  std::int16_t all[8] = {};
  if (count < 8) {
    memcpy(all, from, sizeof(*from) * static_cast<unsigned>(count));
    from = all;
  }
  return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}

// Outputs index .. index + count of filters k .. k + count; count <= 8.
inline void WriteEight(const Epilogue& e, __m256 acc, int k, std::size_t index,
                       int count, void* output) {
  __m256 f = _mm256_fmadd_ps(acc, LoadFloats(e.multiplier + k, count),
                             LoadFloats(e.bias + k, count));
  if (e.residual != nullptr) {
    f = _mm256_fmadd_ps(LoadResidual(e, index, count),
                        _mm256_set1_ps(e.residual_scale), f);
  }
  const auto bytes = static_cast<unsigned>(count);
  if (e.output_type == OutputType::kF32) {
    float all[8];
    _mm256_storeu_ps(all, f);
    memcpy(static_cast<float*>(output) + index, all, 4 * bytes);
    return;
  }
  const __m256i y = _mm256_cvtps_epi32(_mm256_min_ps(
      _mm256_max_ps(f, _mm256_set1_ps(e.low)), _mm256_set1_ps(e.high)));
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(y),
                                        _mm256_extracti128_si256(y, 1));
  if (e.output_type == OutputType::kS16) {
    if (count >= 8) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(
                           static_cast<std::int16_t*>(output) + index),
                       words);
      return;
    }
    std::int16_t all[8];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(all), words);
    memcpy(static_cast<std::int16_t*>(output) + index, all, 2 * bytes);
    return;
  }
  const __m128i packed = _mm_packus_epi16(words, words);
  auto* to = static_cast<std::uint8_t*>(output) + index;
  if (count >= 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), packed);
    return;
  }
  const std::int64_t all = _mm_cvtsi128_si64(packed);
  memcpy(to, &all, bytes);
}

}  // namespace
}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_EPILOGUE_AVX2_H_
