// The reference kernels: plain loops, the oracle that every other kernel must
// equal bit for bit (NUMERICS.md). Compiled for the baseline instruction set.

#ifndef TERN_ENGINE_KERNELS_REFERENCE_H_
#define TERN_ENGINE_KERNELS_REFERENCE_H_

#include <cstddef>
#include <cstdint>

#include "engine/kernels/conv.h"
#include "engine/kernels/pool.h"

namespace tern::reference {

// The epilogue of one output (conv.h): `acc` is the layer's exact sum, `index`
// the output's place in output and residual.
void WriteOutput(const Epilogue& epilogue, float acc, int filter,
                 std::size_t index, void* output);

void Epilogues(const float* acc, int rows, int filters,
               const Epilogue& epilogue, void* output);
void Convert(const std::uint8_t* pixels, int count,
             const std::uint8_t* zero_point, int channels, float* converted);
void MaxPool(const PoolCall& call, int first, int rows);
void AveragePool(const PoolCall& call, int first, int rows);

}  // namespace tern::reference

#endif  // TERN_ENGINE_KERNELS_REFERENCE_H_
