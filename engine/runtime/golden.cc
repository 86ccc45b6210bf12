#include "engine/runtime/golden.h"

#include <bit>
#include <cstring>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/aligned_buffer.h"
#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "engine/kernels/kernels.h"
#include "engine/runtime/golden_run.h"

namespace tern {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014).
std::uint64_t NextRandom(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::uint64_t HashOf(const void* data, std::size_t size) {
  const Sha256::Digest digest = Sha256::Of(data, size);
  std::uint64_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof(hash));
  return hash;
}

}  // namespace

std::vector<std::uint8_t> GoldenPictures(const model::v1::Golden& golden,
                                         std::size_t picture_bytes) {
  std::vector<std::uint8_t> pictures(golden.seeded_images() * picture_bytes);
  std::uint64_t state = golden.seed();
  for (std::uint8_t& pixel : pictures) {
    pixel = static_cast<std::uint8_t>(NextRandom(state) >> 56);
  }
  pictures.insert(pictures.end(), golden.image().begin(), golden.image().end());
  return pictures;
}

absl::StatusOr<GoldenRun> RunGolden(const Plan& plan,
                                    const model::v1::Golden& golden,
                                    std::size_t classes) {
  const std::vector<PlanTensor>& tensors = plan.tensors();
  const std::vector<std::uint8_t> pictures =
      GoldenPictures(golden, tensors[0].bytes);
  const std::size_t count = pictures.size() / tensors[0].bytes;
  const int batch = static_cast<int>(count);
  AlignedBuffer arena(plan.ArenaBytes(batch));
  AlignedBuffer scratch(plan.ScratchBytes(batch, 1));
  std::memcpy(arena.data() + tensors[0].offset * count, pictures.data(),
              pictures.size());
  GoldenRun run;
  run.logits.resize(count * classes);
  run.node_hash.resize(tensors.size() - 1);
  const auto hash_storage = [&](int storage, const void* data) {
    const std::uint64_t hash = HashOf(data, tensors[storage].bytes * count);
    for (std::size_t t = 1; t < tensors.size(); ++t) {
      if (tensors[t].storage == storage) run.node_hash[t - 1] = hash;
    }
  };
  ThreadPool pool(1);
  TERN_RETURN_IF_ERROR(plan.Run(
      batch, arena.data(), scratch.data(), &pool, run.logits.data(),
      [&](int step, const std::byte* base) {
        const int last = static_cast<int>(plan.steps().size()) - 1;
        const int storage = step < 0 ? 0 : plan.steps()[step].output;
        hash_storage(storage, step == last
                                  ? static_cast<const void*>(run.logits.data())
                                  : base + tensors[storage].offset * count);
      }));
  return run;
}

