// Ops without weights or windows: activation, residual addition, flattening.

#ifndef TERN_TRAINER_NN_SIMPLE_OPS_H_
#define TERN_TRAINER_NN_SIMPLE_OPS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "trainer/nn/dnnl_support.h"
#include "trainer/nn/op.h"

namespace tern::trainer {

// The largest magnitude that an activation tensor takes, learned from
// training batches as a moving average; it fixes the tensor's scale.
struct ActivationRange {
  float max = -1;  // negative: not seen yet
  bool seen() const { return max >= 0; }
};

// Weight of a new step's maximum in the range.
inline constexpr float kRangeMomentum = 0.02F;
inline constexpr int kU8Levels = 255;

// Real value of one step of a u8 activation.
inline float U8Scale(const ActivationRange& range) {
  return range.max > 0 ? range.max / kU8Levels : 1.0F / kU8Levels;
}

enum class Rounding : std::uint8_t {
  kNone,
  kU8,        // to a multiple of U8Scale(range), at most 255 of them
  kIntegers,  // to an integer 0..255: the tensor is in units of its scale
};

// Works in place. y = max(x, 0) where `relu`; then rounding to nearest even.
// Backward passes the gradient where the result lies inside the range
// (straight-through estimator).
class ActivationOp : public Op {
 public:
  // `range` is updated in training passes where `observe`; it may be shared
  // with ops that follow, which only read it.
  ActivationOp(bool relu, ActivationRange* range, bool observe,
               TensorSlot* tensor, const Shards& shards);

  // Changes between steps; starts as kNone.
  void set_rounding(Rounding rounding) { rounding_ = rounding; }

  void Forward(int shard, Pass pass) override;
  void Backward(int shard) override;
  void FinishStep(ThreadPool& pool) override;

 private:
  const bool relu_;
  ActivationRange* const range_;
  const bool observe_;
  TensorSlot* const tensor_;
  Rounding rounding_ = Rounding::kNone;
  std::vector<float> shard_max_;
};

// tensor += scale * addend, in place on the first.
class ResidualOp : public Op {
 public:
  ResidualOp(TensorSlot* tensor, TensorSlot* addend, float scale,
             Shards* shards);

  void Forward(int shard, Pass pass) override;
  void Backward(int shard) override;

 private:
  TensorSlot* const tensor_;
  TensorSlot* const addend_;
  const float scale_;
  Kernel to_tensor_;
  Kernel to_addend_;
  // The addend in the layout of `tensor`; empty where it has that layout.
  std::vector<dnnl::memory> converted_;
};

// tensor *= factor, in place.
class ScaleOp : public Op {
 public:
  ScaleOp(TensorSlot* tensor, float factor)
      : tensor_(tensor), factor_(factor) {}

  void Forward(int shard, Pass pass) override;
  void Backward(int shard) override;

 private:
  TensorSlot* const tensor_;
  const float factor_;
};

// A picture in any layout to a plain vector (row, column, channel).
class FlattenOp : public Op {
 public:
  FlattenOp(TensorSlot* input, Shards* shards);

  TensorSlot* output() { return &output_; }

  void Forward(int shard, Pass pass) override;
  void Backward(int shard) override;

 private:
  TensorSlot* const input_;
  Shards* const shards_;
  TensorSlot output_;
  // output's memory seen as a picture, channels innermost.
  dnnl::memory::desc picture_;
  Kernel forward_;
  Kernel backward_;
};

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NN_SIMPLE_OPS_H_
