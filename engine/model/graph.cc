#include "engine/model/graph.h"

#include <algorithm>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/model/node_op.h"

namespace tern {
namespace {

using model::v1::Graph;
using model::v1::Node;

constexpr absl::string_view kPictureName = "image";
constexpr std::size_t kMaxNameLength = 64;

bool IsNodeName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameLength) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  });
}

// A name from outside, fit for a message.
std::string Quoted(absl::string_view name) {
  const bool cut = name.size() > kMaxNameLength;
  return absl::StrCat("'", absl::CHexEscape(name.substr(0, kMaxNameLength)),
                      cut ? "...'" : "'");
}

std::string ShapeText(const Shape& shape) {
  return absl::StrCat(shape.h, "x", shape.w, "x", shape.c);
}

// Shape inference over one graph. Errors name node and field.
class Inference {
 public:
  explicit Inference(const Graph& graph) : graph_(graph) {}

  absl::StatusOr<GraphShapes> Run() {
    TERN_RETURN_IF_ERROR(Picture());
    if (graph_.node_size() < 1 || graph_.node_size() > kMaxNodes) {
      return absl::InvalidArgumentError(
          absl::StrCat("graph.node: has ", graph_.node_size(),
                       " nodes, must have 1..", kMaxNodes));
    }
    is_read_.resize(graph_.node_size());
    shapes_.node.reserve(graph_.node_size());
    for (index_ = 0; index_ < graph_.node_size(); ++index_) {
      TERN_RETURN_IF_ERROR(OneNode(graph_.node(index_)));
    }
    TERN_RETURN_IF_ERROR(Output());
    return std::move(shapes_);
  }

 private:
  absl::Status Error(absl::string_view field, absl::string_view problem) const {
    return absl::InvalidArgumentError(
        absl::StrCat(NodeLabel(graph_, index_), ": ", field, ": ", problem));
  }

  absl::Status Picture() {
    const model::v1::Image& input = graph_.input();
    const auto error = [](absl::string_view field, auto value,
                          absl::string_view wanted) {
      return absl::InvalidArgumentError(absl::StrCat(
          "graph.input.", field, ": is ", value, ", must be ", wanted));
    };
    const std::string sides = absl::StrCat("1..", kMaxPictureSide);
    if (input.height() < 1 || input.height() > kMaxPictureSide) {
      return error("height", input.height(), sides);
    }
    if (input.width() < 1 || input.width() > kMaxPictureSide) {
      return error("width", input.width(), sides);
    }
    if (input.channels() != 1 && input.channels() != 3) {
      return error("channels", input.channels(), "1 or 3");
    }
    shapes_.picture = {input.height(), input.width(), input.channels()};
    if (shapes_.picture.elements() > kMaxTensorElements) {
      return absl::InvalidArgumentError(
          absl::StrCat("graph.input: ", ShapeText(shapes_.picture),
                       " has more than ", kMaxTensorElements, " elements"));
    }
    return absl::OkStatus();
  }

