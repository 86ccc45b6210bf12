#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/base/status_macros.h"
#include "engine/base/task_shares.h"
#include "engine/ops/product.h"

namespace tern {
namespace {

// Outputs that wait in scratch to be pooled, at most, or one picture's.
constexpr std::size_t kUnpooledBytes = 1 << 20;

std::size_t RoundUp64(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

class TernaryProduct : public Op {
 public:
  TernaryProduct(std::vector<const ConvKernel*> kernels, ProductLayer layer,
                 std::unique_ptr<Op> pool)
      : kernels_(std::move(kernels)),
        layer_(std::move(layer)),
        pool_(std::move(pool)),
        packed_(kernels_[0]->packed_bytes(layer_.geometry)) {
    kernels_[0]->pack(layer_.geometry, layer_.weights.ternary.data(),
                      packed_.as<std::uint8_t>());
    // Assigning {} would keep the memory.
    std::vector<std::int8_t>().swap(layer_.weights.ternary);
  }

  std::string Kernel(int batch) const override {
    return std::string(KernelOf(batch).name);
  }

  std::size_t PackedBytes() const override {
    return packed_.size() + 2 * sizeof(float) * layer_.weights.bias.size();
  }

  std::size_t ScratchBytes(int batch, int threads) const override {
    const ConvKernel& kernel = KernelOf(batch);
    if (!PoolsInScratch(kernel)) {
      return threads * ThreadScratch(kernel, batch, threads);
    }
    const int at_once = PooledAtOnce(batch);
    return at_once * UnpooledBytes() +
           threads * std::max(ThreadScratch(kernel, at_once, threads),
                              ThreadScratch(kernel, batch % at_once, threads));
  }

  absl::Status Run(const OpCall& call) const override {
    const ConvKernel& kernel = KernelOf(call.batch);
    if (PoolsInScratch(kernel)) return RunAndPool(kernel, call);
    RunKernel(kernel, call, pool_ != nullptr);
    return absl::OkStatus();
  }

 private:
  const ConvKernel& KernelOf(int batch) const {
    return FastestKernel(kernels_, layer_.geometry, batch);
  }

  bool PoolsInScratch(const ConvKernel& kernel) const {
    return pool_ != nullptr && !kernel.fuses_max_pool(layer_.geometry);
  }

  // Of one picture.
  std::size_t Outputs() const {
    const ConvGeometry& g = layer_.geometry;
    return std::size_t{1} * g.out_h * g.out_w * g.filters;
  }
  std::size_t UnpooledBytes() const {
    return RoundUp64(Outputs() * ElementBytes(layer_.output_type));
  }

  int PooledAtOnce(int batch) const {
    return static_cast<int>(
        std::clamp<std::size_t>(kUnpooledBytes / UnpooledBytes(), 1, batch));
  }

  std::size_t ThreadScratch(const ConvKernel& kernel, int batch,
                            int threads) const {
    if (batch == 0) return 0;
    return RoundUp64(kernel.scratch_bytes(layer_.geometry, batch, threads));
  }

  absl::Status RunAndPool(const ConvKernel& kernel, const OpCall& call) const {
    const ConvGeometry& g = layer_.geometry;
    const std::size_t inputs = std::size_t{1} * g.in_h * g.in_w * g.in_c;
    const std::size_t pooled = ElementBytes(layer_.output_type) *
                               (g.out_h / 2) * (g.out_w / 2) * g.filters;
    const int at_once = PooledAtOnce(call.batch);
    OpCall part = call;
    part.output = call.scratch;
    part.scratch = call.scratch + at_once * UnpooledBytes();
    OpCall pool = call;
    pool.input = part.output;
    for (int first = 0; first < call.batch; first += at_once) {
      part.batch = pool.batch = std::min(at_once, call.batch - first);
      part.input = static_cast<const std::byte*>(call.input) + first * inputs;
      if (call.residual != nullptr) {
        part.residual = static_cast<const std::byte*>(call.residual) +
                        first * Outputs() * ElementBytes(layer_.residual_type);
      }
      pool.output = static_cast<std::byte*>(call.output) + first * pooled;
      RunKernel(kernel, part, false);
      TERN_RETURN_IF_ERROR(pool_->Run(pool));
    }
    return absl::OkStatus();
  }

  void RunKernel(const ConvKernel& kernel, const OpCall& call,
                 bool max_pool) const {
    const int threads = call.pool->threads();
    ConvCall conv = MakeCall(call);
    conv.epilogue.max_pool_2x2 = max_pool;
    const int tasks = kernel.tasks(layer_.geometry, call.batch, threads);
    const std::size_t scratch = ThreadScratch(kernel, call.batch, threads);
    TaskShares shares(tasks, threads);
    call.pool->ParallelForSlots(
        std::min(threads, tasks), [&](std::size_t, int slot) {
          std::byte* own = call.scratch + scratch * slot;
          int task = shares.Take(slot);
          if (task < 0) return;
          kernel.begin(conv, threads, own);
          for (; task >= 0; task = shares.Take(slot)) {
            kernel.run(conv, threads, task, own);
          }
        });
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

  const std::vector<const ConvKernel*> kernels_;
  ProductLayer layer_;
  const std::unique_ptr<const Op> pool_;  // null where no pool follows
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
  return epilogue;
}

std::vector<const ConvKernel*> ConvKernelsFor(const KernelTable& table,
                                              const ConvGeometry& geometry,
                                              const std::int8_t* codes,
                                              std::string_view preferred) {
  std::vector<const ConvKernel*> kernels;
  for (const ConvKernel* kernel : table.conv) {
    if (!kernel->applies(geometry, codes)) continue;
    if (kernel->name == preferred) return {kernel};
    kernels.push_back(kernel);
  }
  TERN_CHECK(!kernels.empty());
  return kernels;
}

const ConvKernel& FastestKernel(const std::vector<const ConvKernel*>& kernels,
                                const ConvGeometry& geometry, int batch) {
  if (kernels.size() == 1) return *kernels[0];
  return **std::min_element(kernels.begin(), kernels.end(),
                            [&](const ConvKernel* a, const ConvKernel* b) {
                              return a->predicted_ns(geometry, batch) <
                                     b->predicted_ns(geometry, batch);
                            });
}

std::unique_ptr<Op> MakeTernaryProduct(std::vector<const ConvKernel*> kernels,
                                       ProductLayer layer,
                                       std::unique_ptr<Op> pool) {
  return std::make_unique<TernaryProduct>(std::move(kernels), std::move(layer),
                                          std::move(pool));
}

}  // namespace tern
