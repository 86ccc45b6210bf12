// The rules of a model file, shared by its reader and its writer: what one
// refuses the other never makes. model_format.md states them in prose.
//
// Pure functions, thread-safe; their input is untrusted.

#ifndef TERN_ENGINE_MODEL_MODEL_CHECK_H_
#define TERN_ENGINE_MODEL_MODEL_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/graph.h"
#include "engine/model/model_file.h"
#include "tern/model/v1/model.pb.h"

namespace tern {

// Bounds of numbers that become float32 factors. With them no value on the
// way to an output overflows, whatever the file says: |acc| <= 2^31, a product
// of an accumulator and a multiplier is at most 2^91, a residual of 2^15 times
// the quotient of two scales at most 2^95.
inline constexpr double kMinScale = 0x1p-40;
inline constexpr double kMaxScale = 0x1p40;
inline constexpr float kMaxMultiplier = 0x1p60F;
inline constexpr float kMaxBias = 0x1p100F;
// 65793 * 255 = 2^24 - 1: every partial sum is an integer that f32 holds.
inline constexpr std::int64_t kMaxGridMagnitude = 65793;

// Loading runs all golden pictures as one batch.
inline constexpr std::uint32_t kMaxSeededGoldenImages = 4;
inline constexpr double kMinTemperature = 1e-6;
inline constexpr double kMaxTemperature = 1e6;

// Everything in the header but tensor table and limits.
absl::StatusOr<GraphShapes> CheckHeader(const model::v1::Header& header);

// What serving costs, from a checked header.
model::v1::Limits ComputeLimits(const model::v1::Header& header,
                                const GraphShapes& shapes);

// Sizes and values of one node's numbers. `node` is an index into the graph.
absl::Status CheckNodeWeights(const model::v1::Header& header,
                              const GraphShapes& shapes, int node,
                              const NodeWeights& weights);

}  // namespace tern

#endif  // TERN_ENGINE_MODEL_MODEL_CHECK_H_
