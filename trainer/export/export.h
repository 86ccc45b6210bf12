// Export: a trained network to the header and numbers of a .twn file.

#ifndef TERN_TRAINER_EXPORT_EXPORT_H_
#define TERN_TRAINER_EXPORT_EXPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model_file.h"
#include "tern/model/v1/model.pb.h"
#include "trainer/nn/network.h"

namespace tern::trainer {

struct ExportedModel {
  // Graph, quantisation and input quantisation; the caller adds name, labels,
  // preprocessing and card.
  model::v1::Header header;
  std::vector<NodeWeights> weights;
};

// `network` is of form kTraining, prepared (PrepareStep) with the parameters
// to export. FAILED_PRECONDITION: float weights without a grid, or a layer
// whose activations were never observed.
absl::StatusOr<ExportedModel> ExportNetwork(
    const Network& network, const model::v1::InputQuantization& input);

// Completes and encodes: runs the golden test on `picture`. The same input
// gives the same bytes.
absl::StatusOr<std::string> EncodeModel(const ExportedModel& model,
                                        std::uint64_t seed,
                                        absl::Span<const std::uint8_t> picture);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_EXPORT_EXPORT_H_
