#include "trainer/optim/sgd.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tern::trainer {
namespace {

// Small enough to share a large layer out, large enough to pay for a task.
constexpr std::size_t kChunk = std::size_t{1} << 15;

struct Piece {
  std::size_t parameter;
  std::size_t begin;
  std::size_t end;
};

}  // namespace

Sgd::Sgd(std::vector<Parameter*> parameters, const SgdOptions& options)
    : options_(options), parameters_(std::move(parameters)) {
  for (const Parameter* parameter : parameters_) {
    velocity_.emplace_back(parameter->value.size(), 0.0F);
  }
}

void Sgd::Step(double rate, ThreadPool& pool) {
  std::vector<Piece> pieces;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const std::size_t size = parameters_[p]->value.size();
    for (std::size_t at = 0; at < size; at += kChunk) {
      pieces.push_back({p, at, std::min(size, at + kChunk)});
    }
  }
  const auto lr = static_cast<float>(rate);
  const auto momentum = static_cast<float>(options_.momentum);
  pool.ParallelFor(pieces.size(), [&](std::size_t i) {
    const Piece& piece = pieces[i];
    Parameter& parameter = *parameters_[piece.parameter];
    const float decay =
        parameter.decays ? static_cast<float>(options_.weight_decay) : 0.0F;
    float* w = parameter.value.data();
    float* v = velocity_[piece.parameter].data();
    const float* g = parameter.gradient.data();
    for (std::size_t j = piece.begin; j < piece.end; ++j) {
      v[j] = momentum * v[j] + (g[j] + decay * w[j]);
      w[j] -= lr * v[j];
    }
  });
}

std::vector<absl::Span<float>> Sgd::Velocities() {
  std::vector<absl::Span<float>> spans;
  spans.reserve(velocity_.size());
  for (std::vector<float>& v : velocity_) spans.push_back(absl::MakeSpan(v));
  return spans;
}

absl::StatusOr<Schedule> ParseSchedule(std::string_view text) {
  if (text == "constant") return Schedule::kConstant;
  if (text == "step") return Schedule::kStep;
  if (text == "cosine") return Schedule::kCosine;
  return absl::InvalidArgumentError(
      absl::StrCat("schedule '", absl::string_view(text.data(), text.size()),
                   "': want constant, step or cosine"));
}

double LearningRate(const RateOptions& options, int epochs, double progress) {
  if (progress < options.warmup_epochs) {
    return options.rate * progress / options.warmup_epochs;
  }
  const double done = progress / epochs;
  switch (options.schedule) {
    case Schedule::kConstant:
      break;
    case Schedule::kStep:
      return options.rate * (done < 0.6 ? 1 : done < 0.85 ? 0.1 : 0.01);
    case Schedule::kCosine: {
      const double warm = options.warmup_epochs / epochs;
      const double turn = (done - warm) / (1 - warm);
      return options.rate * 0.5 * (1 + std::cos(3.14159265358979 * turn));
    }
  }
  return options.rate;
}

}  // namespace tern::trainer
