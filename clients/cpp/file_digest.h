// Size and SHA-256 of a file, read in pieces. Pure, thread-safe.

#ifndef TERN_CLIENTS_CPP_FILE_DIGEST_H_
#define TERN_CLIENTS_CPP_FILE_DIGEST_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace tern::client {

struct FileDigest {
  std::uint64_t bytes = 0;
  // Lower-case hex.
  std::string sha256;
};

// NOT_FOUND, PERMISSION_DENIED and so on name the path.
absl::StatusOr<FileDigest> DigestOfFile(const std::string& path);

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_FILE_DIGEST_H_
