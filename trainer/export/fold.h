// Folding: one layer's weights, batch norm and scales into the integer form
// of engine/NUMERICS.md:
//
//   y = acc * m + c,   acc = sum of (input integer) * code
//   m = alpha * g * s_x / s_y         g = gamma / sqrt(variance + epsilon)
//   c = (beta - g * mean) / s_y       (bias / s_y without batch norm)
//
// where s_x, s_y are the real values of one step of input and output. A
// ternary layer that reads the picture sums over raw pixels, so the zero
// point's part, m * sum zero_point * code, moves into c. Filters with negative
// m get negated codes: then m >= 0 everywhere and max-pool commutes with the
// epilogue. Computed in double, stored as f32. Pure functions, thread-safe.

#ifndef TERN_TRAINER_EXPORT_FOLD_H_
#define TERN_TRAINER_EXPORT_FOLD_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/model/model_file.h"
#include "trainer/nn/batch_norm_op.h"
#include "trainer/nn/product_op.h"

namespace tern::trainer {

struct FoldScales {
  double input = 1;
  double output = 1;
  // Ternary layer on the picture: one for each channel, channels innermost
  // in the codes. Empty elsewhere.
  std::vector<std::uint32_t> zero_point;
};

// `batch_norm` may be null. Codes go to NodeWeights::grid where the quantiser
// is kGrid, to ::ternary otherwise; they must fit it.
NodeWeights FoldLayer(const ProductWeights& product,
                      const BatchNormNumbers* batch_norm,
                      const FoldScales& scales);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_EXPORT_FOLD_H_
