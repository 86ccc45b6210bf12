#include "trainer/nn/product_op.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "engine/base/status_macros.h"

namespace tern::trainer {
namespace {

using dnnl::memory;

memory::desc Floats4(const memory::dims& dims, memory::format_tag tag) {
  return {dims, memory::data_type::f32, tag};
}

// Weights as the model file and the latent tensor have them.
memory::desc PlainWeights(const NodeShape& shape, bool linear) {
  if (linear) {
    return Floats4({shape.out.c, shape.in.elements()}, memory::format_tag::oi);
  }
  return Floats4({shape.out.c, shape.in.c, shape.kernel_h, shape.kernel_w},
                 memory::format_tag::ohwi);
}

memory::desc AnyLayout(const memory::desc& desc) {
  return {desc.dims(), desc.data_type(), memory::format_tag::any};
}

// Enough work to pay for handing it to another thread.
constexpr std::size_t kTaskWeights = std::size_t{1} << 15;

// Sums into the first, always in the same order.
void AddInto(const std::vector<memory>& parts, ThreadPool& pool) {
  const absl::Span<float> total = Floats(parts[0]);
  const std::size_t tasks = (total.size() + kTaskWeights - 1) / kTaskWeights;
  pool.ParallelFor(tasks, [&](std::size_t task) {
    const std::size_t first = task * kTaskWeights;
    const std::size_t end = std::min(total.size(), first + kTaskWeights);
    for (std::size_t s = 1; s < parts.size(); ++s) {
      const absl::Span<const float> part = Floats(parts[s]);
      for (std::size_t i = first; i < end; ++i) total[i] += part[i];
    }
  });
}

}  // namespace

struct ProductOp::Kernels {
  using Flow = Kernel::Flow;

  Kernel forward;
  Kernel backward_data;
  Kernel backward_weights;
  memory::desc input;
  memory::desc output;
  memory::desc weights;
  memory::desc backward_data_weights;
  memory::desc weight_gradient;

  bool input_gradient;

  Kernels(const NodeShape& shape, const ProductOptions& options,
          const TensorSlot& in, Shards* shards)
      : input(in.desc()), input_gradient(in.has_gradient()) {
    if (options.linear) {
      MakeLinear(shape, options, shards);
    } else {
      MakeConv(shape, options, shards);
    }
  }

  // `make(in, out)` describes a gradient's primitive for tensors of these
  // layouts. Not every combination has a fast one (AVX2 has none for the
  // weights of a layer with one input channel and a blocked output): then
  // oneDNN chooses the output's layout, or both, and the tensors are copied.
  template <typename Make>
  auto Describe(const Make& make) const {
    auto desc = make(input, output);
    if (!IsPlainLoops(desc)) return desc;
    auto free = make(input, AnyLayout(output));
    if (IsPlainLoops(free)) free = make(AnyLayout(input), AnyLayout(output));
    return IsPlainLoops(free) ? desc : free;
  }

  template <typename ForwardPd, typename MakeDataPd, typename MakeWeightsPd>
  void Take(const ForwardPd& forward_pd, const MakeDataPd& make_data_pd,
            const MakeWeightsPd& make_weights_pd, const ProductOptions& options,
            Shards* shards) {
    forward = Kernel(forward_pd, shards);
    output = forward_pd.dst_desc();
    weights = forward_pd.weights_desc();
    if (!options.train) return;
    const auto weights_pd = Describe(make_weights_pd);
    backward_weights = Kernel(weights_pd, shards);
    backward_weights.Convert(DNNL_ARG_SRC, Flow::kInput, input,
                             weights_pd.src_desc());
    backward_weights.Convert(DNNL_ARG_DIFF_DST, Flow::kInput, output,
                             weights_pd.diff_dst_desc());
    weight_gradient = weights_pd.diff_weights_desc();
    if (!input_gradient) return;
    const auto data_pd = Describe(make_data_pd);
    backward_data = Kernel(data_pd, shards);
    backward_data.Convert(DNNL_ARG_DIFF_DST, Flow::kInput, output,
                          data_pd.diff_dst_desc());
    backward_data.Convert(DNNL_ARG_DIFF_SRC, Flow::kOutput, input,
                          data_pd.diff_src_desc());
    backward_data_weights = data_pd.weights_desc();
  }

