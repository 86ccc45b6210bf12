// Shapes of a network: the one place that knows them, for engine, trainer and
// model files alike.
//
// Pure functions, thread-safe. A graph is untrusted: every size is checked
// before it is used, and an error names the node and the field.

#ifndef TERN_ENGINE_MODEL_GRAPH_H_
#define TERN_ENGINE_MODEL_GRAPH_H_

#include <cstdint>
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
  // With defaults filled in; 1 for linear.
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

// Checks the graph and computes all shapes. INVALID_ARGUMENT names node and
// field. Bounds: 4096 nodes, 2^31 - 1 elements in a tensor, 2^40 macs.
absl::StatusOr<GraphShapes> InferShapes(const model::v1::Graph& graph);

}  // namespace tern

#endif  // TERN_ENGINE_MODEL_GRAPH_H_
