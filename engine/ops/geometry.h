// Geometries of the kernels from the shapes of a graph.

#ifndef TERN_ENGINE_OPS_GEOMETRY_H_
#define TERN_ENGINE_OPS_GEOMETRY_H_

#include "engine/kernels/conv.h"
#include "engine/kernels/pool.h"
#include "engine/model/graph.h"
#include "tern/model/v1/model.pb.h"

namespace tern {

// A linear node is a 1x1 convolution of a 1x1 map; a pool has as many filters
// as channels.
ConvGeometry ConvGeometryOf(const model::v1::Node& node,
                            const NodeShape& shape);

// Of a max, average or global pool.
PoolGeometry PoolGeometryOf(const NodeShape& shape);

}  // namespace tern

#endif  // TERN_ENGINE_OPS_GEOMETRY_H_
