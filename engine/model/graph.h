// Shapes of a network: the one place that knows them, for engine, trainer and
// model files alike.
//
// Pure functions, thread-safe. A graph is untrusted: every size is checked
// before it is used, and an error names the node and the field.

#ifndef TERN_ENGINE_MODEL_GRAPH_H_
#define TERN_ENGINE_MODEL_GRAPH_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tern/model/v1/model.pb.h"

namespace tern {

// One picture's tensor, channels innermost. Vectors have h == w == 1.
struct Shape {
  std::int64_t h = 0;
  std::int64_t w = 0;
  std::int64_t c = 0;
  std::int64_t elements() const { return h * w * c; }
  friend bool operator==(const Shape&, const Shape&) = default;
};

inline constexpr int kPictureInput = -1;
inline constexpr int kNoResidual = -2;

// What shape inference finds about one node.
struct NodeShape {
  // Index of the node read, or kPictureInput.
  int input = kPictureInput;
  int residual = kNoResidual;
  Shape in;
  Shape out;
  // With defaults filled in; 1 for linear. Global average pool: the whole map.
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  // conv2d and linear: weights of one filter (kernel_h * kernel_w * in.c, or
  // in.elements()), and multiply-accumulates for one picture; 0 otherwise.
  std::int64_t filter_size = 0;
  std::int64_t macs = 0;
};

struct GraphShapes {
  Shape picture;
  std::vector<NodeShape> node;
  std::int64_t classes = 0;
  std::int64_t macs = 0;
  std::int64_t weights = 0;
  std::int64_t filters = 0;
};

// Bounds of a graph. They keep every product of sizes within 64 bits, every
// tensor and filter within 32, and the sum over a pooling window of u8 values
// below 2^24, where float32 counts exactly.
inline constexpr int kMaxNodes = 4096;
inline constexpr std::uint32_t kMaxPictureSide = 32768;
inline constexpr std::int64_t kMaxTensorElements = (std::int64_t{1} << 31) - 1;
inline constexpr std::int64_t kMaxMacs = std::int64_t{1} << 40;
inline constexpr int kMaxKernel = 256;
inline constexpr int kMaxStride = 256;
inline constexpr std::int64_t kMaxPoolWindow = 65536;
inline constexpr std::int64_t kMaxClasses = 65536;

// Whether the node has filters: conv2d or linear.
bool HasWeights(const model::v1::Node& node);

// "graph.node[3] 'conv2'", for error messages.
std::string NodeLabel(const model::v1::Graph& graph, int node);

// Checks the graph and computes all shapes. INVALID_ARGUMENT names node and
// field. A graph is valid where
//   - every size lies within the bounds above, padding is smaller than the
//     kernel, and the kernel fits the padded input;
//   - names are unique, every node but the last is read, and only by later
//     nodes; only conv2d and linear read the picture;
//   - activation, batch_norm, weights and residual stand on conv2d and linear
//     alone, a residual has the shape of the node's output;
//   - the last node yields one vector (1 x 1 x classes).
absl::StatusOr<GraphShapes> InferShapes(const model::v1::Graph& graph);

// Reads a network file: the Graph message in protobuf text format.
// INVALID_ARGUMENT says line and column. Shapes are not checked here.
absl::StatusOr<model::v1::Graph> ParseGraphText(std::string_view text);

}  // namespace tern

#endif  // TERN_ENGINE_MODEL_GRAPH_H_
