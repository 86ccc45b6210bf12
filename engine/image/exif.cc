#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "engine/image/codecs.h"

namespace tern::internal {
namespace {

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kTypeShort = 3;
constexpr std::size_t kEntryBytes = 12;

// Reads integers of the block's byte order; out of bounds reads as 0.
class TiffReader {
 public:
  TiffReader(absl::Span<const std::uint8_t> bytes, bool big_endian)
      : bytes_(bytes), big_endian_(big_endian) {}

  std::uint32_t U16(std::size_t offset) const { return Read(offset, 2); }
  std::uint32_t U32(std::size_t offset) const { return Read(offset, 4); }

 private:
  std::uint32_t Read(std::size_t offset, std::size_t count) const {
    if (offset > bytes_.size() || bytes_.size() - offset < count) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = big_endian_ ? i : count - 1 - i;
      value = value << 8 | bytes_[offset + at];
    }
    return value;
  }

  absl::Span<const std::uint8_t> bytes_;
  bool big_endian_;
};

}  // namespace

int ExifOrientation(absl::Span<const std::uint8_t> tiff) {
  if (tiff.size() < 8) return 1;
  const bool little = tiff[0] == 'I' && tiff[1] == 'I';
  const bool big = tiff[0] == 'M' && tiff[1] == 'M';
  if (!little && !big) return 1;
  const TiffReader reader(tiff, big);
  if (reader.U16(2) != 42) return 1;
  const std::size_t directory = reader.U32(4);
  const std::size_t entries = reader.U16(directory);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntryBytes;
    if (entry + kEntryBytes > tiff.size()) return 1;
    if (reader.U16(entry) != kOrientationTag) continue;
    if (reader.U16(entry + 2) != kTypeShort || reader.U32(entry + 4) != 1) {
      return 1;
    }
    const std::uint32_t value = reader.U16(entry + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace tern::internal
