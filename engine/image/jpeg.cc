// JPEG through libjpeg-turbo's classic interface, the one that reads every
// colour space. libjpeg reports errors by a callback that must not return, so
// the few functions that call it set a jump target and hold no C++ objects.

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

// In this order: each needs what the one before declares.
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/image/codecs.h"

namespace tern::internal {
namespace {

// Encoders write at most a few dozen; each scan of a progressive file costs a
// pass over the whole picture, so a small file could ask for hours.
constexpr int kMaxScans = 64;
constexpr char kExifPrefix[] = {'E', 'x', 'i', 'f', 0, 0};
constexpr int kExifMarker = JPEG_APP0 + 1;
constexpr unsigned kMaxMarkerBytes = 0xffff;

// Not copyable: libjpeg keeps pointers into it.
class JpegReader {
 public:
  JpegReader() = default;
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  // False: message() says why.
  bool ReadHeader(const std::uint8_t* data, std::size_t size);
  // `pixels`: height x width x info().out_color_components.
  bool ReadPixels(std::uint8_t* pixels);

  jpeg_decompress_struct& info() { return info_; }
  const char* message() const { return message_; }

 private:
  [[noreturn]] void Fail() { std::longjmp(escape_, 1); }
  static JpegReader& Self(j_common_ptr info) {
    return *static_cast<JpegReader*>(info->client_data);
  }
  static void OnError(j_common_ptr info);
  static void OnMessage(j_common_ptr info, int level);
  static void OnProgress(j_common_ptr info);

  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf escape_{};
  char message_[JMSG_LENGTH_MAX] = "";
};

void JpegReader::OnError(j_common_ptr info) {
  JpegReader& self = Self(info);
  (*info->err->format_message)(info, self.message_);
  self.Fail();
}

// libjpeg goes on with invented pixels where data is missing or damaged; an
// answer about invented pixels would look like a real one. Harmless oddities
// (stray bytes between markers, an unknown Adobe colour code) pass.
void JpegReader::OnMessage(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      OnError(info);
      break;
    default:
      break;
  }
}

void JpegReader::OnProgress(j_common_ptr info) {
  JpegReader& self = Self(info);
  if (self.info_.input_scan_number <= kMaxScans) return;
  std::snprintf(self.message_, sizeof(self.message_), "more than %d scans",
                kMaxScans);
  self.Fail();
}

bool JpegReader::ReadHeader(const std::uint8_t* data, std::size_t size) {
  info_.err = jpeg_std_error(&errors_);
  errors_.error_exit = &OnError;
  errors_.emit_message = &OnMessage;
  info_.client_data = this;
  if (setjmp(escape_) != 0) return false;
  jpeg_create_decompress(&info_);
  progress_.progress_monitor = &OnProgress;
  info_.progress = &progress_;
  jpeg_mem_src(&info_, data, size);
  jpeg_save_markers(&info_, kExifMarker, kMaxMarkerBytes);
  jpeg_read_header(&info_, TRUE);
  return true;
}

bool JpegReader::ReadPixels(std::uint8_t* pixels) {
  if (setjmp(escape_) != 0) return false;
  jpeg_start_decompress(&info_);
  const std::size_t row_bytes =
      std::size_t{info_.output_width} * info_.output_components;
  while (info_.output_scanline < info_.output_height) {
    JSAMPROW row = pixels + info_.output_scanline * row_bytes;
    jpeg_read_scanlines(&info_, &row, 1);
  }
  jpeg_finish_decompress(&info_);
  return true;
}

int Orientation(const jpeg_decompress_struct& info) {
  for (const jpeg_marker_struct* marker = info.marker_list; marker != nullptr;
       marker = marker->next) {
    if (marker->marker == kExifMarker &&
        marker->data_length >= sizeof(kExifPrefix) &&
        std::memcmp(marker->data, kExifPrefix, sizeof(kExifPrefix)) == 0) {
      return ExifOrientation({marker->data + sizeof(kExifPrefix),
                              marker->data_length - sizeof(kExifPrefix)});
    }
  }
  return 1;
}

// Inks are stored inverted, as Adobe's programs write them and every common
// decoder assumes: 255 is no ink.
std::vector<std::uint8_t> RgbFromInvertedCmyk(
    const std::vector<std::uint8_t>& cmyk) {
  std::vector<std::uint8_t> rgb(cmyk.size() / 4 * 3);
  for (std::size_t i = 0; i < cmyk.size() / 4; ++i) {
    const unsigned black = cmyk[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = cmyk[4 * i + c] * black;
      rgb[3 * i + c] = static_cast<std::uint8_t>((product + 127) / 255);
    }
  }
  return rgb;
}

absl::Status Error(const JpegReader& reader) {
  return absl::InvalidArgumentError(absl::StrCat("JPEG: ", reader.message()));
}

}  // namespace

absl::StatusOr<DecodedPicture> DecodeJpeg(
    absl::Span<const std::uint8_t> encoded, const DecodeLimits& limits) {
  JpegReader reader;
  if (!reader.ReadHeader(encoded.data(), encoded.size())) return Error(reader);
  jpeg_decompress_struct& info = reader.info();
  TERN_RETURN_IF_ERROR(CheckSize("JPEG", info.image_width, info.image_height,
                                 encoded.size(), limits));
  switch (info.jpeg_color_space) {
    case JCS_GRAYSCALE:
      info.out_color_space = JCS_GRAYSCALE;
      break;
    case JCS_YCbCr:
    case JCS_RGB:
      info.out_color_space = JCS_RGB;
      break;
    case JCS_CMYK:
    case JCS_YCCK:
      info.out_color_space = JCS_CMYK;
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("JPEG: ", info.num_components,
                       " colour components; want grey, colour or CMYK"));
  }
  jpeg_calc_output_dimensions(&info);

  DecodedPicture picture;
  picture.orientation = Orientation(info);
  Image& image = picture.image;
  image.height = static_cast<int>(info.image_height);
  image.width = static_cast<int>(info.image_width);
  image.pixels.resize(std::size_t{info.image_height} * info.image_width *
                      info.out_color_components);
  if (!reader.ReadPixels(image.pixels.data())) return Error(reader);
  if (info.out_color_space == JCS_CMYK) {
    image.pixels = RgbFromInvertedCmyk(image.pixels);
  }
  image.channels = info.out_color_space == JCS_GRAYSCALE ? 1 : 3;
  return picture;
}

}  // namespace tern::internal
