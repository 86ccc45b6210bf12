// Weight quantisers: float filters to integer codes times a scale.
//
// Training keeps latent float weights; every step computes with
// code * scale, and the gradient with respect to that product is applied to
// the latent weights unchanged (straight-through estimator).
//
// Sources:
//   twn   Li, Zhang, Liu, "Ternary Weight Networks", arXiv 1605.04711,
//         equations 4 to 6: threshold 0.7 * mean|w|, scale = mean of |w| above
//         the threshold.
//   bwn   Rastegari et al., "XNOR-Net", arXiv 1603.05279, section 3.1:
//         sign(w), scale = mean|w|; sign(0) = +1.
//   grid  exact float layers (engine/NUMERICS.md): integers with
//         sum |code| <= 65793 in a filter, so that float sums of products with
//         magnitudes up to 255 stay below 2^24 and are exact.
//
// Pure functions, thread-safe.

#ifndef TERN_TRAINER_NN_QUANTIZER_H_
#define TERN_TRAINER_NN_QUANTIZER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tern::trainer {

enum class WeightQuantizer : std::uint8_t { kTwn, kBwn, kGrid, kFloat };
enum class ScalePer : std::uint8_t { kFilter, kLayer };

inline constexpr double kTwnThresholdFactor = 0.7;
inline constexpr std::int64_t kGridMaxCodeSum = 65793;
inline constexpr std::int64_t kGridMaxCode = 32767;
// Weights in a filter that the grid can hold: rounding may add one half each.
inline constexpr std::int64_t kGridMaxFilterSize = 2 * (kGridMaxCodeSum - 2);

// "twn", "bwn" or "float" (kFloat).
absl::StatusOr<WeightQuantizer> ParseWeightQuantizer(std::string_view text);

// `latent` holds scale.size() filters of equal size, filters outermost;
// `codes`, integers as floats, is as large: real weight = code * scale[filter].
// kFloat copies: scale 1. All finite latent weights are accepted; a filter of
// zeros gets zero codes (bwn: ones times scale 0).
// kGrid needs filters of at most kGridMaxFilterSize weights.
void QuantizeWeights(WeightQuantizer quantizer, ScalePer scale_per,
                     absl::Span<const float> latent, absl::Span<float> codes,
                     absl::Span<float> scale);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NN_QUANTIZER_H_
