#include "server/serving/file_util.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/sha256.h"

namespace tern::server {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10;

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

int FileDescriptor::Close() {
  return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1));
}

int SyncFolder(const std::string& path) {
  const FileDescriptor folder(
      ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder.valid() ? ::fsync(folder.get()) : -1;
}

absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()),
                                                   ::closedir);
  if (folder == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot list ", path));
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  if (errno != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot list ", path));
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::string> ResolveInside(const std::string& root,
                                          const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(
      ::realpath(path.c_str(), nullptr), std::free);
  if (resolved == nullptr) return absl::ErrnoToStatus(errno, path);
  std::string result = resolved.get();
  const std::string prefix = root == "/" ? root : root + "/";
  if (!absl::StartsWith(result, prefix)) {
    return absl::PermissionDeniedError(
        absl::StrCat(path, " leads out of the model repository"));
  }
  return result;
}

absl::StatusOr<std::string> FileDigest(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return absl::ErrnoToStatus(errno, path);
  Sha256 sha;
  std::vector<char> buffer(kReadBytes);
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, path);
    if (got == 0) return Sha256::Hex(sha.Finish());
    sha.Update(buffer.data(), static_cast<std::size_t>(got));
  }
}

void RemoveTree(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

}  // namespace tern::server
