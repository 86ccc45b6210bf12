#include "engine/kernels/epilogue_avx2.h"

#include "engine/kernels/epilogue_kernels.h"

namespace tern {
namespace {

// Pixels whose zero points repeat every 24 values: 1, 2, 3, 4, 6, 8 or 12
// channels.
constexpr int kPeriod = 24;

}  // namespace

void EpiloguesAvx2(const float* acc, int rows, int filters, const Epilogue& e,
                   void* output) {
  for (int row = 0; row < rows; ++row) {
    const std::size_t first = static_cast<std::size_t>(row) * filters;
    for (int k = 0; k < filters; k += 8) {
      const int count = filters - k < 8 ? filters - k : 8;
      WriteEight(e, LoadFloats(acc + first + k, count), k, first + k, count,
                 output);
    }
  }
}

void ConvertAvx2(const std::uint8_t* pixels, int count,
                 const std::uint8_t* zero_point, int channels,
                 float* converted) {
  int i = 0;
  if (zero_point == nullptr || kPeriod % channels == 0) {
    std::int32_t zeros[kPeriod] = {};
    for (int j = 0; zero_point != nullptr && j < kPeriod; ++j) {
      zeros[j] = zero_point[j % channels];
    }
    for (; i + kPeriod <= count; i += kPeriod) {
      for (int j = 0; j < kPeriod; j += 8) {
        const __m256i x = _mm256_cvtepu8_epi32(
            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(pixels + i + j)));
        const __m256i zero =
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(zeros + j));
        _mm256_storeu_ps(converted + i + j,
                         _mm256_cvtepi32_ps(_mm256_sub_epi32(x, zero)));
      }
    }
  }
  for (; i < count; ++i) {
    const int zero = zero_point == nullptr ? 0 : zero_point[i % channels];
    converted[i] = static_cast<float>(pixels[i] - zero);
  }
}

}  // namespace tern
