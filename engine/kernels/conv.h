// Contract of a ternary convolution kernel: what every algorithm (direct,
// Winograd) on every instruction set takes and promises.
//
// A linear layer is a convolution with 1x1 maps and in_c inputs. Activations
// are dense NHWC u8. Weights are ternary codes, packed once at load into the
// layout that all kernels of a table read (2 bits a weight), and never expanded
// in memory that outlives a call. Kernels may read, never write,
// kOverreadBytes past the end of an activation tensor; what lies there meets
// zero weights.
//
// Arithmetic (engine/NUMERICS.md): acc = sum x * t, int32 modulo 2^32; padding
// taps read pad_value[c] (null: 0). The epilogue turns acc into the output.
// Results are equal bit for bit to the reference kernel.

#ifndef TERN_ENGINE_KERNELS_CONV_H_
#define TERN_ENGINE_KERNELS_CONV_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/overread.h"

namespace tern {

struct ConvGeometry {
  int in_h = 1, in_w = 1, in_c = 0;
  int out_h = 1, out_w = 1, filters = 0;
  int kernel_h = 1, kernel_w = 1;
  int stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_left = 0;  // bottom and right follow from out_h, out_w

  bool operator==(const ConvGeometry&) const = default;
};

enum class OutputType : std::uint8_t { kU8, kS16, kF32 };

// f = fmaf(float(acc), multiplier[k], bias[k])
// f = fmaf(float(r), residual_scale, f)                      with a residual
// u8, s16: round_to_nearest_even(min(max(f, low), high));    f32: f
// then, with max_pool_2x2, the maximum over 2x2 outputs (stride 2, an odd last
// row or column is dropped).
struct Epilogue {
  const float* multiplier = nullptr;  // [filters], >= 0
  const float* bias = nullptr;        // [filters]
  const void* residual = nullptr;     // same shape as the un-pooled output
  OutputType residual_type = OutputType::kU8;  // kU8 or kS16
  float residual_scale = 0;
  OutputType output_type = OutputType::kU8;
  float low = 0;
  float high = 255;
  bool max_pool_2x2 = false;
};

// One call's data. Pointers are to whole tensors of `batch` pictures.
struct ConvCall {
  const ConvGeometry* geometry = nullptr;
  int batch = 0;
  const std::uint8_t* input = nullptr;
  const std::uint8_t* pad_value = nullptr;  // [in_c] or null (all 0)
  const std::uint8_t* packed = nullptr;
  Epilogue epilogue;
  void* output = nullptr;
};

// One algorithm on one instruction set. All functions are pure and
// thread-safe; tasks of one call may run at the same time in any order.
struct ConvKernel {
  std::string_view name;  // "direct", "winograd"
  // Whether it can run this layer exactly. `codes` are OHWI (-1, 0, 1).
  bool (*applies)(const ConvGeometry&, const std::int8_t* codes);
  bool (*fuses_max_pool)(const ConvGeometry&);
  // The same two functions for all kernels of a table.
  std::size_t (*packed_bytes)(const ConvGeometry&);
  // `packed` is 64-byte aligned, packed_bytes() large, uninitialised.
  void (*pack)(const ConvGeometry&, const std::int8_t* codes,
               std::uint8_t* packed);
  // Independent pieces of a call, for this many threads; >= 1.
  int (*tasks)(const ConvGeometry&, int batch, int threads);
  // Scratch that a thread needs for its tasks, 64-byte aligned.
  std::size_t (*scratch_bytes)(const ConvGeometry&, int batch, int threads);
  // Puts what a thread's tasks of a call share into its scratch, before the
  // first of them.
  void (*begin)(const ConvCall&, int threads, std::byte* scratch);
  void (*run)(const ConvCall&, int threads, int task, std::byte* scratch);
  // Predicted nanoseconds of one call on one thread, for choosing between
  // kernels: a model of this kernel relative to the others of its table, not
  // a promise. Deterministic.
  double (*predicted_ns)(const ConvGeometry&, int batch);
};

// The `begin` of kernels whose tasks share nothing.
void BeginNothing(const ConvCall&, int threads, std::byte* scratch);

}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_CONV_H_
