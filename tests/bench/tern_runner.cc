#include "tests/bench/tern_runner.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/kernels/kernels.h"
#include "engine/ops/product.h"
#include "tests/testing/tiny_model.h"

namespace tern::bench {

TernLayer::TernLayer(const KernelTable& kernels, const ConvGeometry& geometry,
                     int batch, std::string_view preferred)
    : geometry_(geometry), batch_(batch) {
  const ConvGeometry& g = geometry_;
  std::minstd_rand random(1);
  const std::size_t taps = std::size_t{1} * g.kernel_h * g.kernel_w * g.in_c;
  std::vector<std::int8_t> codes(taps * g.filters);
  for (std::int8_t& code : codes)
    code = static_cast<std::int8_t>(static_cast<int>(random() % 3) - 1);
  kernel_ = &FastestKernel(ConvKernelsFor(kernels, g, codes.data(), preferred),
                           g, batch);
  packed_ = AlignedBuffer(kernel_->packed_bytes(g));
  kernel_->pack(g, codes.data(), packed_.as<std::uint8_t>());
  const std::size_t pictures = batch;
  input_ = AlignedBuffer(pictures * g.in_h * g.in_w * g.in_c);
  std::generate_n(input_.as<std::uint8_t>(), input_.size(), random);
  output_ = AlignedBuffer(pictures * g.out_h * g.out_w * g.filters);
  scratch_ = AlignedBuffer(kernel_->scratch_bytes(g, batch, 1));
  multiplier_.assign(
      g.filters,
      static_cast<float>(0.7 / std::sqrt(static_cast<double>(taps))));
  bias_.assign(g.filters, 0.0F);
}

void TernLayer::Run() {
  ConvCall call;
  call.geometry = &geometry_;
  call.batch = batch_;
  call.input = input_.as<std::uint8_t>();
  call.packed = packed_.as<std::uint8_t>();
  call.epilogue.multiplier = multiplier_.data();
  call.epilogue.bias = bias_.data();
  call.output = output_.data();
  const int tasks = kernel_->tasks(geometry_, batch_, 1);
  kernel_->begin(call, 1, scratch_.data());
  for (int task = 0; task < tasks; ++task)
    kernel_->run(call, 1, task, scratch_.data());
}

std::string TernLayer::kernel() const { return std::string(kernel_->name); }

absl::StatusOr<std::shared_ptr<const Model>> MakeModel(
    const Network& network, const KernelTable& kernels) {
  const testing::TinyModel model = testing::MakeTinyModel(network.graph, 1);
  const std::string bytes = testing::TinyModelBytes(model);
  LoadOptions options;
  options.verify_golden = false;  // weights drawn a moment ago have none
  return Model::Load(testing::AsBytes(bytes), kernels, options);
}

TernNetwork::TernNetwork(std::shared_ptr<const Model> model, int batch,
                         int threads)
    : model_(std::move(model)),
      batch_(batch),
      pool_(threads),
      session_(&pool_),
      pixels_(model_->input_bytes() * batch),
      logits_(std::size_t{1} * model_->classes() * batch) {
  std::minstd_rand random(2);
  std::generate(pixels_.begin(), pixels_.end(), random);
}

void TernNetwork::Run() {
  const absl::Status status =
      session_.Run(*model_, pixels_, batch_, absl::MakeSpan(logits_));
  TERN_CHECK(status.ok());
}

}  // namespace tern::bench
