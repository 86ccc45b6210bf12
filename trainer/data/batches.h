// Batches: which pictures a step sees, how they are changed and normalised.
//
// Everything is a function of (seed, epoch, position): a resumed run sees
// what an uninterrupted one would. Pure functions, thread-safe.

#ifndef TERN_TRAINER_DATA_BATCHES_H_
#define TERN_TRAINER_DATA_BATCHES_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tern/model/v1/model.pb.h"
#include "trainer/data/dataset.h"

namespace tern::trainer {

// Indices into a data set.
struct TrainValidationSplit {
  std::vector<std::uint32_t> train;
  std::vector<std::uint32_t> validation;
};

// Draws `validation` pictures from the data set; the same seed, the same
// pictures.
TrainValidationSplit SplitForValidation(std::size_t images,
                                        std::size_t validation,
                                        std::uint64_t seed);

// `indices` in the order of this epoch.
std::vector<std::uint32_t> EpochOrder(std::vector<std::uint32_t> indices,
                                      std::uint64_t seed, int epoch);

struct Augmentation {
  // Moved by up to this many pixels in each direction; edge pixels repeat.
  int shift = 0;
  // Mirrored left to right, half of the time.
  bool flip = false;
};

// "auto" (flip and shift where the data set is known to allow it, shift
// alone otherwise), "none", "shift", "flip", "shift+flip".
absl::StatusOr<Augmentation> ParseAugmentation(std::string_view text,
                                               const Dataset& data);

// How one picture is changed; drawn, not chosen.
struct PictureChange {
  int dy = 0;
  int dx = 0;
  bool flip = false;
};
PictureChange DrawChange(const Augmentation& augmentation, std::uint64_t seed,
                         int epoch, std::uint32_t image);

// Writes the picture as the network reads it: planar (channel, row, column)
// floats (pixel - zero_point[c]) * scale[c].
void NormalisePicture(absl::Span<const std::uint8_t> picture, int height,
                      int width, int channels, const PictureChange& change,
                      const model::v1::InputQuantization& quantization,
                      absl::Span<float> planar);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_DATA_BATCHES_H_
