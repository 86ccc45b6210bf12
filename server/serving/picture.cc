#include "server/serving/picture.h"

#include <new>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/image/preprocess.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

std::string FieldOfPicture(std::size_t index, const char* rest) {
  return absl::StrCat("images[", index, "]", rest);
}

}  // namespace

absl::Status CheckPicture(const Picture& picture, std::size_t index,
                          const Model& model) {
  if (picture.kind == Picture::Kind::kUnset) {
    return InvalidField(FieldOfPicture(index, ""),
                        "want encoded or raw, got neither");
  }
  if (picture.kind == Picture::Kind::kEncoded) return absl::OkStatus();
  const model::v1::Image& input = model.input();
  if (picture.height != input.height() || picture.width != input.width() ||
      picture.channels != input.channels()) {
    return InvalidField(
        FieldOfPicture(index, ".raw"),
        absl::StrCat("the model takes ", input.height(), "x", input.width(),
                     "x", input.channels(), " pixels, got ", picture.height,
                     "x", picture.width, "x", picture.channels));
  }
  if (picture.bytes.size() != model.input_bytes()) {
    return InvalidField(FieldOfPicture(index, ".raw.pixels"),
                        absl::StrCat("want ", model.input_bytes(),
                                     " bytes, got ", picture.bytes.size()));
  }
  return absl::OkStatus();
}

absl::StatusOr<Image> DecodePicture(const Picture& picture, std::size_t index,
                                    const Model& model,
                                    const DecodeLimits& limits) {
  try {
    absl::StatusOr<Image> image = PreprocessEncoded(
        picture.bytes, model.input(), model.preprocessing(), limits);
    if (!absl::IsInvalidArgument(image.status())) return image;
    return InvalidField(FieldOfPicture(index, ".encoded"),
                        std::string(image.status().message()));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(
        FieldOfPicture(index, ".encoded"), ": not enough memory to decode"));
  }
}

}  // namespace tern::server
