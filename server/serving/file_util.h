// The few file operations that the repository needs, with errors that name the
// file. Thread-safe.

#ifndef TERN_SERVER_SERVING_FILE_UTIL_H_
#define TERN_SERVER_SERVING_FILE_UTIL_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tern::server {

// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { Close(); }
  FileDescriptor(FileDescriptor&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // 0, or -1 with errno, as close(2).
  int Close();

 private:
  int fd_ = -1;
};

// Makes the names in a folder durable. 0, or -1 with errno.
int SyncFolder(const std::string& path);

// Names in a folder but "." and "..", sorted.
absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& path);

// The path with all links resolved. PERMISSION_DENIED where that is not inside
// the folder `root` (resolved itself).
absl::StatusOr<std::string> ResolveInside(const std::string& root,
                                          const std::string& path);

// SHA-256 of a file, lower-case hex.
absl::StatusOr<std::string> FileDigest(const std::string& path);

// Removes a file or a folder with all that is in it; links are removed, not
// followed. Best effort.
void RemoveTree(const std::string& path);

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_FILE_UTIL_H_
