#include <algorithm>
#include <cstdint>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/kernels/kernels.h"
#include "engine/ops/geometry.h"
#include "engine/ops/pool.h"
#include "engine/ops/product.h"
#include "engine/runtime/memory_plan.h"
#include "engine/runtime/plan.h"

namespace tern {
namespace {

using model::v1::NodeQuantization;

OutputType TypeOf(const NodeQuantization& quantization) {
  switch (quantization.type()) {
    case model::v1::ELEMENT_TYPE_S16:
      return OutputType::kS16;
    case model::v1::ELEMENT_TYPE_F32:
      return OutputType::kF32;
    default:
      return OutputType::kU8;
  }
}

// The range that NUMERICS.md clamps to.
std::pair<float, float> RangeOf(const NodeQuantization& quantization) {
  if (TypeOf(quantization) == OutputType::kS16) return {-32768.0F, 32767.0F};
  const std::uint32_t bits = quantization.bits() == 0 ? 8 : quantization.bits();
  return {0.0F, static_cast<float>((1U << bits) - 1)};
}

bool IsPool2x2(const model::v1::Node& node, const NodeShape& shape) {
  return node.has_max_pool2d() && shape.kernel_h == 2 && shape.kernel_w == 2 &&
         shape.stride_h == 2 && shape.stride_w == 2 && shape.pad_top == 0 &&
         shape.pad_bottom == 0 && shape.pad_left == 0 && shape.pad_right == 0;
}

}  // namespace

class PlanBuilder {
 public:
  PlanBuilder(const model::v1::Header& header, const GraphShapes& shapes,
              Plan::WeightsOfNode weights, const KernelTable& kernels,
              const PlanOptions& options)
      : header_(header),
        shapes_(shapes),
        weights_(weights),
        kernels_(kernels),
        options_(options) {}

  absl::StatusOr<std::unique_ptr<const Plan>> Build() {
    const int nodes = header_.graph().node_size();
    if (nodes == 0 ||
        !(Node(nodes - 1).has_conv2d() || Node(nodes - 1).has_linear())) {
      return absl::InvalidArgumentError(
          "graph.node: the last must be conv2d or linear, it yields the "
          "logits");
    }
    AddTensors();
    CountReaders();
    for (int i = 0; i < nodes;) {
      TERN_ASSIGN_OR_RETURN(const int taken, AddNode(i));
      i += taken;
    }
    PlaceTensors();
    return std::unique_ptr<const Plan>(std::move(plan_));
  }

 private:
  const model::v1::Node& Node(int i) const { return header_.graph().node(i); }

  int StorageOf(int node) const { return plan_->tensors_[node + 1].storage; }

  void AddTensors() {
    const int nodes = header_.graph().node_size();
    plan_->tensors_.resize(nodes + 1);
    plan_->max_batch_ = kMaxPlanBatch;
    plan_->tensors_[0].bytes =
        static_cast<std::size_t>(shapes_.picture.elements());
    for (int i = 0; i < nodes; ++i) {
      PlanTensor& tensor = plan_->tensors_[i + 1];
      tensor.bytes = static_cast<std::size_t>(shapes_.node[i].out.elements()) *
                     ElementBytes(TypeOf(header_.quantization(i)));
      plan_->max_batch_ = std::min<std::int64_t>(
          plan_->max_batch_,
          std::max<std::int64_t>(
              std::int64_t{INT32_MAX} / shapes_.node[i].out.elements(), 1));
      tensor.storage =
          Node(i).has_flatten() ? StorageOf(shapes_.node[i].input) : i + 1;
    }
  }

  void CountReaders() {
    readers_.assign(plan_->tensors_.size(), 0);
    for (const NodeShape& shape : shapes_.node) {
      ++readers_[shape.input + 1];
      if (shape.residual != kNoResidual) ++readers_[shape.residual + 1];
    }
  }

  // Adds the step of node i; returns how many nodes it covers.
  absl::StatusOr<int> AddNode(int i) {
    const model::v1::Node& node = Node(i);
    if (node.has_flatten()) return 1;
    if (node.has_conv2d() || node.has_linear()) return AddProduct(i);
    AddStep(MakePool(kernels_, PoolLayerOf(i)), i, 1);
    return 1;
  }

  void AddStep(std::unique_ptr<Op> op, int i, int nodes) {
    PlanStep step;
    step.op = std::move(op);
    step.name = Node(i).name();
    step.input = StorageOf(shapes_.node[i].input);
    if (shapes_.node[i].residual != kNoResidual) {
      step.residual = StorageOf(shapes_.node[i].residual);
    }
    step.output = i + nodes;
    for (int j = i + 1; j < i + nodes; ++j) {
      absl::StrAppend(&step.name, "+", Node(j).name());
      plan_->tensors_[j].materialised = false;
    }
    plan_->steps_.push_back(std::move(step));
  }

