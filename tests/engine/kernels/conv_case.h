// A convolution with all its data, for tests of kernels: random or made by
// hand, with its answer by plain loops over the definition (conv.h).

#ifndef TERN_TESTS_ENGINE_KERNELS_CONV_CASE_H_
#define TERN_TESTS_ENGINE_KERNELS_CONV_CASE_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/kernels/conv.h"

namespace tern {

struct ConvCase {
  ConvGeometry geometry;
  int batch = 1;
  Epilogue epilogue;  // pointers are set by MakeCall
  std::vector<std::int8_t> codes;
  std::vector<std::uint8_t> input;      // without the bytes past its end
  std::vector<std::uint8_t> pad_value;  // may be empty
  std::vector<float> multiplier, bias;
  std::vector<std::uint8_t> residual;  // bytes; may be empty

  // Shape, epilogue: for messages.
  std::string Describe() const;
  std::size_t output_bytes() const;
  // `output`'s bytes by the definition.
  std::vector<std::uint8_t> Expected() const;
};

// Zero padding, u8 output, multiplier that spreads results over 0..255, random
// codes, input and bias.
ConvCase RandomCase(const ConvGeometry& geometry, int batch,
                    std::mt19937* random);

// A random 3x3 stride-1 layer: maps 1..20, odd channels and filters, padding 0
// or 1 on each side, any epilogue.
ConvCase Random3x3Case(std::mt19937* random);

void AddResidual(ConvCase* c, OutputType type, std::mt19937* random);

// Runs one task of a call in `scratch`.
using RunTask =
    std::function<void(const ConvCall& call, int task, std::byte* scratch)>;

// The output's bytes after running `tasks` tasks in random order. Scratch and
// output start as noise, and the bytes past the input's end differ by call.
std::vector<std::uint8_t> RunTasks(const ConvCase& c,
                                   const std::uint8_t* packed, int tasks,
                                   std::size_t scratch_bytes,
                                   const RunTask& run, std::mt19937* random);

// The same through a kernel's own plan.
std::vector<std::uint8_t> RunKernel(const ConvCase& c, const ConvKernel& kernel,
                                    int threads, std::mt19937* random);

AlignedBuffer PackCase(const ConvCase& c, const ConvKernel& kernel);

}  // namespace tern

#endif  // TERN_TESTS_ENGINE_KERNELS_CONV_CASE_H_
