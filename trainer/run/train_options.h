// What a training run does: every choice that its result depends on, and a
// few that it does not (threads, files).

#ifndef TERN_TRAINER_RUN_TRAIN_OPTIONS_H_
#define TERN_TRAINER_RUN_TRAIN_OPTIONS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/graph.h"
#include "tern/model/v1/model.pb.h"
#include "trainer/nn/network.h"
#include "trainer/nn/quantizer.h"
#include "trainer/optim/sgd.h"

namespace tern::trainer {

// How the layer that reads the picture, and the one that makes the logits,
// keep their weights, where the network file does not say.
enum class EdgeLayer : std::uint8_t {
  kQuantizer,  // as all others
  kGrid,       // exact float (engine/NUMERICS.md)
};

struct TrainOptions {
  // Behaviour.
  std::string network = "lenet5";
  WeightQuantizer quantizer = WeightQuantizer::kTwn;
  ScalePer scale_per = ScalePer::kFilter;
  EdgeLayer first_layer = EdgeLayer::kGrid;
  EdgeLayer last_layer = EdgeLayer::kGrid;
  // kFloat: the paper's setting; such a network cannot be packed.
  Activations activations = Activations::kU8;
  std::string data;
  std::string augmentation = "auto";
  std::uint64_t seed = 1;
  int epochs = 16;
  // Pictures in a step, and the parts it is computed in. Batch norm takes its
  // statistics from one part, so `shards` changes the result.
  int batch = 128;
  int shards = 2;
  // Pictures kept from training to choose the checkpoint.
  int validation = 5000;
  RateOptions rate;
  SgdOptions sgd;
  double label_smoothing = 0.0;
  // Activations stay float in the first epochs, while their ranges settle.
  int float_epochs = 2;

  // Performance and files.
  int threads = 1;
  std::string output;
  std::string checkpoint;
  bool resume = false;
};

// INVALID_ARGUMENT names the option, what it is and what it must be.
absl::Status CheckTrainOptions(const TrainOptions& options);

// Options that the result depends on, as text by name; in the checkpoint and
// on the card. `data_digest` stands for the data's place.
std::map<std::string, std::string> DescribeRun(const TrainOptions& options,
                                               const model::v1::Graph& graph,
                                               const std::string& data_digest);

// "twn", "bwn", "float".
std::string QuantizerName(WeightQuantizer quantizer);

// A built-in network ("lenet5") or the path of a network file.
absl::StatusOr<model::v1::Graph> LoadNetwork(const std::string& network);
// Names of the built-in ones.
std::vector<std::string> BuiltInNetworks();

// Quantiser of each node by the options' policy; where the network file says
// TERNARY or GRID, that counts.
std::vector<WeightQuantizer> ChooseQuantizers(const TrainOptions& options,
                                              const model::v1::Graph& graph,
                                              const GraphShapes& shapes);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_RUN_TRAIN_OPTIONS_H_
