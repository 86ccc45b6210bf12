#include "tests/engine/kernels/conv_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <sstream>

#include "engine/kernels/kernels.h"

namespace tern {
namespace {

int Uniform(int low, int high, std::mt19937* random) {
  return std::uniform_int_distribution<int>(low, high)(*random);
}

std::size_t OutputElements(const ConvGeometry& g, int batch) {
  return std::size_t{1} * batch * g.out_h * g.out_w * g.filters;
}

std::int32_t Accumulate(const ConvCase& c, int image, int y, int x, int k) {
  const ConvGeometry& g = c.geometry;
  const std::vector<std::uint8_t> zeros(c.pad_value.empty() ? g.in_c : 0);
  const std::uint8_t* padding =
      c.pad_value.empty() ? zeros.data() : c.pad_value.data();
  const std::int8_t* taps =
      c.codes.data() + std::size_t{1} * k * g.kernel_h * g.kernel_w * g.in_c;
  std::uint32_t acc = 0;
  for (int i = 0; i < g.kernel_h; ++i) {
    for (int j = 0; j < g.kernel_w; ++j, taps += g.in_c) {
      const int row = y * g.stride_h + i - g.pad_top;
      const int col = x * g.stride_w + j - g.pad_left;
      const bool inside = row >= 0 && row < g.in_h && col >= 0 && col < g.in_w;
      const std::size_t pixel =
          (std::size_t{1} * image * g.in_h + row) * g.in_w + col;
      const std::uint8_t* values =
          inside ? c.input.data() + pixel * g.in_c : padding;
      for (int ch = 0; ch < g.in_c; ++ch)
        acc += static_cast<std::uint32_t>(values[ch] * taps[ch]);
    }
  }
  return static_cast<std::int32_t>(acc);
}

float Value(const ConvCase& c, int image, int y, int x, int k) {
  const ConvGeometry& g = c.geometry;
  float f = std::fma(static_cast<float>(Accumulate(c, image, y, x, k)),
                     c.multiplier[k], c.bias[k]);
  if (!c.residual.empty()) {
    const std::size_t at =
        ((std::size_t{1} * image * g.out_h + y) * g.out_w + x) * g.filters + k;
    std::int16_t wide = c.residual[at];
    if (c.epilogue.residual_type == OutputType::kS16)
      std::memcpy(&wide, c.residual.data() + 2 * at, sizeof(wide));
    f = std::fma(static_cast<float>(wide), c.epilogue.residual_scale, f);
  }
  if (c.epilogue.output_type == OutputType::kF32) return f;
  return std::nearbyint(std::min(std::max(f, c.epilogue.low), c.epilogue.high));
}

void Store(float value, OutputType type, std::uint8_t* to) {
  if (type == OutputType::kU8) {
    *to = static_cast<std::uint8_t>(value);
  } else if (type == OutputType::kS16) {
    const auto narrow = static_cast<std::int16_t>(value);
    std::memcpy(to, &narrow, sizeof(narrow));
  } else {
    std::memcpy(to, &value, sizeof(value));
  }
}

template <typename T>
void FillWithNoise(T* data, std::size_t bytes, std::mt19937* random) {
  auto* at = reinterpret_cast<std::uint8_t*>(data);
  for (std::size_t i = 0; i < bytes; ++i)
    at[i] = static_cast<std::uint8_t>((*random)());
}

void ChooseEpilogue(ConvCase* c, std::mt19937* random) {
  const int output = Uniform(0, 5, random);
  if (output == 3) SetOutput(c, OutputType::kU8, Uniform(1, 7, random));
  if (output == 4) SetOutput(c, OutputType::kS16);
  if (output == 5) SetOutput(c, OutputType::kF32);
  const int residual = Uniform(0, 3, random);
  if (residual == 2) AddResidual(c, OutputType::kU8, random);
  if (residual == 3) AddResidual(c, OutputType::kS16, random);
}

}  // namespace

std::string ConvCase::Describe() const {
  const ConvGeometry& g = geometry;
  std::ostringstream text;
  text << "batch " << batch << ", " << g.in_h << "x" << g.in_w << "x" << g.in_c
       << " to " << g.out_h << "x" << g.out_w << "x" << g.filters << ", kernel "
       << g.kernel_h << "x" << g.kernel_w << ", stride " << g.stride_h << "x"
       << g.stride_w << ", pad " << g.pad_top << "," << g.pad_left
       << ", output " << static_cast<int>(epilogue.output_type) << " up to "
       << epilogue.high << ", residual "
       << (residual.empty() ? -1 : static_cast<int>(epilogue.residual_type))
       << ", pool " << epilogue.max_pool_2x2 << ", pad values "
       << !pad_value.empty();
  return text.str();
}

std::size_t ConvCase::output_bytes() const {
  ConvGeometry g = geometry;
  if (epilogue.max_pool_2x2) {
    g.out_h /= 2;
    g.out_w /= 2;
  }
  return OutputElements(g, batch) * ElementBytes(epilogue.output_type);
}

std::vector<std::uint8_t> ConvCase::Expected() const {
  const ConvGeometry& g = geometry;
  const int step = epilogue.max_pool_2x2 ? 2 : 1;
  const std::size_t bytes = ElementBytes(epilogue.output_type);
  std::vector<std::uint8_t> output(output_bytes());
  std::uint8_t* to = output.data();
  for (int n = 0; n < batch; ++n) {
    for (int y = 0; y + step <= g.out_h; y += step) {
      for (int x = 0; x + step <= g.out_w; x += step) {
        for (int k = 0; k < g.filters; ++k, to += bytes) {
          float best = Value(*this, n, y, x, k);
          for (int p = 1; p < step * step; ++p)
            best = std::max(best, Value(*this, n, y + p / 2, x + p % 2, k));
          Store(best, epilogue.output_type, to);
        }
      }
    }
  }
  return output;
}

ConvCase RandomCase(const ConvGeometry& geometry, int batch,
                    std::mt19937* random) {
  ConvCase c;
  c.geometry = geometry;
  c.batch = batch;
  const ConvGeometry& g = c.geometry;
  const int taps = g.kernel_h * g.kernel_w * g.in_c;
  c.codes.resize(std::size_t{1} * g.filters * taps);
  for (std::int8_t& code : c.codes)
    code = static_cast<std::int8_t>(Uniform(-1, 1, random));
  c.input.resize(std::size_t{1} * batch * g.in_h * g.in_w * g.in_c);
  FillWithNoise(c.input.data(), c.input.size(), random);
  const float spread = 120.0F * std::sqrt(static_cast<float>(taps));
  for (int k = 0; k < g.filters; ++k) {
    c.multiplier.push_back(static_cast<float>(Uniform(0, 99, random)) / spread);
    c.bias.push_back(static_cast<float>(Uniform(-200, 300, random)) / 1.7F);
  }
  return c;
}

void AddResidual(ConvCase* c, OutputType type, std::mt19937* random) {
  c->residual.resize(OutputElements(c->geometry, c->batch) *
                     ElementBytes(type));
  FillWithNoise(c->residual.data(), c->residual.size(), random);
  c->epilogue.residual_type = type;
  c->epilogue.residual_scale = type == OutputType::kU8 ? 0.37F : 0.003F;
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

void SetOutput(ConvCase* c, OutputType type, int bits) {
  Epilogue& e = c->epilogue;
  e.output_type = type;
  if (type == OutputType::kU8) {
    e.high = static_cast<float>((1 << bits) - 1);
  } else if (type == OutputType::kS16) {
    e.low = -32768;
    e.high = 32767;
    for (float& m : c->multiplier) m *= 128;
  }
}

void AddPadValue(ConvCase* c, std::mt19937* random) {
  c->pad_value.resize(c->geometry.in_c);
  FillWithNoise(c->pad_value.data(), c->pad_value.size(), random);
}

ConvCase Random3x3Case(std::mt19937* random) {
  ConvGeometry g;
  g.kernel_h = g.kernel_w = 3;
  g.pad_top = Uniform(0, 1, random);
  g.pad_left = Uniform(0, 1, random);
  const int pad_bottom = Uniform(0, 1, random);
  const int pad_right = Uniform(0, 1, random);
  g.in_h = Uniform(std::max(1, 3 - g.pad_top - pad_bottom), 20, random);
  g.in_w = Uniform(std::max(1, 3 - g.pad_left - pad_right), 20, random);
  g.out_h = g.in_h + g.pad_top + pad_bottom - 2;
  g.out_w = g.in_w + g.pad_left + pad_right - 2;
  // Mostly small: the plain loops are slow.
  g.in_c = Uniform(16, Uniform(0, 9, random) == 0 ? 150 : 40, random);
  g.filters = Uniform(1, Uniform(0, 9, random) == 0 ? 150 : 20, random);
  ConvCase c = RandomCase(g, Uniform(1, 2, random), random);
  ChooseEpilogue(&c, random);
  if (Uniform(0, 4, random) == 0) AddPadValue(&c, random);
  return c;
}

namespace {
constexpr std::uint8_t kGuard = 0xA5;
}

GuardedBuffer::GuardedBuffer(std::size_t size, std::mt19937* random)
    : buffer_(size + 2 * kGuardBytes) {
  std::memset(buffer_.data(), kGuard, buffer_.size());
  FillWithNoise(data(), size, random);
}

void GuardedBuffer::ExpectIntact(const char* name) const {
  const auto* bytes = buffer_.as<std::uint8_t>();
  for (std::size_t i = 0; i < kGuardBytes; ++i) {
    ASSERT_EQ(bytes[i], kGuard) << "a write in front of the " << name;
    ASSERT_EQ(bytes[buffer_.size() - 1 - i], kGuard)
        << "a write behind the " << name;
  }
}

GuardedBuffer PackCase(const ConvCase& c, const ConvKernel& kernel,
                       std::mt19937* random) {
  GuardedBuffer packed(kernel.packed_bytes(c.geometry), random);
  kernel.pack(c.geometry, c.codes.data(), packed.as<std::uint8_t>());
  packed.ExpectIntact("packed weights");
  return packed;
}

std::vector<std::uint8_t> RunTasks(const ConvCase& c,
                                   const std::uint8_t* packed,
                                   const TaskRunner& runner,
                                   std::mt19937* random) {
  AlignedBuffer input(c.input.size());
  FillWithNoise(input.data(), c.input.size() + kOverreadBytes, random);
  std::copy(c.input.begin(), c.input.end(), input.as<std::uint8_t>());
  GuardedBuffer scratch[2] = {GuardedBuffer(runner.scratch_bytes, random),
                              GuardedBuffer(runner.scratch_bytes, random)};
  GuardedBuffer output(c.output_bytes(), random);
  ConvCall call;
  call.geometry = &c.geometry;
  call.batch = c.batch;
  call.input = input.as<std::uint8_t>();
  call.pad_value = c.pad_value.empty() ? nullptr : c.pad_value.data();
  call.packed = packed;
  call.epilogue = c.epilogue;
  call.epilogue.multiplier = c.multiplier.data();
  call.epilogue.bias = c.bias.data();
  call.epilogue.residual = c.residual.empty() ? nullptr : c.residual.data();
  call.output = output.data();
  for (GuardedBuffer& thread : scratch) runner.begin(call, thread.data());
  std::vector<int> order(runner.tasks);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), *random);
  for (const int task : order)
    runner.run(call, task, scratch[(*random)() % 2].data());
  for (const GuardedBuffer& thread : scratch) thread.ExpectIntact("scratch");
  output.ExpectIntact("output");
  const auto* first = output.as<std::uint8_t>();
  return {first, first + output.size()};
}

std::vector<std::uint8_t> RunKernel(const ConvCase& c, const ConvKernel& kernel,
                                    int threads, std::mt19937* random) {
  GuardedBuffer packed = PackCase(c, kernel, random);
  const TaskRunner runner = {
      kernel.tasks(c.geometry, c.batch, threads),
      kernel.scratch_bytes(c.geometry, c.batch, threads),
      [&](const ConvCall& call, std::byte* scratch) {
        kernel.begin(call, threads, scratch);
      },
      [&](const ConvCall& call, int task, std::byte* scratch) {
        kernel.run(call, threads, task, scratch);
      }};
  return RunTasks(c, packed.as<std::uint8_t>(), runner, random);
}

}  // namespace tern
