// Reader of IDX files, the format of MNIST and its relatives
// (http://yann.lecun.com/exdb/mnist): two zero bytes, element type, number of
// dimensions, each dimension as a big-endian u32, then the elements.
//
// Plain or gzip, told apart by content. The file is untrusted: sizes are
// checked before anything is allocated. Pure functions, thread-safe.

#ifndef TERN_ENGINE_IMAGE_IDX_H_
#define TERN_ENGINE_IMAGE_IDX_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tern {

// A tensor of bytes, the last dimension innermost.
struct IdxTensor {
  std::vector<std::uint32_t> dims;
  std::vector<std::uint8_t> data;
};

// Largest tensor accepted, in bytes.
inline constexpr std::uint64_t kMaxIdxBytes = std::uint64_t{4} << 30;

// `bytes` is a whole plain IDX file. INVALID_ARGUMENT: not IDX, elements
// other than u8, or a size that does not fit; says at which byte.
absl::StatusOr<IdxTensor> ParseIdx(absl::Span<const std::uint8_t> bytes);

// Reads `path`, unpacking gzip. NOT_FOUND; DATA_LOSS where the gzip stream is
// damaged; otherwise as ParseIdx. Every message names the path.
absl::StatusOr<IdxTensor> ReadIdxFile(const std::string& path);

}  // namespace tern

#endif  // TERN_ENGINE_IMAGE_IDX_H_
