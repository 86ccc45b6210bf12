#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/kernels/reference.h"

namespace tern::reference {
namespace {

// The part of a pooling window that lies inside the input.
struct Window {
  int y0, y1, x0, x1;
};

Window ClippedWindow(const PoolGeometry& g, int out_y, int out_x) {
  const int y = out_y * g.stride_h - g.pad_top;
  const int x = out_x * g.stride_w - g.pad_left;
  return {std::max(y, 0), std::min(y + g.kernel_h, g.in_h), std::max(x, 0),
          std::min(x + g.kernel_w, g.in_w)};
}

// Calls body(input at (y, x), output row element) for every position of the
// output rows.
template <typename T, typename Body>
void ForEachWindow(const PoolCall& call, int first, int rows, Body body) {
  const PoolGeometry& g = *call.geometry;
  const auto* input = static_cast<const T*>(call.input);
  for (int row = first; row < first + rows; ++row) {
    const T* image = input + static_cast<std::size_t>(row / g.out_h) * g.in_h *
                                 g.in_w * g.channels;
    for (int x = 0; x < g.out_w; ++x) {
      const std::size_t out =
          (static_cast<std::size_t>(row) * g.out_w + x) * g.channels;
      body(image, ClippedWindow(g, row % g.out_h, x), out);
    }
  }
}

template <typename T>
void MaxPoolOf(const PoolCall& call, int first, int rows) {
  const PoolGeometry& g = *call.geometry;
  const int channels = g.channels;
  auto* output = static_cast<T*>(call.output);
  ForEachWindow<T>(
      call, first, rows,
      [&g, channels, output](const T* image, const Window& window,
                             std::size_t out) {
        T* y = output + out;
        std::fill_n(y, channels, std::numeric_limits<T>::min());
        for (int iy = window.y0; iy < window.y1; ++iy) {
          for (int ix = window.x0; ix < window.x1; ++ix) {
            const T* x =
                image + (static_cast<std::size_t>(iy) * g.in_w + ix) * channels;
            for (int c = 0; c < channels; ++c) y[c] = std::max(y[c], x[c]);
          }
        }
      });
}

template <typename T>
void AveragePoolOf(const PoolCall& call, int first, int rows) {
  const PoolGeometry& g = *call.geometry;
  Epilogue epilogue;
  const float zero = 0;
  epilogue.multiplier = &call.multiplier;
  epilogue.bias = &zero;
  epilogue.output_type = call.output_type;
  epilogue.low = call.low;
  epilogue.high = call.high;
  // Some channels at a time, so that the innermost loop runs along them.
  constexpr int kChannels = 64;
  ForEachWindow<T>(
      call, first, rows,
      [&](const T* image, const Window& window, std::size_t out) {
        for (int c0 = 0; c0 < g.channels; c0 += kChannels) {
          const int channels = std::min(kChannels, g.channels - c0);
          std::uint32_t sums[kChannels] = {};
          for (int iy = window.y0; iy < window.y1; ++iy) {
            for (int ix = window.x0; ix < window.x1; ++ix) {
              const T* x =
                  image +
                  (static_cast<std::size_t>(iy) * g.in_w + ix) * g.channels +
                  c0;
              for (int c = 0; c < channels; ++c) {
                sums[c] += static_cast<std::uint32_t>(x[c]);
              }
            }
          }
          for (int c = 0; c < channels; ++c) {
            WriteOutput(epilogue,
                        static_cast<float>(static_cast<std::int32_t>(sums[c])),
                        0, out + c0 + c, call.output);
          }
        }
      });
}

}  // namespace

void MaxPool(const PoolCall& call, int first, int rows) {
  if (call.input_type == OutputType::kU8) {
    MaxPoolOf<std::uint8_t>(call, first, rows);
  } else {
    MaxPoolOf<std::int16_t>(call, first, rows);
  }
}

void AveragePool(const PoolCall& call, int first, int rows) {
  if (call.input_type == OutputType::kU8) {
    AveragePoolOf<std::uint8_t>(call, first, rows);
  } else {
    AveragePoolOf<std::int16_t>(call, first, rows);
  }
}

}  // namespace tern::reference