  absl::Status OneNode(const Node& node) {
    TERN_RETURN_IF_ERROR(Name(node));
    if (!HasWeights(node)) TERN_RETURN_IF_ERROR(NoFilterFields(node));
    NodeShape shape;
    TERN_RETURN_IF_ERROR(Input(node, &shape));
    const absl::Status op = InferOp(node, &shape);
    if (!op.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(NodeLabel(graph_, index_), ": ", op.message()));
    }
    TERN_RETURN_IF_ERROR(Bounds(&shape, node));
    TERN_RETURN_IF_ERROR(Residual(node, &shape));
    shapes_.node.push_back(shape);
    return absl::OkStatus();
  }

  absl::Status Name(const Node& node) {
    if (!IsNodeName(node.name())) {
      return Error("name", absl::StrCat("is ", Quoted(node.name()),
                                        ", must be [A-Za-z0-9_.-]{1,64}"));
    }
    if (node.name() == kPictureName) {
      return Error("name", "'image' is the picture's own name");
    }
    const auto [it, fresh] = index_of_.emplace(node.name(), index_);
    if (!fresh) {
      return Error("name", absl::StrCat("is the name of graph.node[",
                                        it->second, "] already"));
    }
    return absl::OkStatus();
  }

  // Pools and flatten have no filters, so nothing that belongs to filters.
  absl::Status NoFilterFields(const Node& node) const {
    constexpr absl::string_view kOnly = "is for conv2d and linear only";
    if (!node.residual().empty()) return Error("residual", kOnly);
    if (node.activation() != model::v1::ACTIVATION_NONE) {
      return Error("activation", kOnly);
    }
    if (node.batch_norm()) return Error("batch_norm", kOnly);
    if (node.weights() != model::v1::WEIGHT_KIND_UNSPECIFIED) {
      return Error("weights", kOnly);
    }
    return absl::OkStatus();
  }

  // Finds an earlier node by name and notes that it is read.
  absl::StatusOr<int> Earlier(absl::string_view field,
                              const std::string& name) {
    const auto it = index_of_.find(name);
    if (it == index_of_.end() || it->second == index_) {
      return Error(field,
                   absl::StrCat("no node ", Quoted(name), " before this one"));
    }
    is_read_[it->second] = true;
    return it->second;
  }

  absl::Status Input(const Node& node, NodeShape* shape) {
    if (node.input() == kPictureName || (node.input().empty() && index_ == 0)) {
      shape->input = kPictureInput;
    } else if (node.input().empty()) {
      shape->input = index_ - 1;
      is_read_[index_ - 1] = true;
    } else {
      TERN_ASSIGN_OR_RETURN(shape->input, Earlier("input", node.input()));
    }
    if (shape->input == kPictureInput) {
      if (!HasWeights(node)) {
        return Error("input", "only conv2d and linear may read the picture");
      }
      shape->in = shapes_.picture;
    } else {
      shape->in = shapes_.node[shape->input].out;
    }
    return absl::OkStatus();
  }

  // Bounds the output tensor, the filters and the running cost. Each factor
  // is below 2^31, so a product of two fits; a third comes after a check.
  absl::Status Bounds(NodeShape* shape, const Node& node) {
    const Shape& out = shape->out;
    if (out.h * out.w > kMaxTensorElements / out.c) {
      return Error("output", absl::StrCat(ShapeText(out), " has more than ",
                                          kMaxTensorElements, " elements"));
    }
    if (!HasWeights(node)) return absl::OkStatus();
    if (shape->filter_size > kMaxTensorElements / out.c) {
      return Error("weights",
                   absl::StrCat(out.c, " filters of ", shape->filter_size,
                                " weights are more than ", kMaxTensorElements));
    }
    shape->macs = out.elements() * shape->filter_size;
    if (shape->macs > kMaxMacs - shapes_.macs) {
      return Error("cost", absl::StrCat("the graph needs more than ", kMaxMacs,
                                        " multiply-accumulates a picture"));
    }
    shapes_.macs += shape->macs;
    shapes_.weights += shape->filter_size * out.c;
    shapes_.filters += out.c;
    return absl::OkStatus();
  }

  absl::Status Residual(const Node& node, NodeShape* shape) {
    if (node.residual().empty()) {
      shape->residual = kNoResidual;
      return absl::OkStatus();
    }
    TERN_ASSIGN_OR_RETURN(shape->residual,
                          Earlier("residual", node.residual()));
    const Shape& other = shapes_.node[shape->residual].out;
    if (other == shape->out) return absl::OkStatus();
    return Error("residual", absl::StrCat("node ", Quoted(node.residual()),
                                          " yields ", ShapeText(other),
                                          ", must be ", ShapeText(shape->out)));
  }

  absl::Status Output() {
    index_ = graph_.node_size() - 1;
    const Shape& out = shapes_.node[index_].out;
    if (out.h != 1 || out.w != 1 || out.c > kMaxClasses) {
      return Error("output",
                   absl::StrCat("the last node yields ", ShapeText(out),
                                ", must be 1x1x1..", kMaxClasses, " logits"));
    }
    shapes_.classes = out.c;
    for (index_ = 0; index_ + 1 < graph_.node_size(); ++index_) {
      if (!is_read_[index_]) return Error("output", "is read by no node");
    }
    return absl::OkStatus();
  }

  const Graph& graph_;
  GraphShapes shapes_;
  std::unordered_map<std::string, int> index_of_;
  std::vector<bool> is_read_;
  int index_ = 0;
};

}  // namespace

bool HasWeights(const Node& node) {
  return node.has_conv2d() || node.has_linear();
}

std::string NodeLabel(const Graph& graph, int node) {
  std::string label = absl::StrCat("graph.node[", node, "]");
  if (node >= 0 && node < graph.node_size() &&
      IsNodeName(graph.node(node).name())) {
    absl::StrAppend(&label, " '", graph.node(node).name(), "'");
  }
  return label;
}

absl::StatusOr<GraphShapes> InferShapes(const Graph& graph) {
  return Inference(graph).Run();
}

}  // namespace tern
