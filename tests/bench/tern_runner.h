// The engine under measurement: one layer, or a whole network.

#ifndef TERN_TESTS_BENCH_TERN_RUNNER_H_
#define TERN_TESTS_BENCH_TERN_RUNNER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/aligned_buffer.h"
#include "engine/engine.h"
#include "engine/kernels/conv.h"
#include "tests/bench/network.h"

namespace tern::bench {

// One ternary layer with random weights on one thread, on the kernel of the
// name `preferred` or else the planner's choice.
class TernLayer {
 public:
  TernLayer(const KernelTable& kernels, const ConvGeometry& geometry, int batch,
            std::string_view preferred = "");
  void Run();
  std::string kernel() const;
  std::size_t scratch_bytes() const { return scratch_.size(); }

 private:
  ConvGeometry geometry_;
  int batch_;
  const ConvKernel* kernel_ = nullptr;
  AlignedBuffer packed_, input_, output_, scratch_;
  std::vector<float> multiplier_, bias_;
};

// The network as a model that was loaded from a file's bytes.
absl::StatusOr<std::shared_ptr<const Model>> MakeModel(
    const Network& network, const KernelTable& kernels);

// A session with its own pool and a batch of random pictures.
class TernNetwork {
 public:
  TernNetwork(std::shared_ptr<const Model> model, int batch, int threads);
  void Run();
  const Model& model() const { return *model_; }
  const Session& session() const { return session_; }

 private:
  std::shared_ptr<const Model> model_;
  int batch_;
  ThreadPool pool_;
  Session session_;
  std::vector<std::uint8_t> pixels_;
  std::vector<float> logits_;
};

}  // namespace tern::bench

#endif  // TERN_TESTS_BENCH_TERN_RUNNER_H_
