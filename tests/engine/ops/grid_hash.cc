// grid_hash ISA THREADS: prints one hash of the logits of networks with grid
// layers, over batches 1..33, or fails where two batches disagree.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "engine/engine.h"
#include "engine/runtime/golden.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using testing::AsBytes;
using testing::MakeTinyModel;
using testing::RandomPicture;
using testing::TinyModel;

constexpr int kPictures = 33;

constexpr std::string_view kGridNetwork = R"(
  input { height: 15 width: 17 channels: 3 }
  node {
    name: "conv1"
    conv2d { filters: 37 kernel_h: 3 kernel_w: 3
             padding { top: 1 bottom: 1 left: 1 right: 1 } }
    weights: WEIGHT_KIND_GRID activation: ACTIVATION_RELU
  }
  node {
    name: "conv2"
    conv2d { filters: 24 kernel_h: 3 kernel_w: 3 stride_h: 2 stride_w: 2 }
    weights: WEIGHT_KIND_TERNARY activation: ACTIVATION_RELU
  }
  node { name: "fc1" linear { filters: 512 } activation: ACTIVATION_RELU
         weights: WEIGHT_KIND_TERNARY }
  node { name: "fc2" linear { filters: 10 } weights: WEIGHT_KIND_GRID })";

std::vector<float> LogitsOf(const Model& model, Session& session,
                            const std::vector<std::uint8_t>& pictures,
                            int batch) {
  std::vector<float> logits(std::size_t{1} * kPictures * model.classes());
  for (int first = 0; first < kPictures; first += batch) {
    const int count = std::min(batch, kPictures - first);
    const absl::Status status = session.Run(
        model,
        absl::MakeSpan(pictures).subspan(first * model.input_bytes(),
                                         count * model.input_bytes()),
        count,
        absl::MakeSpan(logits).subspan(first * model.classes(),
                                       count * model.classes()));
    TERN_CHECK(status.ok());
  }
  return logits;
}

// False where two batches disagree.
bool HashNetwork(std::string_view graph, const KernelTable& kernels,
                 Session& session, Sha256& sum) {
  const TinyModel tiny = MakeTinyModel(graph, 5);
  const std::string file = testing::TinyModelBytes(tiny);
  LoadOptions options;
  options.verify_golden = false;
  const auto model = Model::Load(AsBytes(file), kernels, options);
  TERN_CHECK(model.ok());
  std::vector<std::uint8_t> pictures;
  for (int i = 0; i < kPictures; ++i) {
    const auto picture = RandomPicture((*model)->input(), i);
    pictures.insert(pictures.end(), picture.begin(), picture.end());
  }
  const std::vector<float> one = LogitsOf(**model, session, pictures, 1);
  for (int batch = 2; batch <= kPictures; ++batch) {
    if (LogitsOf(**model, session, pictures, batch) != one) {
      std::fprintf(stderr, "batch %d differs from batch 1\n", batch);
      return false;
    }
  }
  sum.Update(one.data(), one.size() * sizeof(float));
  return true;
}

int Main(const std::string& isa, int threads) {
  const auto kernels = SelectKernels(isa);
  if (!kernels.ok()) {
    std::fprintf(stderr, "%s\n", kernels.status().ToString().c_str());
    return 2;
  }
  ThreadPool pool(threads);
  Session session(&pool);
  Sha256 sum;
  for (const std::string_view graph : {testing::kTinyGrid, kGridNetwork}) {
    if (!HashNetwork(graph, **kernels, session, sum)) return 1;
  }
  std::printf("%s\n", Sha256::Hex(sum.Finish()).c_str());
  return 0;
}

}  // namespace
}  // namespace tern

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: grid_hash ISA THREADS\n");
    return 2;
  }
  return tern::Main(argv[1], std::atoi(argv[2]));
}
