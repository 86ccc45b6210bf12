// Labelled pictures in memory, and the folders they come from.
//
// A data source is named on the command line as KIND:PATH. One kind exists:
//   idx:DIR   train-images-idx3-ubyte, train-labels-idx1-ubyte,
//             t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte in DIR, each
//             plain or with .gz.
//
// Thread-safe: a loaded Dataset is not changed.

#ifndef TERN_TRAINER_DATA_DATASET_H_
#define TERN_TRAINER_DATA_DATASET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tern/model/v1/model.pb.h"

namespace tern::trainer {

enum class Split : std::uint8_t { kTrain, kTest };

struct Dataset {
  // "fashion-mnist", "mnist", or "unknown"; recognised by content.
  std::string name;
  // Of the split's pictures and labels, lower-case hex.
  std::string digest;
  int height = 0;
  int width = 0;
  int channels = 0;
  int classes = 0;
  // One for each class where the data set is known, else empty.
  std::vector<std::string> class_names;
  // A mirrored picture is a picture of the same class.
  bool flips_keep_class = false;
  // images x height x width x channels, u8.
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;

  std::size_t images() const { return labels.size(); }
  std::size_t picture_bytes() const {
    return static_cast<std::size_t>(height) * width * channels;
  }
  absl::Span<const std::uint8_t> picture(std::size_t i) const {
    return absl::MakeConstSpan(pixels).subspan(i * picture_bytes(),
                                               picture_bytes());
  }
};

// `source` as above. INVALID_ARGUMENT for a malformed name or file,
// NOT_FOUND where a file is missing; messages name the path.
absl::StatusOr<Dataset> LoadDataset(std::string_view source, Split split);

// Makes a data set of two tensors; `what` starts error messages.
absl::StatusOr<Dataset> MakeDataset(std::vector<std::uint32_t> image_dims,
                                    std::vector<std::uint8_t> pixels,
                                    std::vector<std::uint8_t> labels,
                                    std::string_view what);

// Mean and standard deviation of all pixels: real = (pixel - zero_point) *
// scale with zero_point the rounded mean of each channel and one scale for
// all, 1 / standard deviation.
model::v1::InputQuantization InputQuantizationOf(const Dataset& data);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_DATA_DATASET_H_
