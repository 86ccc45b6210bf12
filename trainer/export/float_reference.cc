#include "trainer/export/float_reference.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"

namespace tern::trainer {
namespace {

// The reference reads pixel - zero_point, a ternary first layer of the file
// sums over raw pixels: m * sum zero_point * code comes back out of the bias.
void UndoZeroPoint(const std::vector<float>& codes,
                   const model::v1::InputQuantization& input,
                   NodeWeights& weights) {
  const auto channels = static_cast<std::size_t>(input.zero_point_size());
  const std::size_t size = codes.size() / weights.bias.size();
  for (std::size_t k = 0; k < weights.bias.size(); ++k) {
    double sum = 0;
    for (std::size_t i = 0; i < size; ++i) {
      sum += double{codes[k * size + i]} *
             input.zero_point(static_cast<int>(i % channels));
    }
    weights.bias[k] =
        static_cast<float>(weights.bias[k] + weights.multiplier[k] * sum);
  }
}

}  // namespace

absl::StatusOr<FloatReference> MakeFloatReference(const ModelFile& file,
                                                  int shards, int shard_batch) {
  const model::v1::Header& header = file.header();
  NetworkOptions options;
  options.form = Form::kFolded;
  options.shards = shards;
  options.shard_batch = shard_batch;
  for (const auto& quantization : header.quantization()) {
    options.output_scale.push_back(
        quantization.scale() > 0 ? quantization.scale() : 1.0F);
  }
  FloatReference reference;
  TERN_ASSIGN_OR_RETURN(reference.network,
                        Network::Create(header.graph(), options));
  // Multipliers hold the scale of their input; a picture's scale included.
  reference.input.add_scale(1.0F);
  *reference.input.mutable_zero_point() =
      header.input_quantization().zero_point();
  for (int i = 0; i < header.graph().node_size(); ++i) {
    if (!HasWeights(header.graph().node(i))) continue;
    TERN_ASSIGN_OR_RETURN(NodeWeights weights, file.Weights(i));
    std::vector<float> codes(weights.ternary.begin(), weights.ternary.end());
    codes.insert(codes.end(), weights.grid.begin(), weights.grid.end());
    const bool reads_picture =
        file.shapes().node[static_cast<std::size_t>(i)].input == kPictureInput;
    if (reads_picture && !weights.ternary.empty() &&
        reference.input.zero_point_size() > 0) {
      UndoZeroPoint(codes, reference.input, weights);
    }
    reference.network->SetFolded(i, codes, weights.multiplier, weights.bias);
  }
  return reference;
}

}  // namespace tern::trainer
