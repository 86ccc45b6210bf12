#include "engine/model/tensor_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/model/model_format.h"
#include "engine/quant/base3.h"

namespace tern {
namespace {

std::uint64_t TensorBytes(const model::v1::Tensor& tensor) {
  std::uint64_t filters = tensor.dim(0);
  std::uint64_t rest = 1;
  for (int i = 1; i < tensor.dim_size(); ++i) rest *= tensor.dim(i);
  switch (tensor.encoding()) {
    case model::v1::ENCODING_TERNARY_BASE3:
      return filters * Base3Bytes(rest);
    case model::v1::ENCODING_S16:
      return filters * rest * sizeof(std::int16_t);
    default:
      return filters * rest * sizeof(float);
  }
}

model::v1::Tensor WeightsTensor(const model::v1::Node& node,
                                const NodeShape& shape) {
  model::v1::Tensor tensor;
  tensor.set_role(model::v1::TENSOR_ROLE_WEIGHTS);
  tensor.set_encoding(node.weights() == model::v1::WEIGHT_KIND_TERNARY
                          ? model::v1::ENCODING_TERNARY_BASE3
                          : model::v1::ENCODING_S16);
  tensor.add_dim(static_cast<std::uint32_t>(shape.out.c));
  if (node.has_conv2d()) {
    tensor.add_dim(shape.kernel_h);
    tensor.add_dim(shape.kernel_w);
    tensor.add_dim(static_cast<std::uint32_t>(shape.in.c));
  } else {
    tensor.add_dim(static_cast<std::uint32_t>(shape.filter_size));
  }
  return tensor;
}

model::v1::Tensor FilterTensor(model::v1::TensorRole role,
                               const NodeShape& shape) {
  model::v1::Tensor tensor;
  tensor.set_role(role);
  tensor.set_encoding(model::v1::ENCODING_F32);
  tensor.add_dim(static_cast<std::uint32_t>(shape.out.c));
  return tensor;
}

}  // namespace

std::vector<model::v1::Tensor> LayOutTensors(const model::v1::Header& header,
                                             const GraphShapes& shapes) {
  std::vector<model::v1::Tensor> tensors;
  std::uint64_t offset = 0;
  for (int i = 0; i < header.graph().node_size(); ++i) {
    const model::v1::Node& node = header.graph().node(i);
    if (!HasWeights(node)) continue;
    const NodeShape& shape = shapes.node[i];
    for (model::v1::Tensor& tensor :
         std::vector{WeightsTensor(node, shape),
                     FilterTensor(model::v1::TENSOR_ROLE_MULTIPLIER, shape),
                     FilterTensor(model::v1::TENSOR_ROLE_BIAS, shape)}) {
      tensor.set_node(i);
      tensor.set_offset(offset);
      tensor.set_bytes(TensorBytes(tensor));
      offset = AlignUp(offset + tensor.bytes());
      tensors.push_back(std::move(tensor));
    }
  }
  return tensors;
}

std::string TensorLabel(const model::v1::Graph& graph,
                        const model::v1::Tensor& tensor) {
  absl::string_view role = "unspecified";
  switch (tensor.role()) {
    case model::v1::TENSOR_ROLE_WEIGHTS:
      role = "weights";
      break;
    case model::v1::TENSOR_ROLE_MULTIPLIER:
      role = "multiplier";
      break;
    case model::v1::TENSOR_ROLE_BIAS:
      role = "bias";
      break;
    default:
      break;
  }
  return absl::StrCat(NodeLabel(graph, static_cast<int>(tensor.node())), " ",
                      role);
}

}  // namespace tern
