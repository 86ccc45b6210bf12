// Network: a graph made ready to compute in floating point, forward and
// backward.
//
//   TERN_ASSIGN_OR_RETURN(auto network, Network::Create(graph, options));
//   network->PrepareStep(pool);                   // quantises the weights
//   pool.ParallelFor(options.shards, [&](std::size_t shard) {
//     FillPictures(network->Pictures(shard));
//     network->Forward(shard, Pass::kTrain);
//     ... network->LogitGradients(shard) ...
//     network->Backward(shard);
//   });
//   network->FinishStep(pool);                    // sums the gradients
//
// Two forms: kTraining has latent weights, batch norm and ranges of
// activations. kFolded is what a model file says: codes, then multiplier and
// bias for each filter, activations in units of their scale.
//
// Forward and Backward of different shards may run at the same time;
// everything else needs the network alone. Errors of oneDNN come back as
// INTERNAL.

#ifndef TERN_TRAINER_NN_NETWORK_H_
#define TERN_TRAINER_NN_NETWORK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/thread_pool.h"
#include "engine/model/graph.h"
#include "tern/model/v1/model.pb.h"
#include "trainer/nn/op.h"
#include "trainer/nn/quantizer.h"

namespace tern::trainer {

struct ProductWeights;
struct BatchNormNumbers;
struct ActivationRange;

enum class Form : std::uint8_t { kTraining, kFolded };
enum class Activations : std::uint8_t { kFloat, kU8 };

struct NetworkOptions {
  Form form = Form::kTraining;
  // Whether Backward will be called (kTraining only).
  bool train = false;
  int shards = 1;
  // Pictures in a shard.
  int shard_batch = 1;
  // One for each node; looked at for conv2d and linear. kFolded: unused.
  std::vector<WeightQuantizer> quantizer;
  std::vector<ScalePer> scale_per;
  // kFolded: scale of each node's output, as the file has it; the residual
  // and average pools need the ratios. kTraining: unused.
  std::vector<float> output_scale;
};

// A named view of numbers that a checkpoint keeps.
struct StateTensor {
  std::string name;
  absl::Span<float> values;
};

class Network {
 public:
  // INVALID_ARGUMENT: the graph, or a layer too large for its quantiser.
  static absl::StatusOr<std::unique_ptr<Network>> Create(
      const model::v1::Graph& graph, const NetworkOptions& options);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const model::v1::Graph& graph() const;
  const GraphShapes& shapes() const;
  const NetworkOptions& options() const;

  // kTraining: He-normal latent weights (He et al., arXiv 1502.01852), drawn
  // from the seed.
  void Initialise(std::uint64_t seed);

  // Rounds activations from the next pass on.
  void SetActivations(Activations activations);

  // shard_batch x channel x row x column.
  absl::Span<float> Pictures(int shard);
  // shard_batch x classes.
  absl::Span<const float> Logits(int shard) const;
  absl::Span<float> LogitGradients(int shard);

  absl::Status PrepareStep(ThreadPool& pool);
  absl::Status Forward(int shard, Pass pass);
  absl::Status Backward(int shard);
  absl::Status FinishStep(ThreadPool& pool);

  // All trained tensors, in the order of the graph.
  std::vector<Parameter*> Parameters();
  // Parameters' values, running statistics and ranges.
  std::vector<StateTensor> State();

  // Of node i; null where it has none.
  const ProductWeights* Product(int node) const;
  const BatchNormNumbers* BatchNorm(int node) const;
  const ActivationRange* Range(int node) const;

  // kFolded: the numbers of a conv2d or linear node.
  void SetFolded(int node, absl::Span<const float> codes,
                 absl::Span<const float> multiplier,
                 absl::Span<const float> bias);

 private:
  class Impl;
  explicit Network(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NN_NETWORK_H_
