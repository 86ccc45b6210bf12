#include "engine/image/idx.h"

#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace tern {
namespace {

constexpr std::size_t kPrefixBytes = 4;
constexpr std::uint8_t kTypeU8 = 0x08;
constexpr int kMaxDims = 4;

struct GzClose {
  void operator()(gzFile_s* file) const { gzclose(file); }
};

// gzread passes plain files through unchanged.
absl::StatusOr<std::vector<std::uint8_t>> ReadMaybeGzip(
    const std::string& path) {
  errno = 0;
  std::unique_ptr<gzFile_s, GzClose> file(gzopen(path.c_str(), "rb"));
  if (file == nullptr) {
    const int code = errno != 0 ? errno : ENOMEM;
    return absl::ErrnoToStatus(code, "cannot open");
  }
  std::vector<std::uint8_t> bytes;
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  for (;;) {
    const std::size_t at = bytes.size();
    if (at > kMaxIdxBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "unpacks to more than ", kMaxIdxBytes, " bytes, the limit"));
    }
    bytes.resize(at + kPiece);
    const int got = gzread(file.get(), bytes.data() + at, kPiece);
    if (got < 0) {
      int code = 0;
      const char* what = gzerror(file.get(), &code);
      if (code == Z_ERRNO) return absl::ErrnoToStatus(errno, "cannot read");
      return absl::DataLossError(absl::StrCat("damaged gzip data: ", what));
    }
    bytes.resize(at + static_cast<std::size_t>(got));
    if (got == 0) break;
  }
  // A stream cut short reads as end of file; only closing tells.
  int code = Z_OK;
  gzerror(file.get(), &code);
  if (code == Z_BUF_ERROR || gzclose_r(file.release()) != Z_OK) {
    return absl::DataLossError("gzip data is cut short");
  }
  return bytes;
}

std::uint32_t BigEndian(const std::uint8_t* p) {
  return (std::uint32_t{p[0]} << 24) | (std::uint32_t{p[1]} << 16) |
         (std::uint32_t{p[2]} << 8) | std::uint32_t{p[3]};
}

std::size_t HeaderBytes(int rank) {
  return kPrefixBytes + 4 * static_cast<std::size_t>(rank);
}

// Whether the bytes before the elements are all there and say u8.
absl::Status CheckHeader(absl::Span<const std::uint8_t> bytes) {
  if (bytes.size() < kPrefixBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("not an IDX file: ", bytes.size(), " bytes, want >= 4"));
  }
  if (bytes[0] != 0 || bytes[1] != 0) {
    return absl::InvalidArgumentError(
        "not an IDX file: the first two bytes must be 0");
  }
  if (bytes[2] != kTypeU8) {
    return absl::InvalidArgumentError(
        absl::StrCat("element type at byte 2 is ", int{bytes[2]},
                     ", want 8 (unsigned bytes)"));
  }
  const int rank = bytes[3];
  if (rank < 1 || rank > kMaxDims) {
    return absl::InvalidArgumentError(absl::StrCat(
        "number of dimensions at byte 3 is ", rank, ", want 1..", kMaxDims));
  }
  const std::size_t header = HeaderBytes(rank);
  if (bytes.size() < header) {
    return absl::InvalidArgumentError(
        absl::StrCat("cut short in the dimensions: ", bytes.size(),
                     " bytes, want >= ", header));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<IdxTensor> ParseIdx(absl::Span<const std::uint8_t> bytes) {
  TERN_RETURN_IF_ERROR(CheckHeader(bytes));
  const int rank = bytes[3];
  const std::size_t header = HeaderBytes(rank);
  IdxTensor tensor;
  std::uint64_t elements = 1;
  for (int i = 0; i < rank; ++i) {
    const std::uint32_t dim = BigEndian(bytes.data() + kPrefixBytes + 4 * i);
    // Both factors are below 2^33, so the product cannot wrap.
    elements *= dim;
    if (dim == 0 || elements > kMaxIdxBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("dimension ", i, " is ", dim, ": want >= 1 and at most ",
                       kMaxIdxBytes, " elements in all"));
    }
    tensor.dims.push_back(dim);
  }
  if (bytes.size() - header != elements) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the dimensions ask for ", elements,
        " bytes of elements, the file has ", bytes.size() - header));
  }
  tensor.data.assign(bytes.begin() + static_cast<std::ptrdiff_t>(header),
                     bytes.end());
  return tensor;
}

absl::StatusOr<IdxTensor> ReadIdxFile(const std::string& path) {
  auto parse = [&]() -> absl::StatusOr<IdxTensor> {
    TERN_ASSIGN_OR_RETURN(const std::vector<std::uint8_t> bytes,
                          ReadMaybeGzip(path));
    return ParseIdx(bytes);
  };
  absl::StatusOr<IdxTensor> tensor = parse();
  if (!tensor.ok()) {
    return absl::Status(tensor.status().code(),
                        absl::StrCat(path, ": ", tensor.status().message()));
  }
  return tensor;
}

}  // namespace tern
