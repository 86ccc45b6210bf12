#include "tests/bench/onednn_network.h"

#include <cmath>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/ops/geometry.h"

namespace tern::bench {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

memory::dims Dims(int a, int b, int c, int d) { return {a, b, c, d}; }

int PadEnd(int in, int out, int kernel, int stride, int pad) {
  return (out - 1) * stride + kernel - in - pad;
}

}  // namespace

std::string_view PeerName(Peer peer) {
  switch (peer) {
    case Peer::kInt8Direct:
      return "onednn_int8_direct";
    case Peer::kInt8Winograd:
      return "onednn_int8_winograd";
    case Peer::kF32:
      break;
  }
  return "onednn_f32";
}

class OneDnnNetwork::Impl {
 public:
  Impl(const std::vector<PeerNode>& nodes, int batch, Peer peer)
      : batch_(batch), peer_(peer) {
    const ConvGeometry& first = nodes[0].geometry;
    picture_ =
        memory(memory::desc(Dims(batch, first.in_c, first.in_h, first.in_w),
                            Activations(), Tag::nhwc),
               engine_);
    FillActivations(&picture_);
    for (const PeerNode& node : nodes) {
      memory input = node.input < 0 ? picture_ : outputs_[node.input];
      if (node.op != PeerOp::kConv) {
        AddPool(node, input);
      } else if (node.is_linear) {
        AddLinear(node, input);
      } else {
        AddConv(node, input);
      }
    }
  }

  void Run() {
    for (auto& [primitive, arguments] : steps_)
      primitive.execute(stream_, arguments);
    stream_.wait();
  }

  const std::string& implementation() const { return implementation_; }

 private:
  Type Activations() const {
    return peer_ == Peer::kF32 ? Type::f32 : Type::u8;
  }
  Type Weights() const { return peer_ == Peer::kF32 ? Type::f32 : Type::s8; }
  Tag Layout() const { return peer_ == Peer::kF32 ? Tag::any : Tag::nhwc; }

  void FillActivations(memory* m) {
    const std::size_t n = m->get_desc().get_size();
    if (peer_ == Peer::kF32) {
      auto* f = static_cast<float*>(m->get_data_handle());
      for (std::size_t i = 0; i < n / sizeof(float); ++i)
        f[i] = static_cast<float>(random_() % 256);
    } else {
      auto* u = static_cast<std::uint8_t*>(m->get_data_handle());
      // Multiples of 4 up to 252: what its Winograd takes exactly.
      for (std::size_t i = 0; i < n; ++i) u[i] = random_() % 64 * 4;
    }
  }

  // Reordered from f32: oneDNN's Winograd takes no other source.
  memory MakeWeights(const memory::desc& wanted, const memory::dims& dims,
                     Tag tag) {
    memory plain(memory::desc(dims, Type::f32, tag), engine_);
    const float step = peer_ == Peer::kF32 ? 0.01F : 126.0F;
    auto* weights = static_cast<float*>(plain.get_data_handle());
    const std::size_t n = plain.get_desc().get_size() / sizeof(float);
    for (std::size_t i = 0; i < n; ++i)
      weights[i] = step * (static_cast<float>(random_() % 3) - 1);
    memory packed(wanted, engine_);
    dnnl::reorder(plain, packed).execute(stream_, plain, packed);
    stream_.wait();
    return packed;
  }

  memory MakeBias(int filters) {
    memory bias(memory::desc({filters}, Type::f32, Tag::x), engine_);
    std::memset(bias.get_data_handle(), 0, bias.get_desc().get_size());
    return bias;
  }