  PoolLayer PoolLayerOf(int i) const {
    const NodeShape& shape = shapes_.node[i];
    PoolLayer layer;
    layer.geometry = PoolGeometryOf(shape);
    layer.average = !Node(i).has_max_pool2d();
    if (Node(i).has_global_avg_pool()) {
      layer.geometry.kernel_h = layer.geometry.in_h;
      layer.geometry.kernel_w = layer.geometry.in_w;
    }
    const double in_scale = header_.quantization(shape.input).scale();
    const double window =
        1.0 * layer.geometry.kernel_h * layer.geometry.kernel_w;
    layer.multiplier = static_cast<float>(
        in_scale / (window * header_.quantization(i).scale()));
    layer.input_type = TypeOf(header_.quantization(shape.input));
    layer.output_type = TypeOf(header_.quantization(i));
    std::tie(layer.low, layer.high) = RangeOf(header_.quantization(i));
    return layer;
  }

  ProductLayer ProductLayerOf(int i, NodeWeights weights) const {
    const NodeShape& shape = shapes_.node[i];
    ProductLayer layer;
    layer.geometry = ConvGeometryOf(Node(i), shape);
    layer.weights = std::move(weights);
    const auto& zero_point = header_.input_quantization().zero_point();
    if (shape.input == kPictureInput &&
        std::any_of(zero_point.begin(), zero_point.end(),
                    [](std::uint32_t z) { return z != 0; })) {
      layer.zero_point.assign(zero_point.begin(), zero_point.end());
    }
    layer.output_type = TypeOf(header_.quantization(i));
    std::tie(layer.low, layer.high) = RangeOf(header_.quantization(i));
    if (shape.residual != kNoResidual) {
      const NodeQuantization& residual = header_.quantization(shape.residual);
      layer.has_residual = true;
      layer.residual_type = TypeOf(residual);
      layer.residual_scale = static_cast<float>(
          double{residual.scale()} / double{header_.quantization(i).scale()});
    }
    return layer;
  }

  // Whether the node after i is a 2x2 max-pool that alone reads node i.
  bool PoolFollows(int i) const {
    return options_.fuse && i + 1 < header_.graph().node_size() &&
           shapes_.node[i + 1].input == i && readers_[i + 1] == 1 &&
           IsPool2x2(Node(i + 1), shapes_.node[i + 1]);
  }

  static bool AnyPools(const std::vector<const ConvKernel*>& kernels,
                       const ConvGeometry& geometry) {
    return std::any_of(kernels.begin(), kernels.end(),
                       [&geometry](const ConvKernel* kernel) {
                         return kernel->fuses_max_pool(geometry);
                       });
  }

  absl::StatusOr<int> AddProduct(int i) {
    TERN_ASSIGN_OR_RETURN(NodeWeights weights, weights_(i));
    ProductLayer layer = ProductLayerOf(i, std::move(weights));
    if (Node(i).weights() == model::v1::WEIGHT_KIND_GRID) {
      auto op = MakeGridProduct(kernels_, std::move(layer));
      if (!op.ok()) {
        return absl::Status(op.status().code(),
                            absl::StrCat("node '", Node(i).name(),
                                         "': ", op.status().message()));
      }
      AddStep(*std::move(op), i, 1);
      return 1;
    }
    std::vector<const ConvKernel*> kernels =
        ConvKernelsFor(kernels_, layer.geometry, layer.weights.ternary.data(),
                       options_.conv_kernel);
    std::unique_ptr<Op> pool;
    if (PoolFollows(i) && AnyPools(kernels, layer.geometry))
      pool = MakePool(kernels_, PoolLayerOf(i + 1));
    const int nodes = pool == nullptr ? 1 : 2;
    AddStep(MakeTernaryProduct(std::move(kernels), std::move(layer),
                               std::move(pool)),
            i, nodes);
    return nodes;
  }

  // The logits never lie in the arena: the last step writes them to the
  // caller.
  void PlaceTensors() {
    const int steps = static_cast<int>(plan_->steps_.size());
    std::vector<TensorLifetime> lifetimes(plan_->tensors_.size());
    lifetimes[0].bytes = plan_->tensors_[0].bytes;
    for (int s = 0; s < steps; ++s) {
      const PlanStep& step = plan_->steps_[s];
      lifetimes[step.input].last = s;
      if (step.residual >= 0) lifetimes[step.residual].last = s;
      const bool logits = s + 1 == steps;
      lifetimes[step.output] = {logits ? 0 : plan_->tensors_[step.output].bytes,
                                s, s};
    }
    const MemoryPlan memory = PlanMemory(lifetimes);
    for (PlanTensor& tensor : plan_->tensors_) {
      tensor.offset = memory.offset[tensor.storage];
    }
    plan_->arena_bytes_ = memory.arena_bytes;
  }

  const model::v1::Header& header_;
  const GraphShapes& shapes_;
  Plan::WeightsOfNode weights_;
  const KernelTable& kernels_;
  const PlanOptions& options_;
  std::vector<int> readers_;  // of each tensor
  std::unique_ptr<Plan> plan_{new Plan};
};

absl::StatusOr<std::unique_ptr<const Plan>> Plan::Build(
    const model::v1::Header& header, const GraphShapes& shapes,
    WeightsOfNode weights, const KernelTable& kernels,
    const PlanOptions& options) {
  return PlanBuilder(header, shapes, weights, kernels, options).Build();
}

}  // namespace tern
