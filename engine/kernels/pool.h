// Contract of the pooling kernels. Tensors are dense NHWC, u8 or s16. Kernels
// may read, never write, kOverreadBytes past the end of the input.
//
// A call is split by output rows, numbered over the whole batch; pieces may
// run at the same time.

#ifndef TERN_ENGINE_KERNELS_POOL_H_
#define TERN_ENGINE_KERNELS_POOL_H_

#include "engine/kernels/conv.h"

namespace tern {

struct PoolGeometry {
  int in_h = 1, in_w = 1, channels = 0;
  int out_h = 1, out_w = 1;
  int kernel_h = 1, kernel_w = 1;
  int stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_left = 0;  // bottom and right follow from out_h, out_w
};

struct PoolCall {
  const PoolGeometry* geometry = nullptr;
  OutputType input_type = OutputType::kU8;  // kU8 or kS16
  const void* input = nullptr;
  void* output = nullptr;
  // Average only (NUMERICS.md): f = float(sum over the window) * multiplier,
  // then as the epilogue of conv.h. Padding counts as zeros.
  OutputType output_type = OutputType::kU8;  // kU8 or kS16
  float multiplier = 0;
  float low = 0;
  float high = 255;
};

// Output rows [first, first + rows) of a call. Max-pool never chooses padding;
// its output has its input's type.
using PoolFunction = void (*)(const PoolCall&, int first, int rows);

}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_POOL_H_
