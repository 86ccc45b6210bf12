// Pooling of each instruction set (pool.h has the contract). A leaf header.

#ifndef TERN_ENGINE_KERNELS_POOL_KERNELS_H_
#define TERN_ENGINE_KERNELS_POOL_KERNELS_H_

#include "engine/kernels/pool.h"

namespace tern {

void MaxPoolAvx2(const PoolCall& call, int first, int rows);

}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_POOL_KERNELS_H_
