// Pooling ops on a table's pooling kernels (kernels/pool.h).

#ifndef TERN_ENGINE_OPS_POOL_H_
#define TERN_ENGINE_OPS_POOL_H_

#include <memory>

#include "engine/kernels/kernels.h"
#include "engine/ops/op.h"

namespace tern {

struct PoolLayer {
  PoolGeometry geometry;
  bool average = false;
  OutputType input_type = OutputType::kU8;
  // Average only; max-pool keeps the type of its input.
  OutputType output_type = OutputType::kU8;
  float multiplier = 0;
  float low = 0;
  float high = 255;
};

std::unique_ptr<Op> MakePool(const KernelTable& table, const PoolLayer& layer);

}  // namespace tern

#endif  // TERN_ENGINE_OPS_POOL_H_
