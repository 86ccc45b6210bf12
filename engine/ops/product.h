// Ops that multiply: conv2d and linear, with ternary weights on the table's
// own kernels, or with grid weights (NUMERICS.md) on oneDNN.

#ifndef TERN_ENGINE_OPS_PRODUCT_H_
#define TERN_ENGINE_OPS_PRODUCT_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/kernels/kernels.h"
#include "engine/model/model_file.h"
#include "engine/ops/op.h"

namespace tern {

// One layer as the ops see it. A linear layer is a 1x1 convolution of a 1x1
// map.
struct ProductLayer {
  ConvGeometry geometry;
  NodeWeights weights;
  // Zero point of each of the picture's channels; empty: all 0. A linear
  // layer's inputs repeat them.
  std::vector<std::uint8_t> zero_point;
  OutputType output_type = OutputType::kU8;
  float low = 0;
  float high = 255;
  bool has_residual = false;
  OutputType residual_type = OutputType::kU8;
  float residual_scale = 0;  // scale of the residual / scale of the output
};

Epilogue MakeEpilogue(const ProductLayer& layer, const void* residual);

// The kernels of `table` for a ternary layer: the one called `preferred` where
// that applies, otherwise all that do. Never empty.
std::vector<const ConvKernel*> ConvKernelsFor(const KernelTable& table,
                                              const ConvGeometry& geometry,
                                              const std::int8_t* codes,
                                              std::string_view preferred);

// The one of them that predicts the least time for a batch.
const ConvKernel& FastestKernel(const std::vector<const ConvKernel*>& kernels,
                                const ConvGeometry& geometry, int batch);

// `kernels` are ConvKernelsFor the layer; each batch runs on the fastest.
// `pool`, where not null, is a 2x2 max-pool of the layer's outputs: kernels
// that cannot do it along the way leave their outputs to it in scratch, some
// pictures at a time.
std::unique_ptr<Op> MakeTernaryProduct(std::vector<const ConvKernel*> kernels,
                                       ProductLayer layer,
                                       std::unique_ptr<Op> pool);

// Input is u8. INTERNAL where oneDNN refuses.
absl::StatusOr<std::unique_ptr<Op>> MakeGridProduct(const KernelTable& table,
                                                    ProductLayer layer);

}  // namespace tern

#endif  // TERN_ENGINE_OPS_PRODUCT_H_
