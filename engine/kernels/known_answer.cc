// The check that a table must pass before it serves: small layers with fixed
// inputs, whose outputs' hashes are written down here. It catches a CPU, an
// emulator or a build whose instructions do not do what the kernels expect.

#include <algorithm>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/kernels/kernels.h"

namespace tern {
namespace {

struct KnownLayer {
  ConvGeometry geometry;
  int batch;
  std::uint64_t hash;
};

const KnownLayer kLayers[] = {
    {{.in_h = 13,
      .in_w = 10,
      .in_c = 64,
      .out_h = 13,
      .out_w = 10,
      .filters = 72,
      .kernel_h = 3,
      .kernel_w = 3,
      .pad_top = 1,
      .pad_left = 1},
     2,
     0xffa440800d8aab62},
    {{.in_h = 9,
      .in_w = 11,
      .in_c = 3,
      .out_h = 5,
      .out_w = 6,
      .filters = 33,
      .kernel_h = 5,
      .kernel_w = 5,
      .stride_h = 2,
      .stride_w = 2,
      .pad_top = 2,
      .pad_left = 2},
     1,
     0x2ecff52a1a8cf7e3},
    {{.in_c = 130, .filters = 70}, 7, 0x5f12e316a17870b8},
};

// SplitMix64 (Steele, Lea, Flood 2014).
std::uint64_t Next(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// FNV-1a, 64 bits.
std::uint64_t Hash(const std::uint8_t* bytes, std::size_t size) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < size; ++i) {
    hash = (hash ^ bytes[i]) * 0x100000001b3;
  }
  return hash;
}

struct LayerData {
  std::vector<std::int8_t> codes;
  std::vector<float> multiplier;
  std::vector<float> bias;
  AlignedBuffer input;
  std::size_t input_size;
  std::size_t output_size;
};

LayerData MakeData(const ConvGeometry& g, int batch) {
  std::uint64_t random = 1;
  LayerData data;
  data.codes.resize(std::size_t{1} * g.filters * g.kernel_h * g.kernel_w *
                    g.in_c);
  for (std::int8_t& code : data.codes) {
    code = static_cast<std::int8_t>(static_cast<int>(Next(random) % 3) - 1);
  }
  for (int k = 0; k < g.filters; ++k) {
    data.multiplier.push_back(static_cast<float>(Next(random) % 64 + 1) / 512);
    data.bias.push_back(static_cast<float>(Next(random) % 256));
  }
  data.input_size = std::size_t{1} * batch * g.in_h * g.in_w * g.in_c;
  data.output_size = std::size_t{1} * batch * g.out_h * g.out_w * g.filters;
  data.input = AlignedBuffer(data.input_size);
  for (std::size_t i = 0; i < data.input_size; ++i) {
    data.input.as<std::uint8_t>()[i] =
        static_cast<std::uint8_t>(Next(random) >> 56);
  }
  return data;
}

bool Reproduces(const ConvKernel& kernel, const KnownLayer& layer) {
  const ConvGeometry& g = layer.geometry;
  const LayerData data = MakeData(g, layer.batch);
  if (!kernel.applies(g, data.codes.data())) return true;
  AlignedBuffer packed(kernel.packed_bytes(g));
  kernel.pack(g, data.codes.data(), packed.as<std::uint8_t>());
  AlignedBuffer output(data.output_size);
  ConvCall call;
  call.geometry = &g;
  call.batch = layer.batch;
  call.input = data.input.as<std::uint8_t>();
  call.packed = packed.as<std::uint8_t>();
  call.epilogue.multiplier = data.multiplier.data();
  call.epilogue.bias = data.bias.data();
  call.output = output.data();
  const int tasks = kernel.tasks(g, layer.batch, 1);
  AlignedBuffer scratch(kernel.scratch_bytes(g, layer.batch, 1));
  kernel.begin(call, 1, scratch.data());
  for (int task = 0; task < tasks; ++task) {
    kernel.run(call, 1, task, scratch.data());
  }
  return Hash(output.as<std::uint8_t>(), data.output_size) == layer.hash;
}

}  // namespace

bool ReproducesKnownAnswer(const KernelTable& table) {
  return std::all_of(
      table.conv.begin(), table.conv.end(), [](const ConvKernel* kernel) {
        return std::all_of(std::begin(kLayers), std::end(kLayers),
                           [kernel](const KnownLayer& layer) {
                             return Reproduces(*kernel, layer);
                           });
      });
}

}  // namespace tern
