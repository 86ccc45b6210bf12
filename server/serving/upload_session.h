// UploadSession: one model file on its way into the repository.
//
//   Append... -> Seal -> (look at path()) -> Publish
//
// Nothing is visible to others before Publish; destroying the session earlier
// removes what arrived. Thread-compatible. Must not outlive the repository
// that made it.

#ifndef TERN_SERVER_SERVING_UPLOAD_SESSION_H_
#define TERN_SERVER_SERVING_UPLOAD_SESSION_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/sha256.h"
#include "server/serving/file_util.h"

namespace tern::server {

class ModelRepository;
struct PublishedVersion;

struct UploadSpec {
  std::string model;
  // 0: one more than the largest there.
  std::uint64_t version = 0;
  // Of the whole file.
  std::uint64_t size = 0;
  // SHA-256 of the file, 64 hex digits.
  std::string digest;
};

class UploadSession {
 public:
  ~UploadSession();
  UploadSession(const UploadSession&) = delete;
  UploadSession& operator=(const UploadSession&) = delete;

  // INVALID_ARGUMENT past the announced size; RESOURCE_EXHAUSTED: disk full.
  // After an error nothing is left and every call returns that error.
  absl::Status Append(std::string_view chunk);
  // Checks size (INVALID_ARGUMENT) and digest (DATA_LOSS) and syncs the file,
  // which may then be read at path().
  absl::Status Seal();
  // Makes the sealed file a version. ALREADY_EXISTS: the number holds other
  // bytes. A number of 0 is chosen here; bytes equal to the newest version's
  // are then that version.
  absl::StatusOr<PublishedVersion> Publish();

  const UploadSpec& spec() const { return spec_; }
  const std::string& path() const { return path_; }

 private:
  friend class ModelRepository;
  UploadSession(ModelRepository* repository, UploadSpec spec,
                std::string folder);
  absl::Status Create();
  absl::Status Write(std::string_view chunk);
  absl::Status CheckAndSync();
  // Removes everything and stays with the error.
  absl::Status Fail(absl::Status status);

  ModelRepository* const repository_;
  const UploadSpec spec_;
  const std::string folder_;
  const std::string path_;
  // The error that ended the session.
  absl::Status status_;
  FileDescriptor file_;
  std::uint64_t received_ = 0;
  Sha256 sha_;
  bool sealed_ = false;
  bool published_ = false;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_UPLOAD_SESSION_H_