  dnnl::primitive_attr Attributes(const PeerNode& node) {
    dnnl::primitive_attr attributes;
    const int filters = node.geometry.filters;
    if (peer_ != Peer::kF32) {
      // Spreads the results of ternary weights times 126 over u8.
      const double taps = 1.0 * node.geometry.kernel_h *
                          node.geometry.kernel_w * node.geometry.in_c;
      attributes.set_output_scales(
          2, std::vector<float>(
                 filters, static_cast<float>(0.7 / (126 * std::sqrt(taps)))));
    }
    dnnl::post_ops post;
    if (node.residual >= 0) post.append_sum(1.0F);
    if (node.relu)
      post.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0, 0);
    attributes.set_post_ops(post);
    return attributes;
  }

  void AddStep(const dnnl::primitive& primitive,
               const std::unordered_map<int, memory>& arguments) {
    steps_.emplace_back(primitive, arguments);
  }

  // `input` in the layout that a primitive asks for.
  memory Reordered(const memory& input, const memory::desc& wanted) {
    if (input.get_desc() == wanted) return input;
    memory moved(wanted, engine_);
    AddStep(dnnl::reorder(input, moved),
            {{DNNL_ARG_FROM, input}, {DNNL_ARG_TO, moved}});
    return moved;
  }

  dnnl::convolution_forward::primitive_desc Describe(
      const PeerNode& node, const memory& input, dnnl::algorithm algorithm) {
    const ConvGeometry& g = node.geometry;
    // A sum happens in place: the output takes the residual's memory.
    const memory::desc to =
        node.residual >= 0
            ? outputs_[node.residual].get_desc()
            : memory::desc(Dims(batch_, g.filters, g.out_h, g.out_w),
                           Activations(), Layout());
    const dnnl::convolution_forward::desc description(
        dnnl::prop_kind::forward_inference, algorithm,
        memory::desc(Dims(batch_, g.in_c, g.in_h, g.in_w),
                     input.get_desc().data_type(), Layout()),
        memory::desc(Dims(g.filters, g.in_c, g.kernel_h, g.kernel_w), Weights(),
                     Tag::any),
        memory::desc({g.filters}, Type::f32, Tag::x), to,
        {g.stride_h, g.stride_w}, {g.pad_top, g.pad_left},
        {PadEnd(g.in_h, g.out_h, g.kernel_h, g.stride_h, g.pad_top),
         PadEnd(g.in_w, g.out_w, g.kernel_w, g.stride_w, g.pad_left)});
    return {description, Attributes(node), engine_};
  }

  dnnl::convolution_forward::primitive_desc Choose(const PeerNode& node,
                                                   const memory& input) {
    const ConvGeometry& g = node.geometry;
    if (peer_ == Peer::kInt8Winograd && g.kernel_h == 3 && g.kernel_w == 3 &&
        g.stride_h == 1 && g.stride_w == 1) {
      try {
        return Describe(node, input, dnnl::algorithm::convolution_winograd);
      } catch (const dnnl::error& error) {
        if (error.status != dnnl_unimplemented) throw;
      }
    }
    return Describe(node, input, dnnl::algorithm::convolution_direct);
  }

  void AddConv(const PeerNode& node, const memory& input) {
    const ConvGeometry& g = node.geometry;
    const auto description = Choose(node, input);
    if (implementation_.empty()) implementation_ = description.impl_info_str();
    const memory source = Reordered(input, description.src_desc());
    memory output = node.residual >= 0
                        ? outputs_[node.residual]
                        : memory(description.dst_desc(), engine_);
    AddStep(dnnl::convolution_forward(description),
            {{DNNL_ARG_SRC, source},
             {DNNL_ARG_WEIGHTS,
              MakeWeights(description.weights_desc(),
                          Dims(g.filters, g.in_c, g.kernel_h, g.kernel_w),
                          Tag::oihw)},
             {DNNL_ARG_BIAS, MakeBias(g.filters)},
             {DNNL_ARG_DST, output}});
    outputs_.push_back(output);
  }

  void AddLinear(const PeerNode& node, const memory& input) {
    const memory::dims dims = input.get_desc().dims();
    const int filters = node.geometry.filters;
    memory::dims weight_dims = dims;
    weight_dims[0] = filters;
    const bool is_last = !node.relu;
    const dnnl::inner_product_forward::desc d(
        dnnl::prop_kind::forward_inference, input.get_desc(),
        memory::desc(weight_dims, Weights(), Tag::any),
        memory::desc({filters}, Type::f32, Tag::x),
        memory::desc({batch_, filters}, is_last ? Type::f32 : Activations(),
                     Tag::nc));
    const dnnl::inner_product_forward::primitive_desc description(
        d, Attributes(node), engine_);
    if (implementation_.empty()) implementation_ = description.impl_info_str();
    const memory output(description.dst_desc(), engine_);
    AddStep(dnnl::inner_product_forward(description),
            {{DNNL_ARG_SRC, input},
             {DNNL_ARG_WEIGHTS,
              MakeWeights(description.weights_desc(), weight_dims,
                          dims.size() == 4 ? Tag::oihw : Tag::oi)},
             {DNNL_ARG_BIAS, MakeBias(filters)},
             {DNNL_ARG_DST, output}});
    outputs_.push_back(output);
  }

  void AddPool(const PeerNode& node, const memory& input) {
    const ConvGeometry& g = node.geometry;
    const dnnl::pooling_forward::desc d(
        dnnl::prop_kind::forward_inference,
        node.op == PeerOp::kMaxPool
            ? dnnl::algorithm::pooling_max
            : dnnl::algorithm::pooling_avg_include_padding,
        input.get_desc(),
        memory::desc(Dims(batch_, g.in_c, g.out_h, g.out_w), Activations(),
                     Layout()),
        {g.stride_h, g.stride_w}, {g.kernel_h, g.kernel_w},
        {g.pad_top, g.pad_left},
        {PadEnd(g.in_h, g.out_h, g.kernel_h, g.stride_h, g.pad_top),
         PadEnd(g.in_w, g.out_w, g.kernel_w, g.stride_w, g.pad_left)});
    const dnnl::pooling_forward::primitive_desc description(d, engine_);
    const memory output(description.dst_desc(), engine_);
    AddStep(dnnl::pooling_forward(description),
            {{DNNL_ARG_SRC, input}, {DNNL_ARG_DST, output}});
    outputs_.push_back(output);
  }

  int batch_;
  Peer peer_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::minstd_rand random_{1};
  memory picture_;
  std::vector<memory> outputs_;
  std::vector<std::pair<dnnl::primitive, std::unordered_map<int, memory>>>
      steps_;
  std::string implementation_;
};

