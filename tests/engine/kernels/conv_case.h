// A convolution with all its data, for tests of kernels: random or made by
// hand, with its answer by plain loops over the definition (conv.h).
//
// Kernels run between guard bytes: a write outside of the packed weights, the
// output or the scratch fails the test.

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
  Epilogue epilogue;  // without its pointers
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

// A random 3x3 stride-1 layer: maps 1..20, odd channels (at least 16, so that
// Winograd takes it) and filters, padding 0 or 1 on each side, any epilogue.
ConvCase Random3x3Case(std::mt19937* random);

// A layer of any kind, with sizes that are multiples of nothing in particular.
ConvGeometry RandomGeometry(std::uint64_t seed);

// Instead of RandomCase's u8 of 8 bits. Multipliers follow the range.
void SetOutput(ConvCase* c, OutputType type, int bits = 8);
void AddResidual(ConvCase* c, OutputType type, std::mt19937* random);
void AddPadValue(ConvCase* c, std::mt19937* random);

// Sanitizers slow these loops down ten to a hundred times; they see a share of
// the cases, all of which release builds compare.
#if defined(__SANITIZE_THREAD__)
inline constexpr int kOneIn = 40;
#elif defined(__SANITIZE_ADDRESS__)
inline constexpr int kOneIn = 5;
#else
inline constexpr int kOneIn = 1;
#endif

// How a call is run: ConvKernel's functions of the same names, for some plan.
struct TaskRunner {
  int tasks;
  std::size_t scratch_bytes;
  std::function<void(const ConvCall& call, std::byte* scratch)> begin;
  std::function<void(const ConvCall& call, int task, std::byte* scratch)> run;
};

// Bytes between guards, 64-byte aligned, noise at first.
class GuardedBuffer {
 public:
  GuardedBuffer(std::size_t size, std::mt19937* random);
  std::byte* data() { return buffer_.data() + kGuardBytes; }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data());
  }
  std::size_t size() const { return buffer_.size() - 2 * kGuardBytes; }
  // Fails the test where a guard has changed.
  void ExpectIntact(const char* name) const;

 private:
  static constexpr std::size_t kGuardBytes = 256;
  AlignedBuffer buffer_;
};

GuardedBuffer PackCase(const ConvCase& c, const ConvKernel& kernel,
                       std::mt19937* random);

// The output's bytes after running all tasks in random order, each in one of
// two threads' scratch. What lies past the input's end differs by call.
std::vector<std::uint8_t> RunTasks(const ConvCase& c,
                                   const std::uint8_t* packed,
                                   const TaskRunner& runner,
                                   std::mt19937* random);

// The same through a kernel's own plan.
std::vector<std::uint8_t> RunKernel(const ConvCase& c, const ConvKernel& kernel,
                                    int threads, std::mt19937* random);

}  // namespace tern

#endif  // TERN_TESTS_ENGINE_KERNELS_CONV_CASE_H_
