// BatchNormOp: batch normalisation (Ioffe, Szegedy, arXiv 1502.03167), or in
// its folded form a multiplication and an addition for each channel.
//
// Each shard normalises by its own statistics ("ghost batches"); running
// statistics pool all shards of a step.

#ifndef TERN_TRAINER_NN_BATCH_NORM_OP_H_
#define TERN_TRAINER_NN_BATCH_NORM_OP_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "trainer/nn/dnnl_support.h"
#include "trainer/nn/op.h"

namespace tern::trainer {

inline constexpr float kBatchNormEpsilon = 1e-5F;
// Weight of a new step's statistics in the running ones.
inline constexpr float kBatchNormMomentum = 0.1F;

struct BatchNormNumbers {
  Parameter gamma;
  Parameter beta;
  std::vector<float> running_mean;
  std::vector<float> running_variance;
};

class BatchNormOp : public Op {
 public:
  BatchNormOp(const std::string& name, int channels, TensorSlot* input,
              Shards* shards, bool train);

  BatchNormNumbers& numbers() { return numbers_; }
  TensorSlot* output() { return &output_; }

  // Folded form: y = multiplier * x + bias from now on, in kEvaluate.
  void SetAffine(absl::Span<const float> multiplier,
                 absl::Span<const float> bias);

  void PrepareStep(ThreadPool& pool) override;
  void Forward(int shard, Pass pass) override;
  void Backward(int shard) override;
  void FinishStep(ThreadPool& pool) override;

 private:
  const int channels_;
  TensorSlot* const input_;
  TensorSlot output_;
  BatchNormNumbers numbers_;
  bool affine_fixed_ = false;
  // Pairs of rows: gamma over beta.
  dnnl::memory train_scale_shift_;
  dnnl::memory evaluate_scale_shift_;
  dnnl::memory zero_mean_;
  dnnl::memory one_variance_;
  Kernel train_forward_;
  Kernel train_backward_;
  Kernel evaluate_forward_;
  // For each shard.
  std::vector<dnnl::memory> mean_;
  std::vector<dnnl::memory> variance_;
  std::vector<dnnl::memory> scale_shift_gradient_;
};

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NN_BATCH_NORM_OP_H_
