#include "trainer/nn/loss.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace tern::trainer {

LossResult SoftmaxCrossEntropy(absl::Span<const float> logits,
                               absl::Span<const std::uint8_t> labels,
                               double label_smoothing, double gradient_scale,
                               absl::Span<float> gradients) {
  LossResult result;
  const std::size_t classes = logits.size() / labels.size();
  const double off = label_smoothing / static_cast<double>(classes);
  std::vector<double> p(classes);
  for (std::size_t n = 0; n < labels.size(); ++n) {
    const absl::Span<const float> row = logits.subspan(n * classes, classes);
    const auto top = std::max_element(row.begin(), row.end());
    result.correct += top - row.begin() == labels[n] ? 1 : 0;
    double sum = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      p[k] = std::exp(double{row[k]} - double{*top});
      sum += p[k];
    }
    const double log_sum = std::log(sum) + double{*top};
    for (std::size_t k = 0; k < classes; ++k) {
      const double target = off + (k == labels[n] ? 1 - label_smoothing : 0);
      result.loss_sum += target * (log_sum - double{row[k]});
      if (!gradients.empty()) {
        gradients[n * classes + k] =
            static_cast<float>((p[k] / sum - target) * gradient_scale);
      }
    }
  }
  return result;
}

}  // namespace tern::trainer
