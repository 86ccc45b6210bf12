#include "trainer/nn/pool_op.h"

#include <cstddef>
#include <utility>

namespace tern::trainer {

using dnnl::memory;

PoolOp::Kernels::Kernels(const NodeShape& shape, bool max,
                         const memory::desc& input, Shards* shards,
                         bool train) {
  const auto algorithm = max ? dnnl::algorithm::pooling_max
                             : dnnl::algorithm::pooling_avg_include_padding;
  const memory::desc wanted(
      {shards->batch(), shape.out.c, shape.out.h, shape.out.w},
      memory::data_type::f32, memory::format_tag::any);
  const memory::dims strides = {shape.stride_h, shape.stride_w};
  const memory::dims window = {shape.kernel_h, shape.kernel_w};
  const memory::dims before = {shape.pad_top, shape.pad_left};
  const memory::dims after = {shape.pad_bottom, shape.pad_right};
  const dnnl::pooling_forward::primitive_desc forward_pd(
      {train ? dnnl::prop_kind::forward_training
             : dnnl::prop_kind::forward_inference,
       algorithm, input, wanted, strides, window, before, after},
      UserScratch(), shards->engine());
  forward = Kernel(forward_pd, shards);
  output = forward_pd.dst_desc();
  if (!train) return;
  workspace = forward_pd.workspace_desc();
  backward =
      Kernel(dnnl::pooling_backward::primitive_desc(
                 {algorithm, input, output, strides, window, before, after},
                 UserScratch(), shards->engine(), forward_pd),
             shards);
}

PoolOp::PoolOp(const NodeShape& shape, bool max, TensorSlot* input,
               Shards* shards)
    : input_(input),
      kernels_(shape, max, input->desc(), shards, input->has_gradient()),
      output_(kernels_.output, *shards, input->has_gradient()) {
  if (kernels_.workspace.get_size() > 0) {
    workspace_ = MakePerShard(kernels_.workspace, *shards);
  }
}

void PoolOp::Forward(int shard, Pass /*pass*/) {
  KernelArgs args = {{DNNL_ARG_SRC, input_->value(shard)},
                     {DNNL_ARG_DST, output_.value(shard)}};
  if (!workspace_.empty()) {
    args.emplace(DNNL_ARG_WORKSPACE,
                 workspace_[static_cast<std::size_t>(shard)]);
  }
  kernels_.forward.Run(shard, std::move(args));
}

void PoolOp::Backward(int shard) {
  if (!input_->has_gradient()) return;
  KernelArgs args = {{DNNL_ARG_DIFF_DST, output_.gradient(shard)},
                     {DNNL_ARG_DIFF_SRC, input_->BeginGradient(shard)}};
  if (!workspace_.empty()) {
    args.emplace(DNNL_ARG_WORKSPACE,
                 workspace_[static_cast<std::size_t>(shard)]);
  }
  kernels_.backward.Run(shard, std::move(args));
  input_->EndGradient(shard);
}

}  // namespace tern::trainer
