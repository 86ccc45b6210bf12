#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "trainer/nn/network_impl.h"
#include "trainer/nn/pool_op.h"

namespace tern::trainer {
namespace {

bool IsRelu(const model::v1::Node& node) {
  return node.activation() == model::v1::ACTIVATION_RELU;
}

}  // namespace

template <typename T, typename... Args>
T* Network::Impl::Add(Args&&... args) {
  auto op = std::make_unique<T>(std::forward<Args>(args)...);
  T* raw = op.get();
  ops.push_back(std::move(op));
  return raw;
}

template <typename T, typename... Args>
T* Network::Impl::AddWithOutput(Args&&... args) {
  T* op = Add<T>(std::forward<Args>(args)...);
  slots.push_back(op->output());
  return op;
}

TensorSlot* Network::Impl::InputOf(int i) {
  const int from = shapes.node[static_cast<std::size_t>(i)].input;
  return from == kPictureInput ? picture.get()
                               : node[static_cast<std::size_t>(from)].output;
}

TensorSlot* Network::Impl::AsVector(TensorSlot* tensor) {
  if (tensor->desc().dims().size() == 2) return tensor;
  return AddWithOutput<FlattenOp>(tensor, &shards)->output();
}

void Network::Impl::FindMovedActivations() {
  std::vector<int> readers(node.size());
  std::vector<int> reader(node.size(), -1);
  for (int i = 0; i < graph.node_size(); ++i) {
    const NodeShape& shape = shapes.node[static_cast<std::size_t>(i)];
    for (const int from : {shape.input, shape.residual}) {
      if (from < 0) continue;
      ++readers[static_cast<std::size_t>(from)];
      reader[static_cast<std::size_t>(from)] = i;
    }
  }
  for (std::size_t i = 0; i < node.size(); ++i) {
    node[i].activation_after_pool = IsRelu(graph.node(static_cast<int>(i))) &&
                                    readers[i] == 1 &&
                                    graph.node(reader[i]).has_max_pool2d();
  }
}

void Network::Impl::AddActivation(int i, TensorSlot* tensor) {
  const auto n = static_cast<std::size_t>(i);
  const bool relu = IsRelu(graph.node(i));
  if (IsLast(i)) {
    if (relu) Add<ActivationOp>(true, &range[n], false, tensor, shards);
    return;
  }
  node[n].observed = !folded();
  if (relu) node[n].range_owner = i;
  if (!relu && folded()) return;
  auto* op = Add<ActivationOp>(relu, &range[n], !folded(), tensor, shards);
  if (relu) rounded.push_back(op);
}

absl::Status Network::Impl::AddResidual(int i, TensorSlot* tensor) {
  const int from = shapes.node[static_cast<std::size_t>(i)].residual;
  if (from == kNoResidual) return absl::OkStatus();
  TensorSlot* addend = node[static_cast<std::size_t>(from)].output;
  if (addend->desc().dims().size() != tensor->desc().dims().size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        NodeLabel(graph, i),
        ": residual: the trainer adds pictures to pictures and vectors to "
        "vectors"));
  }
  const float scale = folded() ? ScaleOf(from) / ScaleOf(i) : 1.0F;
  Add<ResidualOp>(tensor, addend, scale, &shards);
  return absl::OkStatus();
}

absl::Status Network::Impl::BuildProduct(int i) {
  const auto n = static_cast<std::size_t>(i);
  const model::v1::Node& spec = graph.node(i);
  TensorSlot* input = InputOf(i);
  ProductOptions product;
  product.linear = spec.has_linear();
  product.train = options.train;
  const bool normalised = folded() || spec.batch_norm();
  product.with_bias = !normalised;
  if (product.linear) {
    input = AsVector(input);
  } else if (input->desc().dims().size() != 4) {
    return absl::InvalidArgumentError(absl::StrCat(
        NodeLabel(graph, i), ": input: conv2d of a vector, want a picture"));
  }
  auto* op = AddWithOutput<ProductOp>(spec.name(), shapes.node[n], product,
                                      input, &shards);
  node[n].product = op;
  TensorSlot* tensor = op->output();
  if (!folded()) {
    op->weights().quantizer = options.quantizer[n];
    op->weights().scale_per = options.scale_per[n];
    if (options.quantizer[n] == WeightQuantizer::kGrid &&
        shapes.node[n].filter_size > kGridMaxFilterSize) {
      return absl::InvalidArgumentError(absl::StrCat(
          NodeLabel(graph, i), ": weights: filters of ",
          shapes.node[n].filter_size, " weights, the exact float grid takes ",
          "at most ", kGridMaxFilterSize));
    }
  }
  if (normalised) {
    node[n].batch_norm = AddWithOutput<BatchNormOp>(
        spec.name(), static_cast<int>(shapes.node[n].out.c), tensor, &shards,
        options.train);
    tensor = node[n].batch_norm->output();
  }
  TERN_RETURN_IF_ERROR(AddResidual(i, tensor));
  node[n].output = tensor;
  if (!node[n].activation_after_pool) AddActivation(i, tensor);
  return absl::OkStatus();
}

absl::Status Network::Impl::BuildPool(int i) {
  const auto n = static_cast<std::size_t>(i);
  const int from = shapes.node[n].input;
  NodeOps& source = node[static_cast<std::size_t>(from)];
  if (source.output->desc().dims().size() != 4) {
    return absl::InvalidArgumentError(absl::StrCat(
        NodeLabel(graph, i), ": input: pool of a vector, want a picture"));
  }
  const bool max = graph.node(i).has_max_pool2d();
  auto* op = AddWithOutput<PoolOp>(shapes.node[n], max, source.output, &shards);
  node[n].output = op->output();
  if (source.activation_after_pool) AddActivation(from, op->output());
  node[n].range_owner = source.range_owner;
  if (max || IsLast(i)) return absl::OkStatus();
  if (folded()) {
    Add<ScaleOp>(op->output(), ScaleOf(from) / ScaleOf(i));
  }
  if (node[n].range_owner >= 0) {
    rounded.push_back(Add<ActivationOp>(
        false, &range[static_cast<std::size_t>(node[n].range_owner)], false,
        op->output(), shards));
  }
  return absl::OkStatus();
}

absl::Status Network::Impl::Build() {
  picture = std::make_unique<TensorSlot>(
      dnnl::memory::desc({shards.batch(), shapes.picture.c, shapes.picture.h,
                          shapes.picture.w},
                         dnnl::memory::data_type::f32,
                         dnnl::memory::format_tag::nchw),
      shards, false);
  FindMovedActivations();
  for (int i = 0; i < graph.node_size(); ++i) {
    const auto n = static_cast<std::size_t>(i);
    if (HasWeights(graph.node(i))) {
      TERN_RETURN_IF_ERROR(BuildProduct(i));
    } else if (graph.node(i).has_flatten()) {
      node[n].output = AsVector(InputOf(i));
      node[n].range_owner =
          node[static_cast<std::size_t>(shapes.node[n].input)].range_owner;
    } else {
      TERN_RETURN_IF_ERROR(BuildPool(i));
    }
  }
  logits = AsVector(node.back().output);
  return absl::OkStatus();
}

}  // namespace tern::trainer
