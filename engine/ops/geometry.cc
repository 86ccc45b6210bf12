#include "engine/ops/geometry.h"

namespace tern {

ConvGeometry ConvGeometryOf(const model::v1::Node& node,
                            const NodeShape& shape) {
  ConvGeometry g;
  g.filters = static_cast<int>(shape.out.c);
  if (node.has_linear()) {
    g.in_c = static_cast<int>(shape.in.elements());
    return g;
  }
  g.in_h = static_cast<int>(shape.in.h);
  g.in_w = static_cast<int>(shape.in.w);
  g.in_c = static_cast<int>(shape.in.c);
  g.out_h = static_cast<int>(shape.out.h);
  g.out_w = static_cast<int>(shape.out.w);
  g.kernel_h = shape.kernel_h;
  g.kernel_w = shape.kernel_w;
  g.stride_h = shape.stride_h;
  g.stride_w = shape.stride_w;
  g.pad_top = shape.pad_top;
  g.pad_left = shape.pad_left;
  return g;
}

PoolGeometry PoolGeometryOf(const NodeShape& shape) {
  PoolGeometry g;
  g.in_h = static_cast<int>(shape.in.h);
  g.in_w = static_cast<int>(shape.in.w);
  g.channels = static_cast<int>(shape.in.c);
  g.out_h = static_cast<int>(shape.out.h);
  g.out_w = static_cast<int>(shape.out.w);
  g.kernel_h = shape.kernel_h;
  g.kernel_w = shape.kernel_w;
  g.stride_h = shape.stride_h;
  g.stride_w = shape.stride_w;
  g.pad_top = shape.pad_top;
  g.pad_left = shape.pad_left;
  return g;
}

}  // namespace tern