OneDnnNetwork::OneDnnNetwork(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
OneDnnNetwork::~OneDnnNetwork() = default;

absl::StatusOr<std::unique_ptr<OneDnnNetwork>> OneDnnNetwork::Build(
    const std::vector<PeerNode>& nodes, int batch, Peer peer) {
  try {
    return std::unique_ptr<OneDnnNetwork>(
        new OneDnnNetwork(std::make_unique<Impl>(nodes, batch, peer)));
  } catch (const dnnl::error& error) {
    return absl::UnimplementedError(
        absl::StrCat("oneDNN (", std::string(PeerName(peer)),
                     "): ", error.message, ", status ", error.status));
  }
}

void OneDnnNetwork::Run() { impl_->Run(); }

const std::string& OneDnnNetwork::implementation() const {
  return impl_->implementation();
}

PeerNode PeerNodeOf(const ConvGeometry& geometry) {
  PeerNode node;
  node.geometry = geometry;
  node.relu = true;
  node.is_linear = geometry.in_h == 1 && geometry.in_w == 1 &&
                   geometry.kernel_h == 1 && geometry.kernel_w == 1;
  return node;
}

std::vector<PeerNode> PeerNodesOf(const Network& network) {
  std::vector<PeerNode> nodes;
  for (int i = 0; i < network.graph.node_size(); ++i) {
    const model::v1::Node& from = network.graph.node(i);
    const NodeShape& shape = network.shapes.node[i];
    PeerNode node;
    node.geometry = ConvGeometryOf(from, shape);
    node.input = shape.input == kPictureInput ? -1 : shape.input;
    node.residual = shape.residual == kNoResidual ? -1 : shape.residual;
    node.is_linear = from.has_linear();
    node.relu = from.activation() == model::v1::ACTIVATION_RELU;
    if (from.has_max_pool2d()) node.op = PeerOp::kMaxPool;
    if (from.has_global_avg_pool()) node.op = PeerOp::kGlobalAverage;
    nodes.push_back(node);
  }
  return nodes;
}

}  // namespace tern::bench
