// An op: one step of a plan, ready to run. Immutable after it is made, so any
// number of sessions may run it at the same time.

#ifndef TERN_ENGINE_OPS_OP_H_
#define TERN_ENGINE_OPS_OP_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "engine/base/thread_pool.h"

namespace tern {

// Tensors of `batch` pictures, dense NHWC.
struct OpCall {
  int batch = 0;
  const void* input = nullptr;
  const void* residual = nullptr;  // null where the op has none
  void* output = nullptr;
  std::byte* scratch = nullptr;  // ScratchBytes(batch, pool->threads())
  ThreadPool* pool = nullptr;
};

class Op {
 public:
  Op() = default;
  virtual ~Op() = default;
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

  // What runs a batch: "direct", "winograd", "onednn_f32", "max_pool", ...
  virtual std::string Kernel(int batch) const = 0;
  // Memory that the op holds for weights, multipliers and biases.
  virtual std::size_t PackedBytes() const { return 0; }
  virtual std::size_t ScratchBytes(int batch, int threads) const = 0;
  // Fails only where a library does.
  virtual absl::Status Run(const OpCall& call) const = 0;
};

}  // namespace tern

#endif  // TERN_ENGINE_OPS_OP_H_
