// The Winograd kernels of each instruction set. Which CPU may run which is the
// kernel table's business.

#ifndef TERN_ENGINE_KERNELS_WINOGRAD_KERNELS_H_
#define TERN_ENGINE_KERNELS_WINOGRAD_KERNELS_H_

#include "engine/kernels/conv.h"

namespace tern {

extern const ConvKernel kWinogradAvx512Vnni;
extern const ConvKernel kWinogradAvx512VnniWide;
extern const ConvKernel kWinogradAvx2;

}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_WINOGRAD_KERNELS_H_
