// Small valid models for tests: a graph in text format plus a seed.
//
//   const TinyModel model = MakeTinyModel(kTinyConv, 1);
//   const std::string file = TinyModelBytes(model);
//
// Weights are random; multipliers and biases are such that activations spread
// over their whole range (some clamp at both ends). The same arguments give
// the same model on every machine. Bad arguments end the test process.

#ifndef TERN_TESTS_TESTING_TINY_MODEL_H_
#define TERN_TESTS_TESTING_TINY_MODEL_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/model_file.h"
#include "tern/model/v1/model.pb.h"

namespace tern::testing {

// Header without tensor table, limits and golden test, and the numbers:
// the arguments of WriteModel and WriteModelWithGolden.
struct TinyModel {
  model::v1::Header header;
  std::vector<NodeWeights> weights;
};

// 6x5x1 pictures, two linear layers, 3 classes. The smallest.
extern const std::string_view kTinyMlp;
// 9x8x3 pictures; padded and strided convolutions, max and average pool.
extern const std::string_view kTinyConv;
// Two residual blocks: identity (u8) and a strided 1x1 shortcut (s16); global
// average pool.
extern const std::string_view kTinyResidual;
// Grid (exact float) first and last layer around a ternary one; zero points
// and scales for each channel.
extern const std::string_view kTinyGrid;
// LeNet-5: 28x28x1, 32-C5, MP2, 64-C5, MP2, 512-FC, 10.
extern const std::string_view kLenet5;

// The graphs above but kLenet5, with names for messages and parameters.
struct NamedGraph {
  std::string_view name;
  std::string_view graph;
  // What test names show.
  friend std::ostream& operator<<(std::ostream& out, const NamedGraph& named) {
    return out << named.name;
  }
};
const std::vector<NamedGraph>& TinyGraphs();

// `graph` is a Graph in text format, or a message. Where a conv2d or linear
// node does not say which weights it has, they are ternary. Outputs are U8
// after ReLU, S16 without, F32 for the last node.
TinyModel MakeTinyModel(const model::v1::Graph& graph, std::uint64_t seed);
TinyModel MakeTinyModel(std::string_view graph_text, std::uint64_t seed);

// WriteModel's bytes; no golden test in them.
std::string TinyModelBytes(const TinyModel& model);

// One picture of the model's input size.
std::vector<std::uint8_t> RandomPicture(const model::v1::Image& input,
                                        std::uint64_t seed);

// A view of a string's bytes.
absl::Span<const std::uint8_t> AsBytes(std::string_view text);

}  // namespace tern::testing

#endif  // TERN_TESTS_TESTING_TINY_MODEL_H_
