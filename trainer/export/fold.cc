#include "trainer/export/fold.h"

#include <cmath>
#include <cstddef>

namespace tern::trainer {

NodeWeights FoldLayer(const ProductWeights& product,
                      const BatchNormNumbers* batch_norm,
                      const FoldScales& scales) {
  NodeWeights folded;
  const std::size_t filters = product.scale.size();
  const std::size_t size = product.codes.size() / filters;
  for (std::size_t k = 0; k < filters; ++k) {
    double g = 1;
    double shift = product.bias.value.empty() ? 0 : product.bias.value[k];
    if (batch_norm != nullptr) {
      g = batch_norm->gamma.value[k] /
          std::sqrt(double{batch_norm->running_variance[k]} +
                    double{kBatchNormEpsilon});
      shift += batch_norm->beta.value[k] - g * batch_norm->running_mean[k];
    }
    const double m = product.scale[k] * g * scales.input / scales.output;
    double c = shift / scales.output;
    const int sign = m < 0 ? -1 : 1;
    double zero_sum = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const float code = product.codes[k * size + i];
      if (product.quantizer == WeightQuantizer::kGrid) {
        folded.grid.push_back(static_cast<std::int16_t>(sign * code));
      } else {
        folded.ternary.push_back(static_cast<std::int8_t>(sign * code));
      }
      if (!scales.zero_point.empty()) {
        zero_sum +=
            double{code} * scales.zero_point[i % scales.zero_point.size()];
      }
    }
    c -= m * zero_sum;
    folded.multiplier.push_back(static_cast<float>(std::fabs(m)));
    folded.bias.push_back(static_cast<float>(c));
  }
  return folded;
}

}  // namespace tern::trainer
