#include "trainer/run/train_options.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "trainer/networks/networks.h"
#include "trainer/run/read_file.h"

namespace tern::trainer {
namespace {

absl::Status Within(absl::string_view option, double value, double low,
                    double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", option, " is ", value, ", must be ", low, "..", high));
}

std::string EdgeName(EdgeLayer layer) {
  return layer == EdgeLayer::kGrid ? "grid" : "quantizer";
}

std::string ScheduleName(Schedule schedule) {
  switch (schedule) {
    case Schedule::kConstant:
      return "constant";
    case Schedule::kStep:
      return "step";
    case Schedule::kCosine:
      break;
  }
  return "cosine";
}

}  // namespace

absl::Status CheckTrainOptions(const TrainOptions& options) {
  TERN_RETURN_IF_ERROR(Within("epochs", options.epochs, 1, 100000));
  TERN_RETURN_IF_ERROR(Within("batch", options.batch, 1, 65536));
  TERN_RETURN_IF_ERROR(Within("shards", options.shards, 1, 256));
  if (options.batch % options.shards != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--batch is ", options.batch,
                     ", must be a multiple of --shards, ", options.shards));
  }
  TERN_RETURN_IF_ERROR(Within("validation", options.validation, 1, 1e9));
  TERN_RETURN_IF_ERROR(Within("learning_rate", options.rate.rate, 1e-9, 1e3));
  TERN_RETURN_IF_ERROR(Within("warmup_epochs", options.rate.warmup_epochs, 0,
                              options.epochs - 0.5));
  TERN_RETURN_IF_ERROR(Within("momentum", options.sgd.momentum, 0, 0.9999));
  TERN_RETURN_IF_ERROR(Within("weight_decay", options.sgd.weight_decay, 0, 1));
  TERN_RETURN_IF_ERROR(
      Within("label_smoothing", options.label_smoothing, 0, 0.9));
  // u8 activations need an epoch to train in.
  TERN_RETURN_IF_ERROR(
      Within("float_epochs", options.float_epochs, 0, options.epochs - 1));
  return Within("threads", options.threads, 1, 256);
}

std::string QuantizerName(WeightQuantizer quantizer) {
  switch (quantizer) {
    case WeightQuantizer::kTwn:
      return "twn";
    case WeightQuantizer::kBwn:
      return "bwn";
    case WeightQuantizer::kGrid:
      return "grid";
    case WeightQuantizer::kFloat:
      break;
  }
  return "float";
}

std::map<std::string, std::string> DescribeRun(const TrainOptions& options,
                                               const model::v1::Graph& graph,
                                               const std::string& data_digest) {
  const std::string graph_bytes = graph.SerializeAsString();
  return {
      {"network", options.network},
      {"network_digest",
       Sha256::Hex(Sha256::Of(graph_bytes.data(), graph_bytes.size()))},
      {"data_digest", data_digest},
      {"quantizer", QuantizerName(options.quantizer)},
      {"scale_per",
       options.scale_per == ScalePer::kFilter ? "filter" : "layer"},
      {"first_layer", EdgeName(options.first_layer)},
      {"last_layer", EdgeName(options.last_layer)},
      {"activations", options.activations == Activations::kU8 ? "u8" : "float"},
      {"augment", options.augmentation},
      {"seed", absl::StrCat(options.seed)},
      {"epochs", absl::StrCat(options.epochs)},
      {"batch", absl::StrCat(options.batch)},
      {"shards", absl::StrCat(options.shards)},
      {"validation", absl::StrCat(options.validation)},
      {"learning_rate", absl::StrCat(options.rate.rate)},
      {"schedule", ScheduleName(options.rate.schedule)},
      {"warmup_epochs", absl::StrCat(options.rate.warmup_epochs)},
      {"momentum", absl::StrCat(options.sgd.momentum)},
      {"weight_decay", absl::StrCat(options.sgd.weight_decay)},
      {"label_smoothing", absl::StrCat(options.label_smoothing)},
      {"float_epochs", absl::StrCat(options.float_epochs)},
  };
}

std::vector<std::string> BuiltInNetworks() {
  std::vector<std::string> names;
  for (const BuiltInNetwork& network : kBuiltInNetworks) {
    names.emplace_back(network.name);
  }
  return names;
}

absl::StatusOr<model::v1::Graph> LoadNetwork(const std::string& network) {
  for (const BuiltInNetwork& built_in : kBuiltInNetworks) {
    if (built_in.name == network) return ParseGraphText(built_in.text);
  }
  absl::StatusOr<std::vector<std::uint8_t>> bytes = ReadFile(network);
  if (!bytes.ok()) {
    return absl::Status(
        bytes.status().code(),
        absl::StrCat("network '", network, "' is none of the built-in ones (",
                     absl::StrJoin(BuiltInNetworks(), ", "),
                     ") and no readable file: ", bytes.status().message()));
  }
  absl::StatusOr<model::v1::Graph> graph = ParseGraphText(std::string_view(
      reinterpret_cast<const char*>(bytes->data()), bytes->size()));
  if (!graph.ok()) {
    return absl::Status(graph.status().code(),
                        absl::StrCat(network, ": ", graph.status().message()));
  }
  return graph;
}

std::vector<WeightQuantizer> ChooseQuantizers(const TrainOptions& options,
                                              const model::v1::Graph& graph,
                                              const GraphShapes& shapes) {
  // Float weights that are to be packed are trained on the exact grid.
  const WeightQuantizer inner = options.quantizer == WeightQuantizer::kFloat &&
                                        options.activations == Activations::kU8
                                    ? WeightQuantizer::kGrid
                                    : options.quantizer;
  const auto edge = [&](EdgeLayer layer) {
    return layer == EdgeLayer::kGrid && inner != WeightQuantizer::kFloat
               ? WeightQuantizer::kGrid
               : inner;
  };
  std::vector<WeightQuantizer> chosen;
  for (int i = 0; i < graph.node_size(); ++i) {
    const bool first =
        shapes.node[static_cast<std::size_t>(i)].input == kPictureInput;
    const bool last = i + 1 == graph.node_size();
    if (graph.node(i).weights() == model::v1::WEIGHT_KIND_TERNARY) {
      chosen.push_back(inner);
    } else if (graph.node(i).weights() == model::v1::WEIGHT_KIND_GRID) {
      chosen.push_back(edge(EdgeLayer::kGrid));
    } else if (first) {
      chosen.push_back(edge(options.first_layer));
    } else {
      chosen.push_back(last ? edge(options.last_layer) : inner);
    }
  }
  return chosen;
}

}  // namespace tern::trainer
