// Where the numbers of a model lie in its file. Pure functions, thread-safe.

#ifndef TERN_ENGINE_MODEL_TENSOR_TABLE_H_
#define TERN_ENGINE_MODEL_TENSOR_TABLE_H_

#include <string>
#include <vector>

#include "engine/model/graph.h"
#include "tern/model/v1/model.pb.h"

namespace tern {

// The one tensor table that a checked header can have: weights, multiplier
// and bias of each conv2d and linear node in order, without gaps but those of
// alignment. crc32 is 0.
std::vector<model::v1::Tensor> LayOutTensors(const model::v1::Header& header,
                                             const GraphShapes& shapes);

// "graph.node[3] 'conv2' multiplier", for error messages.
std::string TensorLabel(const model::v1::Graph& graph,
                        const model::v1::Tensor& tensor);

}  // namespace tern

#endif  // TERN_ENGINE_MODEL_TENSOR_TABLE_H_
