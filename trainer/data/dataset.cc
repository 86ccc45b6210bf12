#include "trainer/data/dataset.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "engine/image/idx.h"

namespace tern::trainer {
namespace {

constexpr int kMaxSide = 4096;

struct KnownDataset {
  std::string_view name;
  // SHA-256 of the label bytes of the training and of the test split.
  std::array<std::string_view, 2> label_digest;
  std::array<std::string_view, 10> class_names;
  bool flips_keep_class;
};

constexpr std::array<KnownDataset, 2> kKnownDatasets = {{
    {"fashion-mnist",
     {"657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
      "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9"},
     {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
      "Sneaker", "Bag", "Ankle boot"},
     true},
    {"mnist",
     {"1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
      "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5"},
     {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
     false},
}};

void Recognise(Dataset& data) {
  data.name = "unknown";
  const std::string digest =
      Sha256::Hex(Sha256::Of(data.labels.data(), data.labels.size()));
  for (const KnownDataset& known : kKnownDatasets) {
    if (digest != known.label_digest[0] && digest != known.label_digest[1]) {
      continue;
    }
    data.name = known.name;
    data.classes = static_cast<int>(known.class_names.size());
    data.class_names.assign(known.class_names.begin(), known.class_names.end());
    data.flips_keep_class = known.flips_keep_class;
  }
}

bool Exists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

absl::StatusOr<std::string> FindIdxFile(const std::string& dir,
                                        const std::string& stem) {
  const std::string plain = absl::StrCat(dir, "/", stem);
  if (Exists(plain)) return plain;
  const std::string packed = absl::StrCat(plain, ".gz");
  if (Exists(packed)) return packed;
  return absl::NotFoundError(
      absl::StrCat("neither ", plain, " nor ", packed, " exists"));
}

absl::StatusOr<Dataset> LoadIdxFolder(const std::string& dir, Split split) {
  const std::string prefix = split == Split::kTrain ? "train" : "t10k";
  TERN_ASSIGN_OR_RETURN(
      const std::string image_path,
      FindIdxFile(dir, absl::StrCat(prefix, "-images-idx3-ubyte")));
  TERN_ASSIGN_OR_RETURN(
      const std::string label_path,
      FindIdxFile(dir, absl::StrCat(prefix, "-labels-idx1-ubyte")));
  TERN_ASSIGN_OR_RETURN(IdxTensor images, ReadIdxFile(image_path));
  TERN_ASSIGN_OR_RETURN(IdxTensor labels, ReadIdxFile(label_path));
  if (labels.dims.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        label_path, ": ", labels.dims.size(), " dimensions, want 1"));
  }
  return MakeDataset(std::move(images.dims), std::move(images.data),
                     std::move(labels.data), image_path);
}

}  // namespace

absl::StatusOr<Dataset> MakeDataset(std::vector<std::uint32_t> image_dims,
                                    std::vector<std::uint8_t> pixels,
                                    std::vector<std::uint8_t> labels,
                                    std::string_view what) {
  const absl::string_view where(what.data(), what.size());
  if (image_dims.size() == 3) image_dims.push_back(1);
  if (image_dims.size() != 4 || (image_dims[3] != 1 && image_dims[3] != 3)) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": want images x height x width, or x 3 channels"));
  }
  if (image_dims[0] != labels.size()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", image_dims[0],
                                                   " pictures but ",
                                                   labels.size(), " labels"));
  }
  if (image_dims[1] > kMaxSide || image_dims[2] > kMaxSide) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": pictures of ", image_dims[1], " x ",
                     image_dims[2], ", want at most ", kMaxSide, " a side"));
  }
  Dataset data;
  data.height = static_cast<int>(image_dims[1]);
  data.width = static_cast<int>(image_dims[2]);
  data.channels = static_cast<int>(image_dims[3]);
  data.pixels = std::move(pixels);
  data.labels = std::move(labels);
  TERN_CHECK(data.pixels.size() == data.images() * data.picture_bytes());
  data.classes =
      data.labels.empty()
          ? 0
          : *std::max_element(data.labels.begin(), data.labels.end()) + 1;
  Sha256 digest;
  digest.Update(data.pixels.data(), data.pixels.size());
  digest.Update(data.labels.data(), data.labels.size());
  data.digest = Sha256::Hex(digest.Finish());
  Recognise(data);
  return data;
}

absl::StatusOr<Dataset> LoadDataset(std::string_view source, Split split) {
  absl::string_view rest(source.data(), source.size());
  if (!absl::ConsumePrefix(&rest, "idx:") || rest.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data source '", absl::string_view(source.data(), source.size()),
        "': want idx:DIR"));
  }
  return LoadIdxFolder(std::string(rest), split);
}

model::v1::InputQuantization InputQuantizationOf(const Dataset& data) {
  model::v1::InputQuantization quantization;
  double variance_sum = 0;
  const auto channels = static_cast<std::size_t>(data.channels);
  for (std::size_t c = 0; c < channels; ++c) {
    // Exact: the sums of squares of 2^32 pixels fit in 64 bits.
    std::uint64_t count = 0;
    std::uint64_t sum = 0;
    std::uint64_t squares = 0;
    for (std::size_t i = c; i < data.pixels.size(); i += channels) {
      const std::uint64_t p = data.pixels[i];
      ++count;
      sum += p;
      squares += p * p;
    }
    const double n = count == 0 ? 1 : static_cast<double>(count);
    const double mean = static_cast<double>(sum) / n;
    variance_sum += static_cast<double>(squares) / n - mean * mean;
    quantization.add_zero_point(static_cast<std::uint32_t>(std::lround(mean)));
  }
  const double deviation = std::sqrt(variance_sum / data.channels);
  // A data set of one grey level has none; any scale serves it.
  quantization.add_scale(
      static_cast<float>(deviation > 0 ? 1 / deviation : 1.0));
  return quantization;
}

}  // namespace tern::trainer
