#include "trainer/nn/batch_norm_op.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace tern::trainer {
namespace {

using dnnl::memory;
using dnnl::normalization_flags;

// oneDNN's fast batch norm wants four dimensions; a vector is a 1x1 picture.
memory::desc AsPicture(const memory::desc& desc) {
  if (desc.dims().size() == 4) return desc;
  return {{desc.dims()[0], desc.dims()[1], 1, 1},
          memory::data_type::f32,
          memory::format_tag::nhwc};
}

memory View(const memory& tensor, const dnnl::engine& engine) {
  return {AsPicture(tensor.get_desc()), engine, tensor.get_data_handle()};
}

}  // namespace

BatchNormOp::BatchNormOp(const std::string& name, int channels,
                         TensorSlot* input, Shards* shards, bool train)
    : channels_(channels),
      input_(input),
      output_(input->desc(), *shards, train) {
  const auto n = static_cast<std::size_t>(channels);
  numbers_.gamma = {name + "/gamma", std::vector<float>(n, 1.0F), {}, false};
  numbers_.beta = {name + "/beta", std::vector<float>(n, 0.0F), {}, false};
  numbers_.running_mean.assign(n, 0.0F);
  numbers_.running_variance.assign(n, 1.0F);
  const dnnl::engine& engine = shards->engine();
  const memory::desc pair({2, channels}, memory::data_type::f32,
                          memory::format_tag::nc);
  const memory::desc row({channels}, memory::data_type::f32,
                         memory::format_tag::a);
  const memory::desc data = AsPicture(input->desc());
  evaluate_scale_shift_ = memory(pair, engine);
  zero_mean_ = memory(row, engine);
  one_variance_ = memory(row, engine);
  std::fill_n(Floats(zero_mean_).begin(), n, 0.0F);
  std::fill_n(Floats(one_variance_).begin(), n, 1.0F);
  evaluate_forward_ =
      Kernel(dnnl::batch_normalization_forward::primitive_desc(
                 {dnnl::prop_kind::forward_inference, data, 0.0F,
                  normalization_flags::use_scale_shift |
                      normalization_flags::use_global_stats},
                 UserScratch(), engine),
             shards);
  if (!train) return;
  numbers_.gamma.gradient.resize(n);
  numbers_.beta.gradient.resize(n);
  train_scale_shift_ = memory(pair, engine);
  const dnnl::batch_normalization_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, data, kBatchNormEpsilon,
       normalization_flags::use_scale_shift},
      UserScratch(), engine);
  train_forward_ = Kernel(forward, shards);
  train_backward_ =
      Kernel(dnnl::batch_normalization_backward::primitive_desc(
                 {dnnl::prop_kind::backward, data, data, kBatchNormEpsilon,
                  normalization_flags::use_scale_shift},
                 UserScratch(), engine, forward),
             shards);
  mean_ = MakePerShard(row, *shards);
  variance_ = MakePerShard(row, *shards);
  scale_shift_gradient_ = MakePerShard(pair, *shards);
}

void BatchNormOp::SetAffine(absl::Span<const float> multiplier,
                            absl::Span<const float> bias) {
  affine_fixed_ = true;
  const absl::Span<float> pair = Floats(evaluate_scale_shift_);
  std::copy(multiplier.begin(), multiplier.end(), pair.begin());
  std::copy(bias.begin(), bias.end(), pair.begin() + channels_);
}

void BatchNormOp::PrepareStep(ThreadPool& /*pool*/) {
  if (affine_fixed_) return;
  const auto n = static_cast<std::size_t>(channels_);
  const absl::Span<float> evaluate = Floats(evaluate_scale_shift_);
  for (std::size_t c = 0; c < n; ++c) {
    const double a = numbers_.gamma.value[c] /
                     std::sqrt(double{numbers_.running_variance[c]} +
                               double{kBatchNormEpsilon});
    evaluate[c] = static_cast<float>(a);
    evaluate[n + c] = static_cast<float>(numbers_.beta.value[c] -
                                         a * numbers_.running_mean[c]);
  }
  if (!train_scale_shift_) return;
  const absl::Span<float> train = Floats(train_scale_shift_);
  std::copy(numbers_.gamma.value.begin(), numbers_.gamma.value.end(),
            train.begin());
  std::copy(numbers_.beta.value.begin(), numbers_.beta.value.end(),
            train.begin() + channels_);
}

void BatchNormOp::Forward(int shard, Pass pass) {
  const auto s = static_cast<std::size_t>(shard);
  const dnnl::engine engine = zero_mean_.get_engine();
  const memory in = View(input_->value(shard), engine);
  const memory out = View(output_.value(shard), engine);
  if (pass == Pass::kEvaluate) {
    evaluate_forward_.Run(shard,
                          {{DNNL_ARG_SRC, in},
                           {DNNL_ARG_DST, out},
                           {DNNL_ARG_MEAN, zero_mean_},
                           {DNNL_ARG_VARIANCE, one_variance_},
                           {DNNL_ARG_SCALE_SHIFT, evaluate_scale_shift_}});
    return;
  }
  train_forward_.Run(shard, {{DNNL_ARG_SRC, in},
                             {DNNL_ARG_DST, out},
                             {DNNL_ARG_MEAN, mean_[s]},
                             {DNNL_ARG_VARIANCE, variance_[s]},
                             {DNNL_ARG_SCALE_SHIFT, train_scale_shift_}});
}

void BatchNormOp::Backward(int shard) {
  const auto s = static_cast<std::size_t>(shard);
  const dnnl::engine engine = zero_mean_.get_engine();
  train_backward_.Run(
      shard, {{DNNL_ARG_SRC, View(input_->value(shard), engine)},
              {DNNL_ARG_DIFF_DST, View(output_.gradient(shard), engine)},
              {DNNL_ARG_MEAN, mean_[s]},
              {DNNL_ARG_VARIANCE, variance_[s]},
              {DNNL_ARG_SCALE_SHIFT, train_scale_shift_},
              {DNNL_ARG_DIFF_SRC, View(input_->BeginGradient(shard), engine)},
              {DNNL_ARG_DIFF_SCALE_SHIFT, scale_shift_gradient_[s]}});
  input_->EndGradient(shard);
}

void BatchNormOp::FinishStep(ThreadPool& /*pool*/) {
  const auto n = static_cast<std::size_t>(channels_);
  const auto shards = static_cast<double>(mean_.size());
  for (std::size_t c = 0; c < n; ++c) {
    double mean = 0;
    double square = 0;
    float gamma = 0;
    float beta = 0;
    for (std::size_t s = 0; s < mean_.size(); ++s) {
      const double m = Floats(mean_[s])[c];
      mean += m;
      square += Floats(variance_[s])[c] + m * m;
      gamma += Floats(scale_shift_gradient_[s])[c];
      beta += Floats(scale_shift_gradient_[s])[n + c];
    }
    mean /= shards;
    const double variance = std::max(0.0, square / shards - mean * mean);
    numbers_.gamma.gradient[c] = gamma;
    numbers_.beta.gradient[c] = beta;
    float& running_mean = numbers_.running_mean[c];
    float& running_variance = numbers_.running_variance[c];
    running_mean +=
        kBatchNormMomentum * (static_cast<float>(mean) - running_mean);
    running_variance +=
        kBatchNormMomentum * (static_cast<float>(variance) - running_variance);
  }
}

}  // namespace tern::trainer
