#include "trainer/run/read_file.h"

#include <cerrno>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"

namespace tern::trainer {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

absl::StatusOr<std::vector<std::uint8_t>> ReadFile(const std::string& path) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  }
  std::vector<std::uint8_t> bytes;
  std::size_t got = 0;
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  do {
    const std::size_t at = bytes.size();
    bytes.resize(at + kPiece);
    errno = 0;
    got = std::fread(bytes.data() + at, 1, kPiece, file.get());
    bytes.resize(at + got);
    if (std::ferror(file.get()) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    }
    if (bytes.size() > kMaxReadBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": larger than ", kMaxReadBytes, " bytes, the limit"));
    }
  } while (got > 0);
  return bytes;
}

}  // namespace tern::trainer