  void MakeConv(const NodeShape& shape, const ProductOptions& options,
                Shards* shards) {
    const dnnl::primitive_attr attributes = UserScratch();
    const dnnl::engine& engine = shards->engine();
    const auto direct = dnnl::algorithm::convolution_direct;
    const auto any = memory::format_tag::any;
    const memory::desc w =
        Floats4({shape.out.c, shape.in.c, shape.kernel_h, shape.kernel_w}, any);
    const memory::desc b = options.with_bias
                               ? Floats4({shape.out.c}, memory::format_tag::a)
                               : memory::desc();
    const memory::dims strides = {shape.stride_h, shape.stride_w};
    const memory::dims before = {shape.pad_top, shape.pad_left};
    const memory::dims after = {shape.pad_bottom, shape.pad_right};
    const memory::desc wanted =
        Floats4({shards->batch(), shape.out.c, shape.out.h, shape.out.w}, any);
    const dnnl::convolution_forward::primitive_desc forward_pd(
        {options.train ? dnnl::prop_kind::forward_training
                       : dnnl::prop_kind::forward_inference,
         direct, input, w, b, wanted, strides, before, after},
        attributes, engine);
    Take(
        forward_pd,
        [&](const memory::desc& in, const memory::desc& out) {
          return dnnl::convolution_backward_data::primitive_desc(
              {direct, in, w, out, strides, before, after}, attributes, engine,
              forward_pd);
        },
        [&](const memory::desc& in, const memory::desc& out) {
          return dnnl::convolution_backward_weights::primitive_desc(
              {direct, in, w, b, out, strides, before, after}, attributes,
              engine, forward_pd);
        },
        options, shards);
  }

