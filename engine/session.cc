#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "engine/base/aligned_buffer.h"
#include "engine/base/status_macros.h"
#include "engine/engine.h"
#include "engine/runtime/plan.h"

namespace tern {

struct Session::State {
  ThreadPool* pool;
  AlignedBuffer arena;
  AlignedBuffer scratch;

  // Grows; what a buffer held is gone.
  static void Reserve(AlignedBuffer& buffer, std::size_t bytes) {
    if (buffer.size() >= bytes) return;
    // The old block goes first, so that both are never held.
    buffer = AlignedBuffer();
    buffer = AlignedBuffer(bytes);
  }

  absl::Status RunPiece(const Plan& plan, const std::uint8_t* pixels, int batch,
                        float* logits) {
    Reserve(arena, plan.ArenaBytes(batch));
    Reserve(scratch, plan.ScratchBytes(batch, pool->threads()));
    const PlanTensor& picture = plan.tensors()[0];
    std::memcpy(arena.data() + picture.offset * batch, pixels,
                picture.bytes * batch);
    return plan.Run(batch, arena.data(), scratch.data(), pool, logits,
                    [](int, const std::byte*) {});
  }
};

Session::Session(ThreadPool* pool) : state_(std::make_unique<State>()) {
  state_->pool = pool;
}

Session::~Session() = default;

absl::Status Session::Run(const Model& model,
                          absl::Span<const std::uint8_t> pixels, int batch,
                          absl::Span<float> logits) try {
  if (batch < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch: is ", batch, ", must be at least 1"));
  }
  const std::size_t count = batch;
  const std::size_t classes = model.classes();
  if (pixels.size() != count * model.input_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pixels: ", pixels.size(), " bytes, ", batch, " pictures of ",
        model.input_bytes(), " bytes need ", count * model.input_bytes()));
  }
  if (logits.size() != count * classes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "logits: room for ", logits.size(), ", ", batch, " pictures of ",
        classes, " classes need ", count * classes));
  }
  const Plan& plan = model.plan();
  for (std::size_t done = 0; done < count;) {
    const std::size_t piece =
        std::min<std::size_t>(count - done, plan.MaxBatch());
    TERN_RETURN_IF_ERROR(state_->RunPiece(
        plan, pixels.data() + done * model.input_bytes(),
        static_cast<int>(piece), logits.data() + done * classes));
    done += piece;
  }
  return absl::OkStatus();
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError(
      "not enough memory for the activations of this batch");
}

std::size_t Session::arena_bytes() const { return state_->arena.size(); }
std::size_t Session::scratch_bytes() const { return state_->scratch.size(); }

std::vector<ClassScore> TopK(absl::Span<const float> logits, int k,
                             double temperature) {
  const int classes = static_cast<int>(logits.size());
  k = std::clamp(k, 0, classes);
  if (k == 0) return {};
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) {
    sum += std::exp((logit - largest) / temperature);
  }
  std::vector<int> order(classes);
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(
      order.begin(), order.begin() + k, order.end(), [logits](int a, int b) {
        return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
      });
  std::vector<ClassScore> scores;
  scores.reserve(k);
  for (int i = 0; i < k; ++i) {
    const float logit = logits[order[i]];
    scores.push_back(
        {order[i], std::exp((logit - largest) / temperature) / sum, logit});
  }
  return scores;
}

}  // namespace tern
