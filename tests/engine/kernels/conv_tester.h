// ConvTester: runs one random layer through a kernel and through the
// reference, and expects the same bits.
//
//   ConvTester(geometry).Batch(3).Threads(2).Seed(7).ExpectEqualsReference(k);
//
// Guard bytes around output and scratch must survive.

#ifndef TERN_TESTS_ENGINE_KERNELS_CONV_TESTER_H_
#define TERN_TESTS_ENGINE_KERNELS_CONV_TESTER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"

namespace tern::testing {

enum class Weights { kRandom, kAllPlus, kAllMinus, kSparse };
enum class Inputs { kRandom, kZeros, kOnes255, kExtremes };
enum class Residual { kNone, kU8, kS16 };

class ConvTester {
 public:
  explicit ConvTester(const ConvGeometry& geometry) : geometry_(geometry) {}
  ConvTester& Batch(int batch);
  ConvTester& Threads(int threads);
  ConvTester& Seed(std::uint64_t seed);
  ConvTester& OfWeights(Weights weights);
  ConvTester& OfInputs(Inputs inputs);
  ConvTester& WithResidual(Residual residual);
  ConvTester& Output(OutputType type);
  ConvTester& Bits(int bits);  // of a u8 output
  ConvTester& PadValue();      // random bytes instead of zeros
  ConvTester& MaxPool();

  // Whether the kernel takes this layer's weights.
  bool AppliesTo(const ConvKernel& kernel) const;
  void ExpectEqualsReference(const ConvKernel& kernel) const;
  std::string Description() const;

 private:
  struct Data;
  Data MakeData() const;
  std::vector<std::uint8_t> RunKernel(const ConvKernel& kernel,
                                      const Data& data, bool pool) const;
  std::vector<std::uint8_t> PoolReference(
      const std::vector<std::uint8_t>& output) const;

  ConvGeometry geometry_;
  int batch_ = 1;
  int threads_ = 1;
  std::uint64_t seed_ = 1;
  Weights weights_ = Weights::kRandom;
  Inputs inputs_ = Inputs::kRandom;
  Residual residual_ = Residual::kNone;
  OutputType output_ = OutputType::kU8;
  int bits_ = 8;
  bool pad_value_ = false;
  bool max_pool_ = false;
};

// A layer with sizes that are multiples of nothing in particular.
ConvGeometry RandomGeometry(std::uint64_t seed);

}  // namespace tern::testing

#endif  // TERN_TESTS_ENGINE_KERNELS_CONV_TESTER_H_