  void MakeLinear(const NodeShape& shape, const ProductOptions& options,
                  Shards* shards) {
    const dnnl::primitive_attr attributes = UserScratch();
    const dnnl::engine& engine = shards->engine();
    const memory::desc w =
        Floats4({shape.out.c, shape.in.elements()}, memory::format_tag::any);
    const memory::desc b = options.with_bias
                               ? Floats4({shape.out.c}, memory::format_tag::a)
                               : memory::desc();
    const memory::desc wanted =
        Floats4({shards->batch(), shape.out.c}, memory::format_tag::nc);
    const dnnl::inner_product_forward::primitive_desc forward_pd(
        {options.train ? dnnl::prop_kind::forward_training
                       : dnnl::prop_kind::forward_inference,
         input, w, b, wanted},
        attributes, engine);
    Take(
        forward_pd,
        [&](const memory::desc& in, const memory::desc& out) {
          return dnnl::inner_product_backward_data::primitive_desc(
              {in, w, out}, attributes, engine, forward_pd);
        },
        [&](const memory::desc& in, const memory::desc& out) {
          return dnnl::inner_product_backward_weights::primitive_desc(
              {in, w, b, out}, attributes, engine, forward_pd);
        },
        options, shards);
  }
};

ProductOp::ProductOp(const std::string& name, const NodeShape& shape,
                     const ProductOptions& options, TensorSlot* input,
                     Shards* shards)
    : options_(options),
      input_(input),
      shards_(shards),
      kernels_(std::make_unique<Kernels>(shape, options, *input, shards)),
      output_(kernels_->output, *shards, options.train) {
  const auto filters = static_cast<std::size_t>(shape.out.c);
  const std::size_t size =
      filters * static_cast<std::size_t>(shape.filter_size);
  weights_.latent = {name + "/weights", std::vector<float>(size), {}, true};
  weights_.codes.resize(size);
  weights_.scale.resize(filters);
  effective_.resize(size);
  const dnnl::engine& engine = shards->engine();
  plain_ =
      memory(PlainWeights(shape, options.linear), engine, effective_.data());
  forward_weights_ = memory(kernels_->weights, engine);
  if (options.with_bias) {
    weights_.bias = {name + "/bias", std::vector<float>(filters), {}, false};
    bias_ = memory(Floats4({shape.out.c}, memory::format_tag::a), engine);
  }
  if (!options.train) return;
  weights_.latent.gradient.resize(size);
  weight_gradient_ = MakePerShard(kernels_->weight_gradient, *shards);
  if (options.with_bias) {
    weights_.bias.gradient.resize(filters);
    bias_gradient_ = MakePerShard(bias_.get_desc(), *shards);
  }
  if (!input->has_gradient()) return;
  // Often the layout is the same and one copy serves both.
  backward_weights_ = kernels_->backward_data_weights == kernels_->weights
                          ? forward_weights_
                          : memory(kernels_->backward_data_weights, engine);
}

ProductOp::~ProductOp() = default;

void ProductOp::Quantize(ThreadPool& pool) {
  const std::size_t filters = weights_.scale.size();
  const std::size_t size = weights_.codes.size() / filters;
  // Filters are independent unless one scale serves the layer.
  const bool together = weights_.scale_per == ScalePer::kLayer;
  const std::size_t step =
      together ? filters : std::max<std::size_t>(1, kTaskWeights / size);
  pool.ParallelFor((filters + step - 1) / step, [&](std::size_t task) {
    const std::size_t first = task * step;
    const std::size_t count = std::min(step, filters - first);
    const absl::Span<float> codes =
        absl::MakeSpan(weights_.codes).subspan(first * size, count * size);
    QuantizeWeights(weights_.quantizer, weights_.scale_per,
                    absl::MakeConstSpan(weights_.latent.value)
                        .subspan(first * size, count * size),
                    codes,
                    absl::MakeSpan(weights_.scale).subspan(first, count));
    for (std::size_t i = 0; i < codes.size(); ++i) {
      effective_[first * size + i] =
          codes[i] * weights_.scale[first + i / size];
    }
  });
}

void ProductOp::PrepareStep(ThreadPool& pool) {
  Quantize(pool);
  dnnl::stream stream(shards_->engine());
  dnnl::reorder(plain_, forward_weights_)
      .execute(stream, plain_, forward_weights_);
  if (backward_weights_ &&
      kernels_->backward_data_weights != kernels_->weights) {
    dnnl::reorder(plain_, backward_weights_)
        .execute(stream, plain_, backward_weights_);
  }
  if (bias_) {
    std::copy(weights_.bias.value.begin(), weights_.bias.value.end(),
              Floats(bias_).begin());
  }
}

void ProductOp::Forward(int shard, Pass /*pass*/) {
  KernelArgs args = {{DNNL_ARG_SRC, input_->value(shard)},
                     {DNNL_ARG_WEIGHTS, forward_weights_},
                     {DNNL_ARG_DST, output_.value(shard)}};
  if (bias_) args.emplace(DNNL_ARG_BIAS, bias_);
  kernels_->forward.Run(shard, std::move(args));
}

void ProductOp::Backward(int shard) {
  const auto s = static_cast<std::size_t>(shard);
  const dnnl::memory& gradient = output_.gradient(shard);
  KernelArgs args = {{DNNL_ARG_SRC, input_->value(shard)},
                     {DNNL_ARG_DIFF_DST, gradient},
                     {DNNL_ARG_DIFF_WEIGHTS, weight_gradient_[s]}};
  if (bias_) args.emplace(DNNL_ARG_DIFF_BIAS, bias_gradient_[s]);
  kernels_->backward_weights.Run(shard, std::move(args));
  if (!input_->has_gradient()) return;
  kernels_->backward_data.Run(
      shard, {{DNNL_ARG_DIFF_DST, gradient},
              {DNNL_ARG_WEIGHTS, backward_weights_},
              {DNNL_ARG_DIFF_SRC, input_->BeginGradient(shard)}});
  input_->EndGradient(shard);
}

void ProductOp::FinishStep(ThreadPool& pool) {
  AddInto(weight_gradient_, pool);
  memory plain(plain_.get_desc(), shards_->engine(),
               weights_.latent.gradient.data());
  dnnl::stream stream(shards_->engine());
  dnnl::reorder(weight_gradient_[0], plain)
      .execute(stream, weight_gradient_[0], plain);
  if (bias_) {
    AddInto(bias_gradient_, pool);
    const absl::Span<float> sum = Floats(bias_gradient_[0]);
    std::copy(sum.begin(), sum.end(), weights_.bias.gradient.begin());
  }
}

}  // namespace tern::trainer
