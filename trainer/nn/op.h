// Op: one step of the computation, forward and backward.
//
// An op reads and writes TensorSlots; ops run in the order in which they were
// made, backward in the opposite one. Calls for different shards may run at
// the same time; what ops share (weights, running statistics) changes only
// between passes, in PrepareStep and FinishStep. These may use the pool; their
// results do not depend on its size.

#ifndef TERN_TRAINER_NN_OP_H_
#define TERN_TRAINER_NN_OP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/thread_pool.h"

namespace tern::trainer {

enum class Pass : std::uint8_t {
  kTrain,     // statistics of the batch, observed ranges
  kEvaluate,  // running statistics
};

// A trained tensor. `gradient` is the sum over a batch, valid after
// FinishStep.
struct Parameter {
  std::string name;
  std::vector<float> value;
  std::vector<float> gradient;
  // Weight decay applies.
  bool decays = false;
};

class Op {
 public:
  Op() = default;
  virtual ~Op() = default;
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

  // After parameters changed, before the next pass.
  virtual void PrepareStep(ThreadPool& /*pool*/) {}
  virtual void Forward(int shard, Pass pass) = 0;
  // Reads the gradient of what Forward wrote, from the last kTrain pass.
  virtual void Backward(int shard) = 0;
  // After Backward of all shards: sums what each found, in shard order.
  virtual void FinishStep(ThreadPool& /*pool*/) {}
};

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NN_OP_H_
