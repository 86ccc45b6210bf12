// Direct convolution in plain loops. Weights are packed 4 to a byte in OHWI
// order, each filter starting a new byte; code = weight + 1.

#include <algorithm>
#include <cstring>

#include "engine/kernels/kernels.h"
#include "engine/kernels/reference.h"

namespace tern {
namespace {

std::size_t FilterSize(const ConvGeometry& g) {
  return static_cast<std::size_t>(g.kernel_h) * g.kernel_w * g.in_c;
}

std::size_t FilterBytes(const ConvGeometry& g) {
  return (FilterSize(g) + 3) / 4;
}

void UnpackFilter(const ConvGeometry& g, const std::uint8_t* packed, int filter,
                  std::int8_t* weights) {
  const std::uint8_t* codes = packed + FilterBytes(g) * filter;
  const std::size_t size = FilterSize(g);
  for (std::size_t i = 0; i < size; ++i) {
    weights[i] =
        static_cast<std::int8_t>((codes[i / 4] >> (2 * (i % 4)) & 3) - 1);
  }
}

std::uint32_t Dot(const std::uint8_t* x, const std::int8_t* t, int count) {
  std::uint32_t sum = 0;
  for (int i = 0; i < count; ++i) {
    sum += static_cast<std::uint32_t>(x[i] * t[i]);
  }
  return sum;
}

// The sum over one filter's taps that fall into padding, at columns
// [from, to) of kernel row ky.
std::uint32_t PaddingSum(const ConvCall& call, const std::int8_t* weights,
                         int ky, int from, int to) {
  if (call.pad_value == nullptr) return 0;
  const ConvGeometry& g = *call.geometry;
  std::uint32_t sum = 0;
  for (int kx = from; kx < to; ++kx) {
    sum +=
        Dot(call.pad_value, weights + (ky * g.kernel_w + kx) * g.in_c, g.in_c);
  }
  return sum;
}

std::int32_t Accumulate(const ConvCall& call, const std::int8_t* weights,
                        int image, int out_y, int out_x) {
  const ConvGeometry& g = *call.geometry;
  const int y0 = out_y * g.stride_h - g.pad_top;
  const int x0 = out_x * g.stride_w - g.pad_left;
  // Columns of the kernel that lie inside the picture: one contiguous run.
  const int from = std::clamp(-x0, 0, g.kernel_w);
  const int to = std::clamp(g.in_w - x0, from, g.kernel_w);
  std::uint32_t sum = 0;
  for (int ky = 0; ky < g.kernel_h; ++ky) {
    const int y = y0 + ky;
    if (y < 0 || y >= g.in_h) {
      sum += PaddingSum(call, weights, ky, 0, g.kernel_w);
      continue;
    }
    const std::ptrdiff_t pixel =
        (static_cast<std::ptrdiff_t>(image) * g.in_h + y) * g.in_w + x0 + from;
    sum += PaddingSum(call, weights, ky, 0, from);
    sum +=
        Dot(call.input + pixel * g.in_c,
            weights + (ky * g.kernel_w + from) * g.in_c, (to - from) * g.in_c);
    sum += PaddingSum(call, weights, ky, to, g.kernel_w);
  }
  return static_cast<std::int32_t>(sum);
}

bool Applies(const ConvGeometry&, const std::int8_t*) { return true; }

bool FusesMaxPool(const ConvGeometry&) { return false; }

std::size_t PackedBytes(const ConvGeometry& g) {
  return FilterBytes(g) * g.filters;
}

void Pack(const ConvGeometry& g, const std::int8_t* codes,
          std::uint8_t* packed) {
  std::memset(packed, 0, PackedBytes(g));
  const std::size_t size = FilterSize(g);
  for (int k = 0; k < g.filters; ++k) {
    std::uint8_t* bytes = packed + FilterBytes(g) * k;
    for (std::size_t i = 0; i < size; ++i) {
      const auto code = static_cast<std::uint8_t>(*codes++ + 1);
      bytes[i / 4] =
          static_cast<std::uint8_t>(bytes[i / 4] | code << (2 * (i % 4)));
    }
  }
}

int Tasks(const ConvGeometry& g, int batch, int threads) {
  return std::min(threads, batch * g.out_h);
}

std::size_t ScratchBytes(const ConvGeometry& g, int, int) {
  return FilterSize(g);
}

void Run(const ConvCall& call, int threads, int task, std::byte* scratch) {
  const ConvGeometry& g = *call.geometry;
  const int rows = call.batch * g.out_h;
  const int tasks = Tasks(g, call.batch, threads);
  const int first = static_cast<int>(std::int64_t{rows} * task / tasks);
  const int end = static_cast<int>(std::int64_t{rows} * (task + 1) / tasks);
  auto* weights = reinterpret_cast<std::int8_t*>(scratch);
  for (int k = 0; k < g.filters; ++k) {
    UnpackFilter(g, call.packed, k, weights);
    for (int row = first; row < end; ++row) {
      for (int x = 0; x < g.out_w; ++x) {
        const std::int32_t acc =
            Accumulate(call, weights, row / g.out_h, row % g.out_h, x);
        const std::size_t index =
            (static_cast<std::size_t>(row) * g.out_w + x) * g.filters + k;
        reference::WriteOutput(call.epilogue, static_cast<float>(acc), k, index,
                               call.output);
      }
    }
  }
}

// About 4 multiply-accumulates a nanosecond.
double PredictedNs(const ConvGeometry& g, int batch) {
  return 0.25 * batch * g.out_h * g.out_w * g.filters *
         static_cast<double>(FilterSize(g));
}

}  // namespace

void BeginNothing(const ConvCall&, int, std::byte*) {}

const ConvKernel kConvReference = {
    "reference", Applies,      FusesMaxPool, PackedBytes, Pack,
    Tasks,       ScratchBytes, BeginNothing, Run,         PredictedNs};

}  // namespace tern
