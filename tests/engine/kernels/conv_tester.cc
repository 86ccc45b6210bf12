#include "tests/engine/kernels/conv_tester.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <sstream>

#include "engine/base/aligned_buffer.h"
#include "engine/kernels/reference.h"

namespace tern::testing {
namespace {

constexpr std::size_t kGuardBytes = 256;
constexpr std::uint8_t kGuard = 0xA5;

// Bytes with guards on both sides, the payload 64-byte aligned.
class Guarded {
 public:
  explicit Guarded(std::size_t size)
      : buffer_(size + 2 * kGuardBytes), size_(size) {
    std::memset(buffer_.data(), kGuard, buffer_.size());
  }
  std::byte* data() { return buffer_.data() + kGuardBytes; }
  bool intact() const {
    const auto* bytes = buffer_.as<std::uint8_t>();
    for (std::size_t i = 0; i < kGuardBytes; ++i) {
      if (bytes[i] != kGuard || bytes[kGuardBytes + size_ + i] != kGuard) {
        return false;
      }
    }
    return true;
  }

 private:
  AlignedBuffer buffer_;
  std::size_t size_;
};

}  // namespace

struct ConvTester::Data {
  std::vector<std::int8_t> codes;
  std::vector<float> multiplier, bias;
  AlignedBuffer input;
  std::vector<std::uint8_t> pad;
  std::vector<std::int16_t> residual;  // or bytes of u8
};

ConvTester& ConvTester::Batch(int batch) {
  batch_ = batch;
  return *this;
}
ConvTester& ConvTester::Threads(int threads) {
  threads_ = threads;
  return *this;
}
ConvTester& ConvTester::Seed(std::uint64_t seed) {
  seed_ = seed;
  return *this;
}
ConvTester& ConvTester::OfWeights(Weights weights) {
  weights_ = weights;
  return *this;
}
ConvTester& ConvTester::OfInputs(Inputs inputs) {
  inputs_ = inputs;
  return *this;
}
ConvTester& ConvTester::WithResidual(Residual residual) {
  residual_ = residual;
  return *this;
}
ConvTester& ConvTester::Output(OutputType type) {
  output_ = type;
  return *this;
}
ConvTester& ConvTester::Bits(int bits) {
  bits_ = bits;
  return *this;
}
ConvTester& ConvTester::PadValue() {
  pad_value_ = true;
  return *this;
}
ConvTester& ConvTester::MaxPool() {
  max_pool_ = true;
  return *this;
}

ConvTester::Data ConvTester::MakeData() const {
  const ConvGeometry& g = geometry_;
  std::mt19937_64 random(seed_);
  Data data;
  const std::size_t depth = std::size_t{1} * g.kernel_h * g.kernel_w * g.in_c;
  data.codes.resize(depth * g.filters);
  for (std::int8_t& code : data.codes) {
    const int draw = static_cast<int>(random() % 3) - 1;
    switch (weights_) {
      case Weights::kRandom:
        code = static_cast<std::int8_t>(draw);
        break;
      case Weights::kAllPlus:
        code = 1;
        break;
      case Weights::kAllMinus:
        code = -1;
        break;
      case Weights::kSparse:
        code = static_cast<std::int8_t>(random() % 16 == 0 ? draw : 0);
        break;
    }
  }
  // Spreads outputs over the range, with clamping at both ends.
  const double spread = (output_ == OutputType::kU8 ? 100.0 : 20000.0) /
                        (120.0 * std::sqrt(static_cast<double>(depth)));
  for (int k = 0; k < g.filters; ++k) {
    data.multiplier.push_back(static_cast<float>(
        k % 17 == 5 ? 0 : spread * static_cast<double>(random() % 1000) / 500));
    data.bias.push_back(static_cast<float>(random() % 4001) / 20 - 50);
  }
  data.input =
      AlignedBuffer(std::size_t{1} * batch_ * g.in_h * g.in_w * g.in_c);
  for (std::size_t i = 0; i < data.input.size(); ++i) {
    const auto draw = static_cast<std::uint8_t>(random() >> 56);
    std::uint8_t& x = data.input.as<std::uint8_t>()[i];
    x = inputs_ == Inputs::kRandom    ? draw
        : inputs_ == Inputs::kZeros   ? 0
        : inputs_ == Inputs::kOnes255 ? 255
        : (draw & 1) != 0             ? 255
                                      : 0;
  }
  // What over-reads find must not matter.
  std::memset(data.input.data() + data.input.size(), 0xFF, kOverreadBytes);
  for (int c = 0; c < g.in_c; ++c) {
    data.pad.push_back(static_cast<std::uint8_t>(random() >> 56));
  }
  data.residual.resize(std::size_t{1} * batch_ * g.out_h * g.out_w * g.filters);
  for (std::int16_t& r : data.residual) {
    r = static_cast<std::int16_t>(random() >> 48);
  }
  return data;
}

std::vector<std::uint8_t> ConvTester::RunKernel(const ConvKernel& kernel,
                                                const Data& data,
                                                bool pool) const {
  const ConvGeometry& g = geometry_;
  Guarded packed(kernel.packed_bytes(g));
  kernel.pack(g, data.codes.data(),
              reinterpret_cast<std::uint8_t*>(packed.data()));
  EXPECT_TRUE(packed.intact()) << "pack wrote outside of packed_bytes";
  const int out_h = pool ? g.out_h / 2 : g.out_h;
  const int out_w = pool ? g.out_w / 2 : g.out_w;
  const std::size_t bytes = std::size_t{1} * batch_ * out_h * out_w *
                            g.filters * ElementBytes(output_);
  Guarded output(bytes);
  Guarded scratch(kernel.scratch_bytes(g, batch_, threads_));
  ConvCall call;
  call.geometry = &g;
  call.batch = batch_;
  call.input = data.input.as<std::uint8_t>();
  call.pad_value = pad_value_ ? data.pad.data() : nullptr;
  call.packed = reinterpret_cast<std::uint8_t*>(packed.data());
  Epilogue& e = call.epilogue;
  e.multiplier = data.multiplier.data();
  e.bias = data.bias.data();
  if (residual_ != Residual::kNone) {
    e.residual = data.residual.data();
    e.residual_type =
        residual_ == Residual::kU8 ? OutputType::kU8 : OutputType::kS16;
    e.residual_scale = residual_ == Residual::kU8 ? 0.37F : 0.0041F;
  }
  e.output_type = output_;
  e.low = output_ == OutputType::kU8 ? 0 : -32768;
  e.high =
      output_ == OutputType::kU8 ? static_cast<float>((1 << bits_) - 1) : 32767;
  e.max_pool_2x2 = pool;
  call.output = output.data();
  const int tasks = kernel.tasks(g, batch_, threads_);
  EXPECT_GE(tasks, 1);
  // Backwards: tasks may run in any order.
  for (int task = tasks - 1; task >= 0; --task) {
    kernel.run(call, threads_, task, scratch.data());
  }
  EXPECT_TRUE(output.intact()) << "wrote outside of the output";
  EXPECT_TRUE(scratch.intact()) << "wrote outside of the scratch";
  const auto* first = reinterpret_cast<const std::uint8_t*>(output.data());
  return {first, first + bytes};
}

std::vector<std::uint8_t> ConvTester::PoolReference(
    const std::vector<std::uint8_t>& output) const {
  PoolGeometry pool;
  pool.in_h = geometry_.out_h;
  pool.in_w = geometry_.out_w;
  pool.channels = geometry_.filters;
  pool.out_h = geometry_.out_h / 2;
  pool.out_w = geometry_.out_w / 2;
  pool.kernel_h = pool.kernel_w = pool.stride_h = pool.stride_w = 2;
  std::vector<std::uint8_t> pooled(std::size_t{1} * batch_ * pool.out_h *
                                   pool.out_w * pool.channels *
                                   ElementBytes(output_));
  PoolCall call;
  call.geometry = &pool;
  call.input_type = output_;
  call.input = output.data();
  call.output = pooled.data();
  reference::MaxPool(call, 0, batch_ * pool.out_h);
  return pooled;
}

bool ConvTester::AppliesTo(const ConvKernel& kernel) const {
  return kernel.applies(geometry_, MakeData().codes.data());
}

void ConvTester::ExpectEqualsReference(const ConvKernel& kernel) const {
  const Data data = MakeData();
  ASSERT_TRUE(kernel.applies(geometry_, data.codes.data())) << Description();
  std::vector<std::uint8_t> expected = RunKernel(kConvReference, data, false);
  if (max_pool_) expected = PoolReference(expected);
  const std::vector<std::uint8_t> actual = RunKernel(kernel, data, max_pool_);
  ASSERT_EQ(actual.size(), expected.size());
  std::size_t differ = 0;
  std::size_t first = 0;
  for (std::size_t i = actual.size(); i-- > 0;) {
    if (actual[i] != expected[i]) {
      ++differ;
      first = i;
    }
  }
  EXPECT_EQ(differ, 0) << Description() << ": byte " << first << " is "
                       << int{actual[first]} << ", reference "
                       << int{expected[first]};
}

std::string ConvTester::Description() const {
  const ConvGeometry& g = geometry_;
  std::ostringstream text;
  text << "batch " << batch_ << " threads " << threads_ << " in " << g.in_h
       << "x" << g.in_w << "x" << g.in_c << " out " << g.out_h << "x" << g.out_w
       << "x" << g.filters << " kernel " << g.kernel_h << "x" << g.kernel_w
       << " stride " << g.stride_h << "," << g.stride_w << " pad " << g.pad_top
       << "," << g.pad_left << " output " << static_cast<int>(output_)
       << " residual " << static_cast<int>(residual_) << " pad_value "
       << pad_value_ << " pool " << max_pool_ << " seed " << seed_;
  return text.str();
}

ConvGeometry RandomGeometry(std::uint64_t seed) {
  std::mt19937_64 random(seed * 7919 + 13);
  const auto between = [&random](int low, int high) {
    return low + static_cast<int>(random() % (high - low + 1));
  };
  ConvGeometry g;
  g.filters = between(1, 150);
  g.in_c = between(0, 3) == 0 ? between(1, 4) : between(1, 150);
  if (between(0, 4) == 0) {
    g.in_c = between(1, 700);
    return g;
  }
  g.kernel_h = between(1, 5);
  g.kernel_w = between(1, 5);
  g.stride_h = between(1, 3);
  g.stride_w = between(1, 3);
  g.pad_top = between(0, g.kernel_h - 1);
  g.pad_left = between(0, g.kernel_w - 1);
  g.in_h = between(1, 14);
  g.in_w = between(1, 14);
  const int pad_bottom = between(0, g.kernel_h - 1);
  const int pad_right = between(0, g.kernel_w - 1);
  g.in_h = std::max(g.in_h, g.kernel_h - g.pad_top - pad_bottom);
  g.in_w = std::max(g.in_w, g.kernel_w - g.pad_left - pad_right);
  g.out_h = (g.in_h + g.pad_top + pad_bottom - g.kernel_h) / g.stride_h + 1;
  g.out_w = (g.in_w + g.pad_left + pad_right - g.kernel_w) / g.stride_w + 1;
  return g;
}

}  // namespace tern::testing
