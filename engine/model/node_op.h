// What one op makes of its input's shape. Pure function, thread-safe.

#ifndef TERN_ENGINE_MODEL_NODE_OP_H_
#define TERN_ENGINE_MODEL_NODE_OP_H_

#include "absl/status/status.h"
#include "engine/model/graph.h"
#include "tern/model/v1/model.pb.h"

namespace tern {

// Given shape->in, checks the op's fields and fills in out, the window and
// filter_size. out may have more elements than allowed: the caller bounds it.
// INVALID_ARGUMENT starts with the field ("conv2d.kernel_h: is 0, ..."); the
// caller adds the node.
absl::Status InferOp(const model::v1::Node& node, NodeShape* shape);

}  // namespace tern

#endif  // TERN_ENGINE_MODEL_NODE_OP_H_
