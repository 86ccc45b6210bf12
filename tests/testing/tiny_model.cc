#include "tests/testing/tiny_model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/base/status_macros.h"
#include "engine/model/model_check.h"

namespace tern::testing {

const std::string_view kTinyMlp = R"(
  input { height: 6 width: 5 channels: 1 }
  node { name: "fc1" linear { filters: 7 } activation: ACTIVATION_RELU }
  node { name: "logits" linear { filters: 3 } })";

const std::string_view kTinyConv = R"(
  input { height: 9 width: 8 channels: 3 }
  node {
    name: "conv1" activation: ACTIVATION_RELU
    conv2d { filters: 8 kernel_h: 3 kernel_w: 3
             padding { top: 1 bottom: 1 left: 1 right: 1 } } }
  node { name: "pool1" max_pool2d { kernel_h: 2 kernel_w: 2 } }
  node {
    name: "conv2" activation: ACTIVATION_RELU batch_norm: true
    conv2d { filters: 6 kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2
             padding { top: 1 bottom: 2 left: 0 right: 1 } } }
  node {
    name: "pool2"
    avg_pool2d { kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1
                 padding { top: 1 left: 1 } } }
  node { name: "flat" flatten {} }
  node { name: "logits" linear { filters: 4 } })";

const std::string_view kTinyResidual = R"(
  input { height: 8 width: 8 channels: 3 }
  node {
    name: "stem" activation: ACTIVATION_RELU
    conv2d { filters: 5 kernel_h: 3 kernel_w: 3
             padding { top: 1 bottom: 1 left: 1 right: 1 } } }
  node {
    name: "a1" activation: ACTIVATION_RELU
    conv2d { filters: 5 kernel_h: 3 kernel_w: 3
             padding { top: 1 bottom: 1 left: 1 right: 1 } } }
  node {
    name: "a2" residual: "stem" activation: ACTIVATION_RELU
    conv2d { filters: 5 kernel_h: 3 kernel_w: 3
             padding { top: 1 bottom: 1 left: 1 right: 1 } } }
  node {
    name: "shortcut" input: "a2"
    conv2d { filters: 9 kernel_h: 1 kernel_w: 1 stride_h: 2 stride_w: 2 } }
  node {
    name: "b1" input: "a2" activation: ACTIVATION_RELU
    conv2d { filters: 9 kernel_h: 3 kernel_w: 3 stride_h: 2 stride_w: 2
             padding { top: 1 left: 1 bottom: 1 right: 1 } } }
  node {
    name: "b2" residual: "shortcut" activation: ACTIVATION_RELU
    conv2d { filters: 9 kernel_h: 3 kernel_w: 3
             padding { top: 1 bottom: 1 left: 1 right: 1 } } }
  node { name: "pool" global_avg_pool {} }
  node { name: "logits" linear { filters: 6 } })";

const std::string_view kTinyGrid = R"(
  input { height: 7 width: 7 channels: 3 }
  node {
    name: "conv1" activation: ACTIVATION_RELU weights: WEIGHT_KIND_GRID
    conv2d { filters: 6 kernel_h: 3 kernel_w: 3
             padding { top: 1 bottom: 1 left: 1 right: 1 } } }
  node {
    name: "conv2" activation: ACTIVATION_RELU weights: WEIGHT_KIND_TERNARY
    conv2d { filters: 8 kernel_h: 3 kernel_w: 3 } }
  node {
    name: "logits" weights: WEIGHT_KIND_GRID linear { filters: 5 } })";

const std::string_view kLenet5 = R"(
  input { height: 28 width: 28 channels: 1 }
  node {
    name: "conv1" activation: ACTIVATION_RELU
    conv2d { filters: 32 kernel_h: 5 kernel_w: 5 } }
  node { name: "pool1" max_pool2d { kernel_h: 2 kernel_w: 2 } }
  node {
    name: "conv2" activation: ACTIVATION_RELU
    conv2d { filters: 64 kernel_h: 5 kernel_w: 5 } }
  node { name: "pool2" max_pool2d { kernel_h: 2 kernel_w: 2 } }
  node { name: "fc1" linear { filters: 512 } activation: ACTIVATION_RELU }
  node { name: "logits" linear { filters: 10 } })";

namespace {

using model::v1::Header;

// SplitMix64 (Steele, Lea, Flood 2014): same numbers on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  // low..high, both included.
  int Int(int low, int high) {
    return low + static_cast<int>(Next() %
                                  (static_cast<std::uint64_t>(high - low) + 1));
  }
  // [0, 1) with 24 bits.
  float Unit() { return static_cast<float>(Next() >> 40) * 0x1p-24F; }

 private:
  std::uint64_t state_;
};

// The largest magnitude of a grid weight that keeps any filter in bounds.
int GridMagnitude(std::int64_t filter_size) {
  return static_cast<int>(
      std::min<std::int64_t>(2047, kMaxGridMagnitude / filter_size));
}

