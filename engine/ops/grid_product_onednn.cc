// Grid layers on oneDNN in float32. Every partial sum is an integer below
// 2^24 (NUMERICS.md), so whatever order oneDNN adds in gives the same bits.
// Only direct convolution and inner product are asked for: Winograd, bf16 and
// TF32 would round. The only file of the engine that includes oneDNN.

#include <algorithm>
#include <exception>
#include <oneapi/dnnl/dnnl.hpp>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/aligned_buffer.h"
#include "engine/base/openmp.h"
#include "engine/ops/product.h"

namespace tern {
namespace {

using Type = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;

// Rows that one inner product takes. Batches are cut into such pieces, the
// last filled up with zeros, so that a layer needs two primitives, not one for
// each batch size.
constexpr int kRows = 8;

const dnnl::engine& CpuEngine() {
  static const auto* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

std::size_t RoundUp64(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

absl::Status OneDnnError(const std::exception& error) {
  return absl::InternalError(absl::StrCat("oneDNN: ", error.what()));
}

// A primitive for `images` pictures with what it takes to execute it.
struct Product {
  dnnl::primitive primitive;
  dnnl::memory::desc source, weights, destination, scratchpad;
  int images = 0;
};

template <typename Primitive>
Product MakeProduct(const typename Primitive::desc& desc, int images) {
  dnnl::primitive_attr attributes;
  // The library's own scratchpad belongs to the thread that made the
  // primitive, not to the one that runs it.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  // The default is a process-wide setting, the environment's among others.
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
  const typename Primitive::primitive_desc made(desc, attributes, CpuEngine());
  return {Primitive(made), made.src_desc(),        made.weights_desc(),
          made.dst_desc(), made.scratchpad_desc(), images};
}

Product MakeConvolution(const ConvGeometry& g) {
  // Rows or columns that the last output reads past the input.
  const auto after = [](int in, int out, int kernel, int stride, int before) {
    return std::max(0, (out - 1) * stride + kernel - in - before);
  };
  const dnnl::memory::desc source({1, g.in_c, g.in_h, g.in_w}, Type::f32,
                                  Tag::nhwc);
  const dnnl::memory::desc weights({g.filters, g.in_c, g.kernel_h, g.kernel_w},
                                   Type::f32, Tag::any);
  const dnnl::memory::desc destination({1, g.filters, g.out_h, g.out_w},
                                       Type::f32, Tag::nhwc);
  return MakeProduct<dnnl::convolution_forward>(
      {dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
       source, weights, destination, dnnl::memory::dims{g.stride_h, g.stride_w},
       dnnl::memory::dims{g.pad_top, g.pad_left},
       dnnl::memory::dims{
           after(g.in_h, g.out_h, g.kernel_h, g.stride_h, g.pad_top),
           after(g.in_w, g.out_w, g.kernel_w, g.stride_w, g.pad_left)}},
      1);
}

Product MakeInnerProduct(const ConvGeometry& g, int rows) {
  return MakeProduct<dnnl::inner_product_forward>(
      {dnnl::prop_kind::forward_inference,
       {{rows, g.in_c}, Type::f32, Tag::nc},
       {{g.filters, g.in_c}, Type::f32, Tag::oi},
       {{rows, g.filters}, Type::f32, Tag::nc}},
      rows);
}

bool IsLinear(const ConvGeometry& g) {
  return g.in_h == 1 && g.in_w == 1 && g.kernel_h == 1 && g.kernel_w == 1;
}

class GridProduct : public Op {
 public:
  // Throws dnnl::error.
  GridProduct(const KernelTable& table, ProductLayer layer)
      : table_(table), layer_(std::move(layer)) {
    const ConvGeometry& g = layer_.geometry;
    if (IsLinear(g)) {
      one_ = MakeInnerProduct(g, 1);
      many_ = MakeInnerProduct(g, kRows);
    } else {
      one_ = MakeConvolution(g);
      many_ = one_;
    }
    StoreWeights();
  }

  std::string Kernel(int) const override { return "onednn_f32"; }

  std::size_t PackedBytes() const override {
    return weights_.size() + 2 * sizeof(float) * layer_.weights.bias.size();
  }

  std::size_t ScratchBytes(int batch, int threads) const override {
    return threads * TaskScratch(Chosen(batch));
  }

  absl::Status Run(const OpCall& call) const override {
    const Product& product = Chosen(call.batch);
    const int tasks = (call.batch + product.images - 1) / product.images;
    const std::size_t scratch = TaskScratch(product);
    std::vector<absl::Status> status(call.pool->threads());
    call.pool->ParallelForSlots(tasks, [&](std::size_t task, int slot) {
      try {
        RunTask(product, call, static_cast<int>(task) * product.images,
                call.scratch + scratch * slot);
      } catch (const std::exception& error) {
        status[slot] = OneDnnError(error);
      }
    });
    for (const absl::Status& s : status) {
      if (!s.ok()) return s;
    }
    return absl::OkStatus();
  }

 private:
  const Product& Chosen(int batch) const { return batch == 1 ? one_ : many_; }

  static std::size_t TaskScratch(const Product& p) {
    return RoundUp64(p.source.get_size()) +
           RoundUp64(p.destination.get_size()) +
           RoundUp64(p.scratchpad.get_size());
  }

  void StoreWeights() {
    const ConvGeometry& g = layer_.geometry;
    const std::vector<std::int16_t>& grid = layer_.weights.grid;
    std::vector<float> values(grid.begin(), grid.end());
    dnnl::memory plain(
        {{g.filters, g.in_c, g.kernel_h, g.kernel_w}, Type::f32, Tag::ohwi},
        CpuEngine(), values.data());
    weights_ = AlignedBuffer(one_.weights.get_size());
    if (IsLinear(g)) {
      std::copy(values.begin(), values.end(), weights_.as<float>());
    } else {
      dnnl::memory packed(one_.weights, CpuEngine(), weights_.data());
      dnnl::stream stream(CpuEngine());
      dnnl::reorder(plain, packed).execute(stream, plain, packed);
      stream.wait();
    }
    // Assigning {} would keep the memory.
    std::vector<std::int16_t>().swap(layer_.weights.grid);
  }

  void RunTask(const Product& product, const OpCall& call, int first,
               std::byte* scratch) const {
    const ConvGeometry& g = layer_.geometry;
    const int images = std::min(product.images, call.batch - first);
    const std::size_t in_size = std::size_t{1} * g.in_h * g.in_w * g.in_c;
    const std::size_t out_rows = std::size_t{1} * g.out_h * g.out_w;
    auto* source = reinterpret_cast<float*>(scratch);
    auto* sums = reinterpret_cast<float*>(scratch +
                                          RoundUp64(product.source.get_size()));
    std::byte* pad = reinterpret_cast<std::byte*>(sums) +
                     RoundUp64(product.destination.get_size());
    table_.convert(
        static_cast<const std::uint8_t*>(call.input) + first * in_size,
        static_cast<int>(images * in_size),
        layer_.zero_point.empty() ? nullptr : layer_.zero_point.data(),
        static_cast<int>(layer_.zero_point.size()), source);
    std::fill(source + images * in_size, source + product.images * in_size,
              0.0F);
    Execute(product, source, sums, pad);
    const std::size_t done = first * out_rows * g.filters;
    table_.epilogue(
        sums, static_cast<int>(images * out_rows), g.filters,
        MakeEpilogue(layer_, At(call.residual, layer_.residual_type, done)),
        At(call.output, layer_.output_type, done));
  }

  void Execute(const Product& product, float* source, float* sums,
               std::byte* pad) const {
    const dnnl::engine& engine = CpuEngine();
    dnnl::stream stream(engine);
    product.primitive.execute(
        stream,
        {{DNNL_ARG_SRC, dnnl::memory(product.source, engine, source)},
         {DNNL_ARG_WEIGHTS,
          dnnl::memory(product.weights, engine,
                       const_cast<std::byte*>(weights_.data()))},
         {DNNL_ARG_DST, dnnl::memory(product.destination, engine, sums)},
         {DNNL_ARG_SCRATCHPAD, dnnl::memory(product.scratchpad, engine, pad)}});
    stream.wait();
  }

  template <typename T>
  static T* At(T* tensor, OutputType type, std::size_t index) {
    if (tensor == nullptr) return nullptr;
    using Bytes =
        std::conditional_t<std::is_const_v<T>, const std::byte, std::byte>;
    return static_cast<Bytes*>(tensor) + index * ElementBytes(type);
  }

  const KernelTable& table_;
  ProductLayer layer_;
  Product one_;
  Product many_;
  AlignedBuffer weights_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Op>> MakeGridProduct(const KernelTable& table,
                                                    ProductLayer layer) {
  // Making primitives and reordering weights is oneDNN's work as well.
  KeepOpenMpOnThisThread();
  try {
    return std::make_unique<GridProduct>(table, std::move(layer));
  } catch (const std::exception& error) {
    return OneDnnError(error);
  }
}

}  // namespace tern
