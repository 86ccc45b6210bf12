// What a KernelTable holds, and the tables. For the engine's own ops and for
// tests; everyone else selects tables and passes them on (kernel_table.h).
//
// A new instruction set is one more table: its files are named after it,
// compiled with its flags (tern_isa_source) and included by nobody. What it
// has no own version of, it takes from the reference table.

#ifndef TERN_ENGINE_KERNELS_KERNELS_H_
#define TERN_ENGINE_KERNELS_KERNELS_H_

#include <span>
#include <string_view>

#include "engine/kernels/conv.h"
#include "engine/kernels/pool.h"

namespace tern {

// Applies a layer's epilogue (conv.h, without max-pool) to `rows` rows of
// exact sums. acc, output and residual are dense [rows][filters]; `output` and
// `residual` of the epilogue point to the first of these rows.
using EpilogueFunction = void (*)(const float* acc, int rows, int filters,
                                  const Epilogue& epilogue, void* output);

// converted[i] = float(pixel[i] - zero_point[i % channels]); a null zero_point
// means zeros.
using ConvertFunction = void (*)(const std::uint8_t* pixels, int count,
                                 const std::uint8_t* zero_point, int channels,
                                 float* converted);

constexpr std::size_t ElementBytes(OutputType type) {
  return type == OutputType::kU8 ? 1 : type == OutputType::kS16 ? 2 : 4;
}

struct KernelTable {
  std::string_view name;
  bool (*is_supported)();
  // A call takes the one that applies and predicts the least time. At least
  // one applies to every layer. They read the same packed weights.
  std::span<const ConvKernel* const> conv;
  PoolFunction max_pool;
  PoolFunction average_pool;
  EpilogueFunction epilogue;
  ConvertFunction convert;
};

// All tables of this build, best first for this CPU; the last is the reference.
std::span<const KernelTable* const> AllKernelTables();
const KernelTable& ReferenceKernels();

// Whether every kernel of the table reproduces the known answer. Only for
// tables that the CPU supports.
bool ReproducesKnownAnswer(const KernelTable& table);

// Kernels of the tables.
extern const ConvKernel kConvReference;
extern const ConvKernel kDirectAmx;
extern const ConvKernel kDirectAvx2;
extern const ConvKernel kDirectAvx512Vnni;
extern const ConvKernel kDirectAvx512VnniWide;
extern const ConvKernel kDirectNeon;

}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_KERNELS_H_
