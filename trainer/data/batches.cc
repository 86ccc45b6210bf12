#include "trainer/data/batches.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "trainer/random.h"

namespace tern::trainer {
namespace {

constexpr int kShift = 2;

}  // namespace

TrainValidationSplit SplitForValidation(std::size_t images,
                                        std::size_t validation,
                                        std::uint64_t seed) {
  TERN_CHECK(validation <= images);
  std::vector<std::uint32_t> all(images);
  std::iota(all.begin(), all.end(), 0U);
  Random random(seed, Purpose::kSplit);
  Shuffle(random, all);
  const auto cut = all.begin() + static_cast<std::ptrdiff_t>(validation);
  TrainValidationSplit split;
  split.validation.assign(all.begin(), cut);
  split.train.assign(cut, all.end());
  std::sort(split.validation.begin(), split.validation.end());
  std::sort(split.train.begin(), split.train.end());
  return split;
}

std::vector<std::uint32_t> EpochOrder(std::vector<std::uint32_t> indices,
                                      std::uint64_t seed, int epoch) {
  Random random(seed, Purpose::kShuffle, static_cast<std::uint64_t>(epoch));
  Shuffle(random, indices);
  return indices;
}

absl::StatusOr<Augmentation> ParseAugmentation(std::string_view text,
                                               const Dataset& data) {
  if (text == "auto") return Augmentation{kShift, data.flips_keep_class};
  if (text == "none") return Augmentation{0, false};
  if (text == "shift") return Augmentation{kShift, false};
  if (text == "flip") return Augmentation{0, true};
  if (text == "shift+flip") return Augmentation{kShift, true};
  return absl::InvalidArgumentError(absl::StrCat(
      "augmentation '", absl::string_view(text.data(), text.size()),
      "': want auto, none, shift, flip or shift+flip"));
}

PictureChange DrawChange(const Augmentation& augmentation, std::uint64_t seed,
                         int epoch, std::uint32_t image) {
  Random random(seed, Purpose::kAugment, static_cast<std::uint64_t>(epoch),
                image);
  PictureChange change;
  const auto span = static_cast<std::uint32_t>(2 * augmentation.shift + 1);
  change.dy = static_cast<int>(random.Below(span)) - augmentation.shift;
  change.dx = static_cast<int>(random.Below(span)) - augmentation.shift;
  change.flip = augmentation.flip && random.Below(2) == 1;
  return change;
}

void NormalisePicture(absl::Span<const std::uint8_t> picture, int height,
                      int width, int channels, const PictureChange& change,
                      const model::v1::InputQuantization& quantization,
                      absl::Span<float> planar) {
  std::size_t out = 0;
  for (int c = 0; c < channels; ++c) {
    // 256 values: a table is exact and quicker than arithmetic.
    std::array<float, 256> real;
    const int scale_at = quantization.scale_size() == 1 ? 0 : c;
    const float scale = quantization.scale(scale_at);
    const auto zero = quantization.zero_point_size() == 0
                          ? 0.0F
                          : static_cast<float>(quantization.zero_point(c));
    for (int p = 0; p < 256; ++p) {
      real[static_cast<std::size_t>(p)] =
          (static_cast<float>(p) - zero) * scale;
    }
    for (int y = 0; y < height; ++y) {
      const int from_y = std::clamp(y - change.dy, 0, height - 1);
      for (int x = 0; x < width; ++x) {
        int from_x = std::clamp(x - change.dx, 0, width - 1);
        if (change.flip) from_x = width - 1 - from_x;
        const std::size_t at =
            (static_cast<std::size_t>(from_y) * width + from_x) * channels + c;
        planar[out++] = real[picture[at]];
      }
    }
  }
}

}  // namespace tern::trainer
