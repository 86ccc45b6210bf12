#include "trainer/nn/simple_ops.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace tern::trainer {
namespace {

using dnnl::memory;

// Adding and subtracting 1.5 * 2^23 rounds to the nearest even integer, and
// unlike nearbyint it is a vector operation on every CPU.
constexpr float kRound = 12582912.0F;

void RoundToLevels(absl::Span<float> x, float scale) {
  const float inverse = 1.0F / scale;
  for (float& v : x) {
    const float q = std::min(std::max(v * inverse, 0.0F), float{kU8Levels});
    v = ((q + kRound) - kRound) * scale;
  }
}

float LargestMagnitude(absl::Span<const float> x) {
  constexpr std::size_t kLanes = 8;
  float lane[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      lane[j] = std::max(lane[j], std::fabs(x[i + j]));
    }
  }
  float largest = *std::max_element(lane, lane + kLanes);
  for (; i < x.size(); ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

Kernel MakeReorder(const memory::desc& from, const memory::desc& to,
                   Shards* shards) {
  return {dnnl::reorder::primitive_desc(shards->engine(), from,
                                        shards->engine(), to, UserScratch()),
          shards};
}

}  // namespace

ActivationOp::ActivationOp(bool relu, ActivationRange* range, bool observe,
                           TensorSlot* tensor, const Shards& shards)
    : relu_(relu),
      range_(range),
      observe_(observe),
      tensor_(tensor),
      shard_max_(static_cast<std::size_t>(shards.count())) {}

void ActivationOp::Forward(int shard, Pass pass) {
  const absl::Span<float> x = Floats(tensor_->value(shard));
  if (relu_) {
    for (float& v : x) v = std::max(v, 0.0F);
  }
  if (observe_ && pass == Pass::kTrain) {
    shard_max_[static_cast<std::size_t>(shard)] = LargestMagnitude(x);
  }
  if (rounding_ == Rounding::kIntegers) RoundToLevels(x, 1.0F);
  // Until a range is known there is nothing to round to.
  if (rounding_ == Rounding::kU8 && range_->seen()) {
    RoundToLevels(x, U8Scale(*range_));
  }
}

void ActivationOp::Backward(int shard) {
  if (!relu_) return;
  const absl::Span<const float> y = Floats(tensor_->value(shard));
  const absl::Span<float> gradient = Floats(tensor_->gradient(shard));
  const bool clipped = rounding_ == Rounding::kU8 && range_->seen();
  const float top =
      clipped ? range_->max * (1 - 1e-6F) : std::numeric_limits<float>::max();
  for (std::size_t i = 0; i < y.size(); ++i) {
    gradient[i] = y[i] > 0 && y[i] < top ? gradient[i] : 0.0F;
  }
}

void ActivationOp::FinishStep(ThreadPool& /*pool*/) {
  if (!observe_) return;
  float sum = 0;
  for (const float x : shard_max_) sum += x;
  const float now = sum / static_cast<float>(shard_max_.size());
  range_->max =
      range_->seen() ? range_->max + kRangeMomentum * (now - range_->max) : now;
}

ResidualOp::ResidualOp(TensorSlot* tensor, TensorSlot* addend, float scale,
                       Shards* shards)
    : tensor_(tensor),
      addend_(addend),
      scale_(scale),
      to_tensor_(MakeReorder(addend->desc(), tensor->desc(), shards)),
      to_addend_(MakeReorder(tensor->desc(), addend->desc(), shards)) {
  if (tensor->desc() != addend->desc()) {
    converted_ = MakePerShard(tensor->desc(), *shards);
  }
}

void ResidualOp::Forward(int shard, Pass /*pass*/) {
  memory addend = addend_->value(shard);
  if (!converted_.empty()) {
    memory& here = converted_[static_cast<std::size_t>(shard)];
    to_tensor_.Run(shard, {{DNNL_ARG_FROM, addend}, {DNNL_ARG_TO, here}});
    addend = here;
  }
  const absl::Span<float> y = Floats(tensor_->value(shard));
  const absl::Span<const float> r = Floats(addend);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += scale_ * r[i];
}

void ResidualOp::Backward(int shard) {
  if (!addend_->has_gradient()) return;
  const memory& from = tensor_->gradient(shard);
  memory into = addend_->BeginGradient(shard);
  to_addend_.Run(shard, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, into}});
  if (scale_ != 1.0F) {
    for (float& v : Floats(into)) v *= scale_;
  }
  addend_->EndGradient(shard);
}

void ScaleOp::Forward(int shard, Pass /*pass*/) {
  for (float& v : Floats(tensor_->value(shard))) v *= factor_;
}

void ScaleOp::Backward(int shard) {
  for (float& v : Floats(tensor_->gradient(shard))) v *= factor_;
}

FlattenOp::FlattenOp(TensorSlot* input, Shards* shards)
    : input_(input),
      shards_(shards),
      output_(memory::desc({input->desc().dims()[0],
                            input->desc().dims()[1] * input->desc().dims()[2] *
                                input->desc().dims()[3]},
                           memory::data_type::f32, memory::format_tag::nc),
              *shards, input->has_gradient()),
      picture_(input->desc().dims(), memory::data_type::f32,
               memory::format_tag::nhwc),
      forward_(MakeReorder(input->desc(), picture_, shards)),
      backward_(MakeReorder(picture_, input->desc(), shards)) {}

void FlattenOp::Forward(int shard, Pass /*pass*/) {
  const memory out(picture_, shards_->engine(),
                   output_.value(shard).get_data_handle());
  forward_.Run(shard,
               {{DNNL_ARG_FROM, input_->value(shard)}, {DNNL_ARG_TO, out}});
}

void FlattenOp::Backward(int shard) {
  if (!input_->has_gradient()) return;
  const memory from(picture_, shards_->engine(),
                    output_.gradient(shard).get_data_handle());
  backward_.Run(shard, {{DNNL_ARG_FROM, from},
                        {DNNL_ARG_TO, input_->BeginGradient(shard)}});
  input_->EndGradient(shard);
}

}  // namespace tern::trainer
