#include "trainer/nn/quantizer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"

namespace tern::trainer {
namespace {

// Eight running sums: fixed order, yet the compiler may use vectors.
template <typename Term>
double SumTerms(absl::Span<const float> w, Term term) {
  constexpr std::size_t kLanes = 8;
  float lane[kLanes] = {};
  std::size_t i = 0;
  double total = 0;
  // Flushed into double often enough that float rounding stays small.
  constexpr std::size_t kBlock = 1024;
  for (; i + kLanes <= w.size(); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) lane[j] += term(w[i + j]);
    if ((i + kLanes) % kBlock == 0) {
      for (float& sum : lane) {
        total += sum;
        sum = 0;
      }
    }
  }
  for (; i < w.size(); ++i) total += term(w[i]);
  for (const float sum : lane) total += sum;
  return total;
}

double SumOfMagnitudes(absl::Span<const float> w) {
  return SumTerms(w, [](float x) { return std::fabs(x); });
}

// Returns the scale.
float Twn(absl::Span<const float> w, absl::Span<float> codes) {
  const auto threshold = static_cast<float>(
      kTwnThresholdFactor * SumOfMagnitudes(w) / static_cast<double>(w.size()));
  const double sum = SumTerms(w, [threshold](float x) {
    return std::fabs(x) > threshold ? std::fabs(x) : 0.0F;
  });
  const double count = SumTerms(w, [threshold](float x) {
    return std::fabs(x) > threshold ? 1.0F : 0.0F;
  });
  for (std::size_t i = 0; i < w.size(); ++i) {
    const float sign = w[i] < 0 ? -1.0F : 1.0F;
    codes[i] = std::fabs(w[i]) > threshold ? sign : 0.0F;
  }
  return count > 0 ? static_cast<float>(sum / count) : 0.0F;
}

float Bwn(absl::Span<const float> w, absl::Span<float> codes) {
  for (std::size_t i = 0; i < w.size(); ++i) codes[i] = w[i] < 0 ? -1.0F : 1.0F;
  return static_cast<float>(SumOfMagnitudes(w) / static_cast<double>(w.size()));
}

// Rounding moves each code by at most 1/2, so sum |w| / scale may reach the
// bound less n/2; one more is left for the scale's own rounding to float.
float Grid(absl::Span<const float> w, absl::Span<float> codes) {
  const auto n = static_cast<double>(w.size());
  TERN_CHECK(static_cast<std::int64_t>(w.size()) <= kGridMaxFilterSize);
  double largest = 0;
  for (const float x : w) largest = std::max<double>(largest, std::fabs(x));
  const double room = static_cast<double>(kGridMaxCodeSum) - n / 2 - 1;
  const auto scale = static_cast<float>(
      std::max(SumOfMagnitudes(w) / room, largest / (kGridMaxCode - 1.0)));
  // All zeros, or so small that the scale is not a normal float.
  if (!(scale >= 1e-30F)) {
    std::fill(codes.begin(), codes.end(), 0.0F);
    return 1.0F;
  }
  const float inverse = 1.0F / scale;
  // Adding and subtracting 1.5 * 2^23 rounds to the nearest even integer.
  constexpr float kRound = 12582912.0F;
  for (std::size_t i = 0; i < w.size(); ++i) {
    codes[i] = (w[i] * inverse + kRound) - kRound;
  }
  return scale;
}

float QuantizeGroup(WeightQuantizer quantizer, absl::Span<const float> w,
                    absl::Span<float> codes) {
  switch (quantizer) {
    case WeightQuantizer::kTwn:
      return Twn(w, codes);
    case WeightQuantizer::kBwn:
      return Bwn(w, codes);
    case WeightQuantizer::kGrid:
      return Grid(w, codes);
    case WeightQuantizer::kFloat:
      break;
  }
  std::copy(w.begin(), w.end(), codes.begin());
  return 1.0F;
}

}  // namespace

absl::StatusOr<WeightQuantizer> ParseWeightQuantizer(std::string_view text) {
  if (text == "twn") return WeightQuantizer::kTwn;
  if (text == "bwn") return WeightQuantizer::kBwn;
  if (text == "float") return WeightQuantizer::kFloat;
  return absl::InvalidArgumentError(
      absl::StrCat("quantizer '", absl::string_view(text.data(), text.size()),
                   "': want twn, bwn or float"));
}

void QuantizeWeights(WeightQuantizer quantizer, ScalePer scale_per,
                     absl::Span<const float> latent, absl::Span<float> codes,
                     absl::Span<float> scale) {
  TERN_CHECK(!scale.empty() && latent.size() % scale.size() == 0 &&
             codes.size() == latent.size());
  // The grid's bound is a filter's: it is never shared by a layer.
  if (scale_per == ScalePer::kLayer && quantizer != WeightQuantizer::kGrid) {
    std::fill(scale.begin(), scale.end(),
              QuantizeGroup(quantizer, latent, codes));
    return;
  }
  const std::size_t size = latent.size() / scale.size();
  for (std::size_t k = 0; k < scale.size(); ++k) {
    scale[k] = QuantizeGroup(quantizer, latent.subspan(k * size, size),
                             codes.subspan(k * size, size));
  }
}

}  // namespace tern::trainer
