// Epilogue and conversion of each instruction set (kernels.h has the
// contracts). A leaf header.

#ifndef TERN_ENGINE_KERNELS_EPILOGUE_KERNELS_H_
#define TERN_ENGINE_KERNELS_EPILOGUE_KERNELS_H_

#include <cstdint>

#include "engine/kernels/conv.h"

namespace tern {

void EpiloguesAvx2(const float* acc, int rows, int filters, const Epilogue& e,
                   void* output);
void ConvertAvx2(const std::uint8_t* pixels, int count,
                 const std::uint8_t* zero_point, int channels,
                 float* converted);

}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_EPILOGUE_KERNELS_H_
