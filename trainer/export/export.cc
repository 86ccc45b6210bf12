#include "trainer/export/export.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/runtime/golden.h"
#include "trainer/export/fold.h"
#include "trainer/nn/simple_ops.h"
#include "trainer/random.h"

namespace tern::trainer {
namespace {

using model::v1::NodeQuantization;

// s16 tensors keep this much room above the largest value seen.
constexpr double kS16Headroom = 2;
constexpr double kS16Max = 32767;

absl::StatusOr<NodeQuantization> ProductOutput(const Network& network, int i) {
  NodeQuantization quantization;
  if (i + 1 == network.graph().node_size()) {
    quantization.set_type(model::v1::ELEMENT_TYPE_F32);
    return quantization;
  }
  const ActivationRange* range = network.Range(i);
  if (range == nullptr || !range->seen()) {
    return absl::FailedPreconditionError(
        absl::StrCat(NodeLabel(network.graph(), i),
                     ": its activations were never observed"));
  }
  if (network.graph().node(i).activation() == model::v1::ACTIVATION_RELU) {
    quantization.set_type(model::v1::ELEMENT_TYPE_U8);
    quantization.set_scale(U8Scale(*range));
  } else {
    quantization.set_type(model::v1::ELEMENT_TYPE_S16);
    quantization.set_scale(static_cast<float>(
        (range->max > 0 ? range->max : 1) * kS16Headroom / kS16Max));
  }
  return quantization;
}

}  // namespace

absl::StatusOr<ExportedModel> ExportNetwork(
    const Network& network, const model::v1::InputQuantization& input) {
  ExportedModel model;
  *model.header.mutable_graph() = network.graph();
  *model.header.mutable_input_quantization() = input;
  model.weights.resize(static_cast<std::size_t>(network.graph().node_size()));
  for (int i = 0; i < network.graph().node_size(); ++i) {
    const int from = network.shapes().node[static_cast<std::size_t>(i)].input;
    const ProductWeights* product = network.Product(i);
    if (product == nullptr) {
      *model.header.add_quantization() = model.header.quantization(from);
      continue;
    }
    if (product->quantizer == WeightQuantizer::kFloat) {
      return absl::FailedPreconditionError(
          absl::StrCat(NodeLabel(network.graph(), i),
                       ": its weights are float; train with --activations=u8 "
                       "for a model that can be packed"));
    }
    const bool grid = product->quantizer == WeightQuantizer::kGrid;
    model.header.mutable_graph()->mutable_node(i)->set_weights(
        grid ? model::v1::WEIGHT_KIND_GRID : model::v1::WEIGHT_KIND_TERNARY);
    TERN_ASSIGN_OR_RETURN(const NodeQuantization output,
                          ProductOutput(network, i));
    FoldScales scales;
    scales.output = output.scale() > 0 ? output.scale() : 1;
    if (from == kPictureInput) {
      scales.input = input.scale(0);
      if (!grid) {
        scales.zero_point.assign(input.zero_point().begin(),
                                 input.zero_point().end());
      }
    } else {
      scales.input = model.header.quantization(from).scale();
    }
    model.weights[static_cast<std::size_t>(i)] =
        FoldLayer(*product, network.BatchNorm(i), scales);
    *model.header.add_quantization() = output;
  }
  return model;
}

absl::StatusOr<std::string> EncodeModel(
    const ExportedModel& model, std::uint64_t seed,
    absl::Span<const std::uint8_t> picture) {
  Random random(seed, Purpose::kGolden);
  return WriteModelWithGolden(model.header, model.weights, random.Next(),
                              picture);
}

}  // namespace tern::trainer
