#include "clients/cpp/cli/logits_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tern::client {

static_assert(std::endian::native == std::endian::little,
              "logits are written as they lie in memory");

absl::StatusOr<std::unique_ptr<LogitsFile>> LogitsFile::Create(
    const std::string& path) {
  std::string temporary = absl::StrCat(path, ".tmp.", getpid());
  std::FILE* file = std::fopen(temporary.c_str(), "wbe");
  if (file == nullptr) return absl::ErrnoToStatus(errno, temporary);
  return std::unique_ptr<LogitsFile>(
      new LogitsFile(path, std::move(temporary), file));
}

LogitsFile::LogitsFile(std::string path, std::string temporary, std::FILE* file)
    : path_(std::move(path)), temporary_(std::move(temporary)), file_(file) {}

LogitsFile::~LogitsFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::remove(temporary_.c_str());
}

void LogitsFile::Append(absl::Span<const float> logits) {
  std::fwrite(logits.data(), sizeof(float), logits.size(), file_);
}

absl::Status LogitsFile::Commit() {
  const bool written = std::fflush(file_) == 0 && std::ferror(file_) == 0 &&
                       fsync(fileno(file_)) == 0 &&
                       std::rename(temporary_.c_str(), path_.c_str()) == 0;
  if (!written) return absl::ErrnoToStatus(errno, path_);
  std::fclose(std::exchange(file_, nullptr));
  const std::string folder =
      std::filesystem::path(path_).parent_path().string();
  const int directory = open(folder.empty() ? "." : folder.c_str(),
                             O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return absl::ErrnoToStatus(errno, folder);
  const int code = fsync(directory);
  const int error = errno;
  close(directory);
  return code == 0 ? absl::OkStatus() : absl::ErrnoToStatus(error, folder);
}

}  // namespace tern::client
