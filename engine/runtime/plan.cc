#include "engine/runtime/plan.h"

#include <algorithm>

#include "engine/base/status_macros.h"

namespace tern {

std::size_t Plan::ScratchBytes(int batch, int threads) const {
  std::size_t bytes = 0;
  for (const PlanStep& step : steps_) {
    bytes = std::max(bytes, step.op->ScratchBytes(batch, threads));
  }
  return bytes;
}

std::size_t Plan::PackedBytes() const {
  std::size_t bytes = 0;
  for (const PlanStep& step : steps_) bytes += step.op->PackedBytes();
  return bytes;
}

absl::Status Plan::Run(int batch, std::byte* arena, std::byte* scratch,
                       ThreadPool* pool, float* logits,
                       Observer observer) const {
  const auto at = [this, arena, batch](int tensor) {
    return arena + tensors_[tensor].offset * batch;
  };
  observer(-1, arena);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const PlanStep& step = steps_[i];
    OpCall call;
    call.batch = batch;
    call.input = at(step.input);
    if (step.residual >= 0) call.residual = at(step.residual);
    call.output = i + 1 == steps_.size() ? reinterpret_cast<std::byte*>(logits)
                                         : at(step.output);
    call.scratch = scratch;
    call.pool = pool;
    TERN_RETURN_IF_ERROR(step.op->Run(call));
    observer(static_cast<int>(i), arena);
  }
  return absl::OkStatus();
}

}  // namespace tern
