#include "engine/model/node_op.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"

namespace tern {
namespace {

using model::v1::Node;

absl::Status CheckRange(absl::string_view field, std::int64_t value,
                        std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": is ", value, ", must be ", low, "..", high));
}

// A sliding window along one axis.
struct Axis {
  std::int64_t in;
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t before;
  std::int64_t after;
  std::int64_t out() const {
    return (in + before + after - kernel) / stride + 1;
  }
};

// `op` is "conv2d." and `suffix` "h", `before` and `after` the padding's
// fields.
absl::Status CheckAxis(const std::string& op, const std::string& suffix,
                       absl::string_view before, absl::string_view after,
                       const Axis& axis) {
  const std::string kernel = op + "kernel_" + suffix;
  TERN_RETURN_IF_ERROR(CheckRange(kernel, axis.kernel, 1, kMaxKernel));
  TERN_RETURN_IF_ERROR(
      CheckRange(op + "stride_" + suffix, axis.stride, 1, kMaxStride));
  // Padding below the kernel's size: every window sees a real element.
  TERN_RETURN_IF_ERROR(CheckRange(absl::StrCat(op, "padding.", before),
                                  axis.before, 0, axis.kernel - 1));
  TERN_RETURN_IF_ERROR(CheckRange(absl::StrCat(op, "padding.", after),
                                  axis.after, 0, axis.kernel - 1));
  const std::int64_t padded = axis.in + axis.before + axis.after;
  if (axis.kernel <= padded) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(kernel, ": is ", axis.kernel,
                   ", but the padded input has only ", padded));
}

// For Conv2d and Pool2d, whose window fields have the same names.
template <typename WindowOp>
absl::Status InferWindow(const std::string& name, const WindowOp& op,
                         std::uint32_t stride_h, std::uint32_t stride_w,
                         NodeShape* shape) {
  const model::v1::Padding& padding = op.padding();
  const Axis h = {shape->in.h, op.kernel_h(), stride_h, padding.top(),
                  padding.bottom()};
  const Axis w = {shape->in.w, op.kernel_w(), stride_w, padding.left(),
                  padding.right()};
  TERN_RETURN_IF_ERROR(CheckAxis(name, "h", "top", "bottom", h));
  TERN_RETURN_IF_ERROR(CheckAxis(name, "w", "left", "right", w));
  shape->out.h = h.out();
  shape->out.w = w.out();
  shape->kernel_h = static_cast<int>(h.kernel);
  shape->kernel_w = static_cast<int>(w.kernel);
  shape->stride_h = static_cast<int>(h.stride);
  shape->stride_w = static_cast<int>(w.stride);
  shape->pad_top = static_cast<int>(h.before);
  shape->pad_bottom = static_cast<int>(h.after);
  shape->pad_left = static_cast<int>(w.before);
  shape->pad_right = static_cast<int>(w.after);
  return absl::OkStatus();
}

absl::Status InferConv(const model::v1::Conv2d& conv, NodeShape* shape) {
  TERN_RETURN_IF_ERROR(
      CheckRange("conv2d.filters", conv.filters(), 1, kMaxTensorElements));
  if (conv.groups() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "conv2d.groups: is ", conv.groups(), ", only one is supported"));
  }
  TERN_RETURN_IF_ERROR(
      InferWindow("conv2d.", conv, conv.stride_h() == 0 ? 1 : conv.stride_h(),
                  conv.stride_w() == 0 ? 1 : conv.stride_w(), shape));
  shape->out.c = conv.filters();
  shape->filter_size = shape->in.c * shape->kernel_h * shape->kernel_w;
  return absl::OkStatus();
}

absl::Status InferLinear(const model::v1::Linear& linear, NodeShape* shape) {
  TERN_RETURN_IF_ERROR(
      CheckRange("linear.filters", linear.filters(), 1, kMaxTensorElements));
  shape->out = {1, 1, linear.filters()};
  shape->filter_size = shape->in.elements();
  return absl::OkStatus();
}

absl::Status InferPool(const std::string& name, const model::v1::Pool2d& pool,
                       NodeShape* shape) {
  TERN_RETURN_IF_ERROR(InferWindow(
      name, pool, pool.stride_h() == 0 ? pool.kernel_h() : pool.stride_h(),
      pool.stride_w() == 0 ? pool.kernel_w() : pool.stride_w(), shape));
  shape->out.c = shape->in.c;
  return absl::OkStatus();
}

absl::Status InferGlobalPool(NodeShape* shape) {
  TERN_RETURN_IF_ERROR(CheckRange("global_avg_pool input map",
                                  shape->in.h * shape->in.w, 1,
                                  kMaxPoolWindow));
  shape->kernel_h = static_cast<int>(shape->in.h);
  shape->kernel_w = static_cast<int>(shape->in.w);
  shape->out = {1, 1, shape->in.c};
  return absl::OkStatus();
}

}  // namespace

absl::Status InferOp(const Node& node, NodeShape* shape) {
  switch (node.op_case()) {
    case Node::kConv2D:
      return InferConv(node.conv2d(), shape);
    case Node::kLinear:
      return InferLinear(node.linear(), shape);
    case Node::kMaxPool2D:
      return InferPool("max_pool2d.", node.max_pool2d(), shape);
    case Node::kAvgPool2D:
      return InferPool("avg_pool2d.", node.avg_pool2d(), shape);
    case Node::kGlobalAvgPool:
      return InferGlobalPool(shape);
    case Node::kFlatten:
      shape->out = {1, 1, shape->in.elements()};
      return absl::OkStatus();
    case Node::OP_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("op: is not set");
}

}  // namespace tern
