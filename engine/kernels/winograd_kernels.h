// The Winograd kernels of each instruction set. Which CPU may run which is the
// kernel table's business.

#ifndef TERN_ENGINE_KERNELS_WINOGRAD_KERNELS_H_
#define TERN_ENGINE_KERNELS_WINOGRAD_KERNELS_H_

#include <cstddef>

#include "engine/kernels/conv.h"
#include "engine/kernels/winograd.h"

namespace tern {

extern const ConvKernel kWinogradAvx512Vnni;

namespace winograd {

// One task of a call under a given blocking: what ConvKernel::run does with
// the blocking that ChooseBlocking returns, and what tests force.
void RunAvx512Vnni(const ConvCall& call, const Blocking& blocking, int task,
                   std::byte* scratch);

}  // namespace winograd
}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_WINOGRAD_KERNELS_H_
