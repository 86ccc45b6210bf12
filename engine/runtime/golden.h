// The golden test: a model file carries pictures' logits and a hash of every
// node's output, and is served only where they come out the same.
//
// Pictures: `seeded_images` drawn from the seed (every byte of the picture is
// the top byte of the next SplitMix64 output), then one real picture. A node's
// hash is the first 8 bytes, little-endian, of the SHA-256 over its output
// bytes (NHWC, little-endian) for all golden pictures in order.

#ifndef TERN_ENGINE_RUNTIME_GOLDEN_H_
#define TERN_ENGINE_RUNTIME_GOLDEN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/model_file.h"

namespace tern {

inline constexpr int kSeededGoldenImages = 2;

// All golden pictures, one after the other.
std::vector<std::uint8_t> GoldenPictures(const model::v1::Golden& golden,
                                         std::size_t picture_bytes);

// Completes a model that has everything but its golden test: runs the golden
// pictures with the reference kernels, fills header.card.golden and returns
// the file's bytes. `image` is one real picture of the model's input size.
absl::StatusOr<std::string> WriteModelWithGolden(
    model::v1::Header header, const std::vector<NodeWeights>& weights,
    std::uint64_t seed, absl::Span<const std::uint8_t> image);

}  // namespace tern

#endif  // TERN_ENGINE_RUNTIME_GOLDEN_H_
