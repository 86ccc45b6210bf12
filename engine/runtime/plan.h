// Plan: a model's ops in order, with their weights packed and their tensors
// placed. Immutable; any number of sessions may run it at the same time.

#ifndef TERN_ENGINE_RUNTIME_PLAN_H_
#define TERN_ENGINE_RUNTIME_PLAN_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/model_file.h"
#include "engine/ops/op.h"

namespace tern {

struct PlanOptions {
  // Max-pool as part of the convolution before it, where a kernel can.
  bool fuse = true;
  // Ternary layers take the kernel of this name wherever it applies; empty:
  // for each batch the one that predicts the least time.
  std::string conv_kernel;
};

inline constexpr int kMaxPlanBatch = 64;

// Tensor 0 is the picture; tensor i + 1 is what node i yields. A flattened
// tensor is its input's bytes.
struct PlanTensor {
  std::size_t bytes = 0;   // of one picture
  std::size_t offset = 0;  // in the arena of one picture
  // Whether running the plan leaves this tensor's bytes anywhere.
  bool materialised = true;
  // The tensor whose place this one shares.
  int storage = 0;
};

struct PlanStep {
  std::unique_ptr<Op> op;
  std::string name;  // of its nodes: "conv1+pool1"
  int input = 0;     // tensors
  int residual = -1;
  int output = 0;
};

class Plan {
 public:
  using WeightsOfNode =
      absl::FunctionRef<absl::StatusOr<NodeWeights>(int node)>;

  // `header` and `shapes` are checked ones (model_file.h).
  static absl::StatusOr<std::unique_ptr<const Plan>> Build(
      const model::v1::Header& header, const GraphShapes& shapes,
      WeightsOfNode weights, const KernelTable& kernels,
      const PlanOptions& options);

  const std::vector<PlanStep>& steps() const { return steps_; }
  const std::vector<PlanTensor>& tensors() const { return tensors_; }
  // The largest batch that one Run takes: bounds the arena, and keeps every
  // index of a kernel below 2^31.
  int MaxBatch() const { return max_batch_; }
  std::size_t ArenaBytes(int batch) const { return arena_bytes_ * batch; }
  // Enough for every step.
  std::size_t ScratchBytes(int batch, int threads) const;
  std::size_t PackedBytes() const;

  // Called after each step, and before the first with step -1.
  using Observer = absl::FunctionRef<void(int step, const std::byte* arena)>;

  // Runs all steps; the picture lies in its tensor. Tensor t of a batch is at
  // arena + offset * batch. The logits go to `logits`.
  absl::Status Run(int batch, std::byte* arena, std::byte* scratch,
                   ThreadPool* pool, float* logits, Observer observer) const;

 private:
  friend class PlanBuilder;
  Plan() = default;

  std::vector<PlanStep> steps_;
  std::vector<PlanTensor> tensors_;
  std::size_t arena_bytes_ = 0;
  int max_batch_ = 1;
};

}  // namespace tern

#endif  // TERN_ENGINE_RUNTIME_PLAN_H_
