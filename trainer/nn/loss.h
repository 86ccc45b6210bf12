// Softmax cross-entropy with label smoothing (Szegedy et al., arXiv
// 1512.00567, section 7). Pure function, thread-safe.

#ifndef TERN_TRAINER_NN_LOSS_H_
#define TERN_TRAINER_NN_LOSS_H_

#include <cstdint>

#include "absl/types/span.h"

namespace tern::trainer {

struct LossResult {
  double loss_sum = 0;
  int correct = 0;
};

// `logits`: labels.size() x classes. Where `gradients` is not empty (same
// size), it receives d(loss_sum)/d(logit) * gradient_scale. A picture counts
// as correct where its label's logit is the largest, the first of equals.
LossResult SoftmaxCrossEntropy(absl::Span<const float> logits,
                               absl::Span<const std::uint8_t> labels,
                               double label_smoothing, double gradient_scale,
                               absl::Span<float> gradients);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NN_LOSS_H_