namespace {

std::string KernelsAt(const Plan& plan, int batch) {
  std::string kernels;
  for (const PlanStep& step : plan.steps()) {
    absl::StrAppend(&kernels, step.op->Kernel(batch), " ");
  }
  return kernels;
}

// The smallest batch of each combination of kernels that the plan runs on, but
// the one of batches of `tested`.
std::vector<int> OtherBatches(const Plan& plan, int tested) {
  std::vector<int> batches;
  std::set<std::string> seen = {KernelsAt(plan, tested)};
  for (int batch = 1; batch <= plan.MaxBatch(); ++batch) {
    if (seen.insert(KernelsAt(plan, batch)).second) batches.push_back(batch);
  }
  return batches;
}

// The logits of all golden pictures, run `batch` at a time; the last batch is
// filled up from the front.
absl::StatusOr<std::vector<float>> LogitsInBatches(
    const Plan& plan, const model::v1::Golden& golden, std::size_t classes,
    int batch) {
  const PlanTensor& picture = plan.tensors()[0];
  const std::vector<std::uint8_t> pictures =
      GoldenPictures(golden, picture.bytes);
  const std::size_t count = pictures.size() / picture.bytes;
  AlignedBuffer arena(plan.ArenaBytes(batch));
  AlignedBuffer scratch(plan.ScratchBytes(batch, 1));
  ThreadPool pool(1);
  std::vector<float> logits;
  std::vector<float> some(batch * classes);
  for (std::size_t first = 0; first < count; first += batch) {
    for (std::size_t i = 0; i < some.size() / classes; ++i) {
      std::memcpy(arena.data() + picture.offset * batch + i * picture.bytes,
                  pictures.data() + (first + i) % count * picture.bytes,
                  picture.bytes);
    }
    TERN_RETURN_IF_ERROR(plan.Run(batch, arena.data(), scratch.data(), &pool,
                                  some.data(), [](int, const std::byte*) {}));
    logits.insert(logits.end(), some.begin(), some.end());
  }
  logits.resize(count * classes);
  return logits;
}

absl::Status CheckLogits(const std::vector<float>& logits,
                         const model::v1::Golden& golden, int batch) {
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float wanted = golden.logit(static_cast<int>(i));
    if (std::bit_cast<std::uint32_t>(logits[i]) ==
        std::bit_cast<std::uint32_t>(wanted)) {
      continue;
    }
    return absl::DataLossError(absl::StrCat("golden test, batch ", batch,
                                            ": logit ", i, " is ", logits[i],
                                            ", the card has ", wanted));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status VerifyGolden(const Plan& plan, const model::v1::Header& header,
                          std::size_t classes) {
  if (!header.card().has_golden()) {
    return absl::InvalidArgumentError(
        "card.golden: missing, so the model cannot be verified");
  }
  const model::v1::Golden& golden = header.card().golden();
  TERN_ASSIGN_OR_RETURN(const GoldenRun run, RunGolden(plan, golden, classes));
  for (std::size_t i = 0; i < run.node_hash.size(); ++i) {
    if (!plan.tensors()[i + 1].materialised) continue;
    const std::uint64_t wanted = golden.node_hash(static_cast<int>(i));
    if (run.node_hash[i] == wanted) continue;
    return absl::DataLossError(
        absl::StrCat("golden test: graph.node[", i, "] '",
                     header.graph().node(static_cast<int>(i)).name(),
                     "' is the first whose output differs: hash ",
                     absl::Hex(run.node_hash[i], absl::kZeroPad16),
                     ", the card has ", absl::Hex(wanted, absl::kZeroPad16)));
  }
  const int count = static_cast<int>(run.logits.size() / classes);
  TERN_RETURN_IF_ERROR(CheckLogits(run.logits, golden, count));
  for (const int batch : OtherBatches(plan, count)) {
    TERN_ASSIGN_OR_RETURN(const std::vector<float> logits,
                          LogitsInBatches(plan, golden, classes, batch));
    TERN_RETURN_IF_ERROR(CheckLogits(logits, golden, batch));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> WriteModelWithGolden(
    model::v1::Header header, const std::vector<NodeWeights>& weights,
    std::uint64_t seed, absl::Span<const std::uint8_t> image) {
  TERN_ASSIGN_OR_RETURN(const GraphShapes shapes, InferShapes(header.graph()));
  if (static_cast<std::int64_t>(image.size()) != shapes.picture.elements()) {
    return absl::InvalidArgumentError(
        absl::StrCat("golden image: has ", image.size(), " bytes, must have ",
                     shapes.picture.elements()));
  }
  // Writing checks header and weights, so a first write without the golden
  // test makes them safe to plan with.
  header.mutable_card()->clear_golden();
  TERN_RETURN_IF_ERROR(WriteModel(header, weights).status());
  TERN_ASSIGN_OR_RETURN(
      const std::unique_ptr<const Plan> plan,
      Plan::Build(
          header, shapes,
          [&weights](int node) -> absl::StatusOr<NodeWeights> {
            return weights[node];
          },
          ReferenceKernels(), PlanOptions{.fuse = false, .conv_kernel = {}}));
  model::v1::Golden& golden = *header.mutable_card()->mutable_golden();
  golden.set_seed(seed);
  golden.set_seeded_images(kSeededGoldenImages);
  golden.set_image(image.data(), image.size());
  TERN_ASSIGN_OR_RETURN(
      const GoldenRun run,
      RunGolden(*plan, golden, static_cast<std::size_t>(shapes.classes)));
  golden.mutable_node_hash()->Assign(run.node_hash.begin(),
                                     run.node_hash.end());
  golden.mutable_logit()->Assign(run.logits.begin(), run.logits.end());
  return WriteModel(std::move(header), weights);
}

}  // namespace tern
