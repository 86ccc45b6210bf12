#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/base/status_macros.h"
#include "engine/ops/product.h"

namespace tern {
namespace {

// The batch that the choice of a kernel is made for: packed weights have one
// kernel's layout, and throughput matters most where batches form.
constexpr int kPlannedBatch = 8;

std::size_t RoundUp64(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

class TernaryProduct : public Op {
 public:
  TernaryProduct(const ConvKernel& kernel, ProductLayer layer)
      : kernel_(kernel),
        layer_(std::move(layer)),
        packed_(kernel.packed_bytes(layer_.geometry)) {
    kernel_.pack(layer_.geometry, layer_.weights.ternary.data(),
                 packed_.as<std::uint8_t>());
    // Assigning {} would keep the memory.
    std::vector<std::int8_t>().swap(layer_.weights.ternary);
  }

  std::string Kernel() const override { return std::string(kernel_.name); }

  std::size_t PackedBytes() const override {
    return packed_.size() + 2 * sizeof(float) * layer_.weights.bias.size();
  }

  std::size_t ScratchBytes(int batch, int threads) const override {
    return threads * TaskScratch(batch, threads);
  }

  absl::Status Run(const OpCall& call) const override {
    const int threads = call.pool->threads();
    const ConvCall conv = MakeCall(call);
    const int tasks = kernel_.tasks(layer_.geometry, call.batch, threads);
    const std::size_t scratch = TaskScratch(call.batch, threads);
    std::atomic<int> next = 0;
    call.pool->ParallelForSlots(
        std::min(threads, tasks), [&](std::size_t, int slot) {
          std::byte* own = call.scratch + scratch * slot;
          int task = next.fetch_add(1);
          if (task >= tasks) return;
          kernel_.begin(conv, threads, own);
          for (; task < tasks; task = next.fetch_add(1)) {
            kernel_.run(conv, threads, task, own);
          }
        });
    return absl::OkStatus();
  }

 private:
  std::size_t TaskScratch(int batch, int threads) const {
    return RoundUp64(kernel_.scratch_bytes(layer_.geometry, batch, threads));
  }

  ConvCall MakeCall(const OpCall& call) const {
    ConvCall conv;
    conv.geometry = &layer_.geometry;
    conv.batch = call.batch;
    conv.input = static_cast<const std::uint8_t*>(call.input);
    // A linear layer over the picture has more inputs than zero points, and no
    // padding.
    const auto channels = static_cast<std::size_t>(layer_.geometry.in_c);
    if (layer_.zero_point.size() == channels) {
      conv.pad_value = layer_.zero_point.data();
    }
    conv.packed = packed_.as<std::uint8_t>();
    conv.output = call.output;
    conv.epilogue = MakeEpilogue(layer_, call.residual);
    return conv;
  }

  const ConvKernel& kernel_;
  ProductLayer layer_;
  AlignedBuffer packed_;
};

}  // namespace

Epilogue MakeEpilogue(const ProductLayer& layer, const void* residual) {
  Epilogue epilogue;
  epilogue.multiplier = layer.weights.multiplier.data();
  epilogue.bias = layer.weights.bias.data();
  epilogue.residual = layer.has_residual ? residual : nullptr;
  epilogue.residual_type = layer.residual_type;
  epilogue.residual_scale = layer.residual_scale;
  epilogue.output_type = layer.output_type;
  epilogue.low = layer.low;
  epilogue.high = layer.high;
  epilogue.max_pool_2x2 = layer.max_pool_2x2;
  return epilogue;
}

const ConvKernel& ChooseConvKernel(const KernelTable& table,
                                   const ConvGeometry& geometry,
                                   const std::int8_t* codes,
                                   std::string_view preferred) {
  const ConvKernel* best = nullptr;
  for (const ConvKernel* kernel : table.conv) {
    if (!kernel->applies(geometry, codes)) continue;
    if (kernel->name == preferred) return *kernel;
    if (best == nullptr || kernel->predicted_ns(geometry, kPlannedBatch) <
                               best->predicted_ns(geometry, kPlannedBatch)) {
      best = kernel;
    }
  }
  TERN_CHECK(best != nullptr);
  return *best;
}

std::unique_ptr<Op> MakeTernaryProduct(const ConvKernel& kernel,
                                       ProductLayer layer) {
  return std::make_unique<TernaryProduct>(kernel, std::move(layer));
}

}  // namespace tern