NodeWeights RandomWeights(const model::v1::Node& node, const NodeShape& shape,
                          float range, Random* random) {
  NodeWeights weights;
  const auto count = static_cast<std::size_t>(shape.out.c * shape.filter_size);
  double mean_square = 2.0 / 3;
  if (node.weights() == model::v1::WEIGHT_KIND_GRID) {
    const int magnitude = GridMagnitude(shape.filter_size);
    mean_square = magnitude * (magnitude + 1.0) / 3;
    weights.grid.resize(count);
    for (std::int16_t& w : weights.grid) {
      w = static_cast<std::int16_t>(random->Int(-magnitude, magnitude));
    }
  } else {
    weights.ternary.resize(count);
    for (std::int8_t& t : weights.ternary) {
      t = static_cast<std::int8_t>(random->Int(-1, 1));
    }
  }
  // 128 is about the root mean square of an activation.
  const double spread =
      128 * std::sqrt(mean_square * static_cast<double>(shape.filter_size));
  for (std::int64_t k = 0; k < shape.out.c; ++k) {
    weights.multiplier.push_back(static_cast<float>(
        range / spread * (0.5 + static_cast<double>(random->Unit()))));
    weights.bias.push_back(range * (random->Unit() - 0.25F));
  }
  return weights;
}

void SetQuantization(const model::v1::Graph& graph, const GraphShapes& shapes,
                     Header* header) {
  for (int i = 0; i < graph.node_size(); ++i) {
    const model::v1::Node& node = graph.node(i);
    model::v1::NodeQuantization* own = header->add_quantization();
    if (i + 1 == graph.node_size()) {
      own->set_type(model::v1::ELEMENT_TYPE_F32);
      continue;
    }
    const bool is_signed =
        HasWeights(node) && node.activation() == model::v1::ACTIVATION_NONE;
    own->set_type(is_signed ? model::v1::ELEMENT_TYPE_S16
                            : model::v1::ELEMENT_TYPE_U8);
    if (HasWeights(node)) {
      own->set_scale(is_signed ? 0x1p-9F : 0.0625F);
    } else {
      // An average may be finer than what it averages.
      const float input = header->quantization(shapes.node[i].input).scale();
      const bool averages = node.has_avg_pool2d() || node.has_global_avg_pool();
      own->set_scale(averages ? input * 0.75F : input);
    }
  }
}

bool PictureNeedsOneScale(const model::v1::Graph& graph,
                          const GraphShapes& shapes) {
  for (int i = 0; i < graph.node_size(); ++i) {
    if (shapes.node[i].input == kPictureInput &&
        graph.node(i).weights() == model::v1::WEIGHT_KIND_TERNARY) {
      return true;
    }
  }
  return false;
}

}  // namespace

const std::vector<NamedGraph>& TinyGraphs() {
  static const auto* const graphs = new std::vector<NamedGraph>{
      {"mlp", kTinyMlp},
      {"conv", kTinyConv},
      {"residual", kTinyResidual},
      {"grid", kTinyGrid},
  };
  return *graphs;
}

TinyModel MakeTinyModel(const model::v1::Graph& graph, std::uint64_t seed) {
  TinyModel model;
  Header& header = model.header;
  header.set_name("tiny");
  *header.mutable_graph() = graph;
  for (model::v1::Node& node : *header.mutable_graph()->mutable_node()) {
    if (HasWeights(node) &&
        node.weights() == model::v1::WEIGHT_KIND_UNSPECIFIED) {
      node.set_weights(model::v1::WEIGHT_KIND_TERNARY);
    }
  }
  const auto shapes = InferShapes(header.graph());
  if (!shapes.ok()) {
    std::fprintf(stderr, "%s\n", shapes.status().ToString().c_str());
    std::abort();
  }
  const bool one_scale = PictureNeedsOneScale(header.graph(), *shapes);
  const int channels = static_cast<int>(graph.input().channels());
  Random random(seed);
  for (int c = 0; c < channels; ++c) {
    auto* input = header.mutable_input_quantization();
    if (c == 0 || !one_scale) input->add_scale(0.015625F + 0.001F * c);
    input->add_zero_point(random.Int(60, 130));
  }
  SetQuantization(header.graph(), *shapes, &header);
  for (int i = 0; i < graph.node_size(); ++i) {
    const model::v1::Node& node = header.graph().node(i);
    const bool is_s16 =
        header.quantization(i).type() == model::v1::ELEMENT_TYPE_S16;
    model.weights.push_back(
        HasWeights(node) ? RandomWeights(node, shapes->node[i],
                                         is_s16 ? 9000.0F : 100.0F, &random)
                         : NodeWeights());
  }
  for (int i = 0; i < shapes->classes; ++i) {
    header.add_label("class " + std::to_string(i));
  }
  auto* fact = header.mutable_card()->add_fact();
  fact->set_name("seed");
  fact->set_value(std::to_string(seed));
  return model;
}

TinyModel MakeTinyModel(std::string_view graph_text, std::uint64_t seed) {
  const auto graph = ParseGraphText(graph_text);
  if (!graph.ok()) {
    std::fprintf(stderr, "%s\n", graph.status().ToString().c_str());
    std::abort();
  }
  return MakeTinyModel(*graph, seed);
}

std::string TinyModelBytes(const TinyModel& model) {
  auto bytes = WriteModel(model.header, model.weights);
  if (!bytes.ok()) {
    std::fprintf(stderr, "%s\n", bytes.status().ToString().c_str());
    std::abort();
  }
  return *std::move(bytes);
}

std::vector<std::uint8_t> RandomPicture(const model::v1::Image& input,
                                        std::uint64_t seed) {
  Random random(seed);
  std::vector<std::uint8_t> pixels(std::size_t{input.height()} * input.width() *
                                   input.channels());
  for (std::uint8_t& pixel : pixels) {
    pixel = static_cast<std::uint8_t>(random.Next() >> 56);
  }
  return pixels;
}

absl::Span<const std::uint8_t> AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace tern::testing
