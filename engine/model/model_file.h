// Reading and writing .twn files (grammar: model_format.md).
//
// The reader treats its bytes as hostile: sizes are bounded before anything is
// allocated, every error says what, where and what was expected, nothing
// aborts. Thread-safe: pure functions and const methods.

#ifndef TERN_ENGINE_MODEL_MODEL_FILE_H_
#define TERN_ENGINE_MODEL_MODEL_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/graph.h"
#include "tern/model/v1/model.pb.h"

namespace tern {

// The numbers of one conv2d or linear node; all vectors empty for others.
// Filters outermost: conv2d is OHWI, linear filters x inputs.
struct NodeWeights {
  // WEIGHT_KIND_TERNARY: -1, 0, +1.
  std::vector<std::int8_t> ternary;
  // WEIGHT_KIND_GRID.
  std::vector<std::int16_t> grid;
  // m and c of NUMERICS.md, one for each filter.
  std::vector<float> multiplier;
  std::vector<float> bias;
};

struct ReadLimits {
  std::uint64_t max_file_bytes = std::uint64_t{1} << 30;
  std::uint64_t max_macs_per_image = std::uint64_t{1} << 40;
  std::uint64_t max_activation_bytes = std::uint64_t{1} << 30;
};

// A checked file. Holds a view of the bytes it was read from, which must
// outlive it. Weights are decoded when asked for, a node at a time.
class ModelFile {
 public:
  // INVALID_ARGUMENT: not a .twn, malformed or out of limits. DATA_LOSS: cut
  // short, or a checksum or the digest does not match.
  static absl::StatusOr<ModelFile> Read(absl::Span<const std::uint8_t> bytes,
                                        const ReadLimits& limits);

  const model::v1::Header& header() const { return header_; }
  const GraphShapes& shapes() const { return shapes_; }
  // SHA-256 of the whole file, lower-case hex, as sha256sum prints it. (The
  // file ends with the SHA-256 of what precedes.)
  const std::string& digest() const { return digest_; }

  // Weights of graph.node(i), checked: codes, padding digits, the grid's
  // bound, finite and non-negative multipliers, finite biases.
  absl::StatusOr<NodeWeights> Weights(int node) const;

 private:
  ModelFile() = default;
  model::v1::Header header_;
  GraphShapes shapes_;
  std::string digest_;
  absl::Span<const std::uint8_t> sections_;
};

// Makes the bytes of a file. `header` needs graph, quantization, labels,
// preprocessing and card; tensor table and limits are filled in here.
// `weights` has one entry for each node. Refuses what the reader would.
absl::StatusOr<std::string> WriteModel(model::v1::Header header,
                                       const std::vector<NodeWeights>& weights);

// Writes `bytes` so that a crash leaves the old file or the new one: to a
// temporary name beside it, synced, renamed, folder synced.
absl::Status WriteFileAtomically(const std::string& path,
                                 absl::Span<const std::uint8_t> bytes);

}  // namespace tern

#endif  // TERN_ENGINE_MODEL_MODEL_FILE_H_
