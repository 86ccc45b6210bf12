#include <algorithm>
#include <cmath>

#include "engine/kernels/reference.h"

namespace tern::reference {
namespace {

float Residual(const Epilogue& epilogue, std::size_t index) {
  return epilogue.residual_type == OutputType::kU8
             ? static_cast<const std::uint8_t*>(epilogue.residual)[index]
             : static_cast<const std::int16_t*>(epilogue.residual)[index];
}

}  // namespace

void WriteOutput(const Epilogue& epilogue, float acc, int filter,
                 std::size_t index, void* output) {
  float f = std::fmaf(acc, epilogue.multiplier[filter], epilogue.bias[filter]);
  if (epilogue.residual != nullptr) {
    f = std::fmaf(Residual(epilogue, index), epilogue.residual_scale, f);
  }
  if (epilogue.output_type == OutputType::kF32) {
    static_cast<float*>(output)[index] = f;
    return;
  }
  const long y =
      std::lrintf(std::min(std::max(f, epilogue.low), epilogue.high));
  if (epilogue.output_type == OutputType::kU8) {
    static_cast<std::uint8_t*>(output)[index] = static_cast<std::uint8_t>(y);
  } else {
    static_cast<std::int16_t*>(output)[index] = static_cast<std::int16_t>(y);
  }
}

void Epilogues(const float* acc, int rows, int filters,
               const Epilogue& epilogue, void* output) {
  for (int row = 0; row < rows; ++row) {
    for (int k = 0; k < filters; ++k) {
      const std::size_t index = static_cast<std::size_t>(row) * filters + k;
      WriteOutput(epilogue, acc[index], k, index, output);
    }
  }
}

void Convert(const std::uint8_t* pixels, int count,
             const std::uint8_t* zero_point, int channels, float* converted) {
  for (int i = 0; i < count; ++i) {
    const int zero = zero_point == nullptr ? 0 : zero_point[i % channels];
    converted[i] = static_cast<float>(pixels[i] - zero);
  }
}

}  // namespace tern::reference
