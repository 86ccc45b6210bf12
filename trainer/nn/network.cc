#include "trainer/nn/network.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "trainer/nn/batch_norm_op.h"
#include "trainer/nn/network_impl.h"
#include "trainer/nn/product_op.h"
#include "trainer/nn/simple_ops.h"
#include "trainer/random.h"

namespace tern::trainer {
namespace {

// oneDNN reports by exceptions; none leaves this room.
template <typename Body>
absl::Status Guarded(Body body) {
  try {
    body();
  } catch (const dnnl::error& error) {
    return absl::InternalError(absl::StrCat("oneDNN: ", error.what()));
  }
  return absl::OkStatus();
}

}  // namespace

Network::Network(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Network::~Network() = default;

absl::StatusOr<std::unique_ptr<Network>> Network::Create(
    const model::v1::Graph& graph, const NetworkOptions& options) {
  TERN_ASSIGN_OR_RETURN(GraphShapes shapes, InferShapes(graph));
  auto impl = std::make_unique<Impl>(graph, std::move(shapes), options);
  absl::Status built;
  TERN_RETURN_IF_ERROR(Guarded([&] { built = impl->Build(); }));
  TERN_RETURN_IF_ERROR(built);
  return std::unique_ptr<Network>(new Network(std::move(impl)));
}

const model::v1::Graph& Network::graph() const { return impl_->graph; }
const GraphShapes& Network::shapes() const { return impl_->shapes; }
const NetworkOptions& Network::options() const { return impl_->options; }

void Network::Initialise(std::uint64_t seed) {
  for (std::size_t i = 0; i < impl_->node.size(); ++i) {
    if (impl_->node[i].product == nullptr) continue;
    ProductWeights& weights = impl_->node[i].product->weights();
    const auto fan_in = static_cast<double>(impl_->shapes.node[i].filter_size);
    const double deviation = std::sqrt(2.0 / fan_in);
    Random random(seed, Purpose::kWeights, i);
    for (float& w : weights.latent.value) {
      w = static_cast<float>(deviation * random.Normal());
    }
  }
}

void Network::SetActivations(Activations activations) {
  const Rounding on = impl_->options.form == Form::kFolded ? Rounding::kIntegers
                                                           : Rounding::kU8;
  for (ActivationOp* op : impl_->rounded) {
    op->set_rounding(activations == Activations::kU8 ? on : Rounding::kNone);
  }
}

absl::Span<float> Network::Pictures(int shard) {
  return Floats(impl_->picture->value(shard));
}

absl::Span<const float> Network::Logits(int shard) const {
  return Floats(impl_->logits->value(shard));
}

absl::Span<float> Network::LogitGradients(int shard) {
  return Floats(impl_->logits->BeginGradient(shard));
}

absl::Status Network::PrepareStep(ThreadPool& pool) {
  return Guarded([&] {
    for (const auto& op : impl_->ops) op->PrepareStep(pool);
  });
}

absl::Status Network::Forward(int shard, Pass pass) {
  return Guarded([&] {
    if (pass == Pass::kTrain) {
      for (TensorSlot* slot : impl_->slots) slot->ClearGradient(shard);
    }
    for (const auto& op : impl_->ops) op->Forward(shard, pass);
  });
}

absl::Status Network::Backward(int shard) {
  return Guarded([&] {
    for (auto op = impl_->ops.rbegin(); op != impl_->ops.rend(); ++op) {
      (*op)->Backward(shard);
    }
  });
}

absl::Status Network::FinishStep(ThreadPool& pool) {
  return Guarded([&] {
    for (const auto& op : impl_->ops) op->FinishStep(pool);
  });
}

std::vector<Parameter*> Network::Parameters() {
  std::vector<Parameter*> parameters;
  for (Impl::NodeOps& node : impl_->node) {
    if (node.product == nullptr) continue;
    parameters.push_back(&node.product->weights().latent);
    if (!node.product->weights().bias.value.empty()) {
      parameters.push_back(&node.product->weights().bias);
    }
    if (node.batch_norm == nullptr) continue;
    parameters.push_back(&node.batch_norm->numbers().gamma);
    parameters.push_back(&node.batch_norm->numbers().beta);
  }
  return parameters;
}

std::vector<StateTensor> Network::State() {
  std::vector<StateTensor> state;
  for (Parameter* parameter : Parameters()) {
    state.push_back({parameter->name, absl::MakeSpan(parameter->value)});
  }
  for (std::size_t i = 0; i < impl_->node.size(); ++i) {
    const std::string& name = impl_->graph.node(static_cast<int>(i)).name();
    if (BatchNormOp* op = impl_->node[i].batch_norm; op != nullptr) {
      state.push_back({absl::StrCat(name, "/running_mean"),
                       absl::MakeSpan(op->numbers().running_mean)});
      state.push_back({absl::StrCat(name, "/running_variance"),
                       absl::MakeSpan(op->numbers().running_variance)});
    }
    if (impl_->node[i].observed) {
      state.push_back({absl::StrCat(name, "/range"),
                       absl::MakeSpan(&impl_->range[i].max, 1)});
    }
  }
  return state;
}

const ProductWeights* Network::Product(int node) const {
  ProductOp* op = impl_->node[static_cast<std::size_t>(node)].product;
  return op == nullptr ? nullptr : &op->weights();
}

const BatchNormNumbers* Network::BatchNorm(int node) const {
  BatchNormOp* op = impl_->node[static_cast<std::size_t>(node)].batch_norm;
  return op == nullptr ? nullptr : &op->numbers();
}

const ActivationRange* Network::Range(int node) const {
  const auto i = static_cast<std::size_t>(node);
  return impl_->node[i].observed ? &impl_->range[i] : nullptr;
}

void Network::SetFolded(int node, absl::Span<const float> codes,
                        absl::Span<const float> multiplier,
                        absl::Span<const float> bias) {
  TERN_CHECK(impl_->options.form == Form::kFolded);
  Impl::NodeOps& ops = impl_->node[static_cast<std::size_t>(node)];
  ops.product->weights().latent.value.assign(codes.begin(), codes.end());
  ops.batch_norm->SetAffine(multiplier, bias);
}

}  // namespace tern::trainer
