// Max-pool on AVX2: a window's maximum of 32 bytes of channels stays in a
// register.

#include <immintrin.h>
#include <string.h>

#include "engine/kernels/pool_kernels.h"

namespace tern {
namespace {

using V = __m256i;
constexpr int kVectorBytes = 32;

// Input pixels that a window covers, and the first one's bytes.
struct Window {
  const std::uint8_t* first;
  int rows, cols;
};

// Bytes from one input row, pixel to the next.
struct Strides {
  std::ptrdiff_t row, pixel;
};

template <bool kU8>
V Max(V a, V b) {
  return kU8 ? _mm256_max_epu8(a, b) : _mm256_max_epi16(a, b);
}

V Load(const std::uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const V*>(from));
}

// Of the bytes from `byte` on; what lies behind a pixel does not matter.
template <bool kU8>
V MaxOfWindow(const Window& window, const Strides& strides, int byte) {
  const std::uint8_t* row = window.first + byte;
  V max = kU8 ? _mm256_setzero_si256() : _mm256_set1_epi16(-32768);
  for (int y = 0; y < window.rows; ++y, row += strides.row) {
    const std::uint8_t* pixel = row;
    for (int x = 0; x < window.cols; ++x, pixel += strides.pixel)
      max = Max<kU8>(max, Load(pixel));
  }
  return max;
}

template <bool kU8>
void MaxOfChannels(const Window& window, const Strides& strides, int bytes,
                   std::uint8_t* output) {
  int byte = 0;
  for (; byte + kVectorBytes <= bytes; byte += kVectorBytes) {
    _mm256_storeu_si256(reinterpret_cast<V*>(output + byte),
                        MaxOfWindow<kU8>(window, strides, byte));
  }
  if (byte == bytes) return;
  std::uint8_t last[kVectorBytes];
  _mm256_storeu_si256(reinterpret_cast<V*>(last),
                      MaxOfWindow<kU8>(window, strides, byte));
  memcpy(output + byte, last, static_cast<unsigned>(bytes - byte));
}

int Largest(int a, int b) { return a > b ? a : b; }
int Smallest(int a, int b) { return a < b ? a : b; }

template <bool kU8>
void MaxPool(const PoolCall& call, int first, int rows) {
  const PoolGeometry& g = *call.geometry;
  const int bytes = g.channels * (kU8 ? 1 : 2);
  const Strides strides = {std::ptrdiff_t{g.in_w} * bytes, bytes};
  const auto* input = static_cast<const std::uint8_t*>(call.input);
  auto* output = static_cast<std::uint8_t*>(call.output) +
                 std::ptrdiff_t{first} * g.out_w * bytes;
  for (int row = first; row < first + rows; ++row) {
    const std::uint8_t* image =
        input + row / g.out_h * strides.row * std::ptrdiff_t{g.in_h};
    const int y = row % g.out_h * g.stride_h - g.pad_top;
    const int y0 = Largest(y, 0);
    const int y1 = Smallest(y + g.kernel_h, g.in_h);
    for (int out_x = 0; out_x < g.out_w; ++out_x) {
      const int x = out_x * g.stride_w - g.pad_left;
      const int x0 = Largest(x, 0);
      const int x1 = Smallest(x + g.kernel_w, g.in_w);
      const Window window = {image + y0 * strides.row + x0 * strides.pixel,
                             y1 - y0, x1 - x0};
      MaxOfChannels<kU8>(window, strides, bytes, output);
      output += bytes;
    }
  }
}

}  // namespace

void MaxPoolAvx2(const PoolCall& call, int first, int rows) {
  if (call.input_type == OutputType::kU8) {
    MaxPool<true>(call, first, rows);
  } else {
    MaxPool<false>(call, first, rows);
  }
}

}  // namespace tern
