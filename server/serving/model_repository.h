// ModelRepository: model files on disk.
//
//   <root>/<model>/<version>/model.twn    version: decimal, 1.., no zeros ahead
//   <root>/model.twn, or <root> itself a file: version 1 of `default_model`
//   <root>/.incoming/                     uploads and removals under way
//
// A version is immutable: it appears by one rename of a complete, synced
// folder and goes by one rename, so that a crash at any instant leaves the
// old state or the new one; what a crash leaves in .incoming is removed by the
// next Open. Names are checked before they become paths, and a path that
// resolves to somewhere outside the root (symbolic links) is refused.
//
// Knows files and digests, not what is in them. Thread-safe. Everything here
// does disk I/O: not for a thread that serves requests. One process may write
// to a repository; others that open it can only read.

#ifndef TERN_SERVER_SERVING_MODEL_REPOSITORY_H_
#define TERN_SERVER_SERVING_MODEL_REPOSITORY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/mutex.h"

namespace tern::server {

// [a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?; INVALID_ARGUMENT says what is wrong.
absl::Status CheckModelName(std::string_view name);

struct StoredVersion {
  std::string model;
  std::uint64_t version = 0;
  // Absolute, all links resolved, inside the root.
  std::string path;
  std::uint64_t file_bytes = 0;
};

struct ScanResult {
  // By model, then version.
  std::vector<StoredVersion> versions;
  // What lies in the repository and is not a model, one sentence each.
  std::vector<std::string> notices;
};

struct RepositoryOptions {
  // A folder, or one .twn file. Must exist.
  std::string root;
  // Name of a model without a folder of its own; empty: the root's name.
  std::string default_model;
  std::uint64_t max_file_bytes = std::uint64_t{1} << 30;
  // For tests of crashes and full disks: called before each step that changes
  // the disk, with the step's name. Returns 0, or the errno that the step then
  // fails with.
  std::function<int(std::string_view step)> before_step;
};

struct UploadSpec {
  std::string model;
  // 0: one more than the largest there.
  std::uint64_t version = 0;
  // Of the whole file; 0 is an error.
  std::uint64_t size = 0;
  // SHA-256 of the file, 64 hex digits.
  std::string digest;
};

struct PublishedVersion {
  StoredVersion stored;
  std::string digest;
  // The same bytes were there already; nothing changed.
  bool existed = false;
};

class ModelRepository;

// One file on its way in. Destroying it before Publish removes what arrived.
// Thread-compatible. Must not outlive the repository.
class UploadSession {
 public:
  ~UploadSession();
  UploadSession(const UploadSession&) = delete;
  UploadSession& operator=(const UploadSession&) = delete;

  // INVALID_ARGUMENT past the announced size; RESOURCE_EXHAUSTED: disk full.
  // After an error the session is of no more use.
  absl::Status Append(std::string_view chunk);
  // Checks size and digest and syncs the file, which may then be read at
  // path(). INVALID_ARGUMENT: size; DATA_LOSS: digest.
  absl::Status Seal();
  // Makes the sealed file a version. ALREADY_EXISTS: the number holds other
  // bytes. A number of 0 is chosen here; bytes equal to the newest version's
  // are then that version.
  absl::StatusOr<PublishedVersion> Publish();

  const UploadSpec& spec() const { return spec_; }
  const std::string& path() const { return path_; }

 private:
  friend class ModelRepository;
  class Hasher;
  UploadSession(ModelRepository* repository, UploadSpec spec,
                std::string folder, int fd);
  // Returns the status, having removed everything.
  absl::Status Fail(absl::Status status);

  ModelRepository* const repository_;
  const UploadSpec spec_;
  std::string folder_;
  std::string path_;
  int fd_;
  std::uint64_t received_ = 0;
  bool sealed_ = false;
  std::unique_ptr<Hasher> hasher_;
};

class ModelRepository {
 public:
  // NOT_FOUND, FAILED_PRECONDITION say what to change. Removes leftovers.
  static absl::StatusOr<std::unique_ptr<ModelRepository>> Open(
      RepositoryOptions options);
  ~ModelRepository();
  ModelRepository(const ModelRepository&) = delete;
  ModelRepository& operator=(const ModelRepository&) = delete;

  absl::StatusOr<ScanResult> Scan() const ABSL_LOCKS_EXCLUDED(mu_);
  // NOT_FOUND where there is none.
  absl::StatusOr<StoredVersion> Find(std::string_view model,
                                     std::uint64_t version) const;

  // FAILED_PRECONDITION: this repository cannot be written (read-only, another
  // server writes to it, or it is a single file).
  absl::StatusOr<std::unique_ptr<UploadSession>> StartUpload(UploadSpec spec)
      ABSL_LOCKS_EXCLUDED(mu_);
  // NOT_FOUND where there is none.
  absl::Status Delete(std::string_view model, std::uint64_t version)
      ABSL_LOCKS_EXCLUDED(mu_);

  // OK, or why uploads and deletions are refused.
  const absl::Status& writable() const { return writable_; }

 private:
  friend class UploadSession;
  explicit ModelRepository(RepositoryOptions options);

  absl::Status OpenRoot();
  void OpenIncoming();
  absl::StatusOr<StoredVersion> Describe(std::string_view model,
                                         std::uint64_t version,
                                         const std::string& path) const;
  absl::StatusOr<std::vector<StoredVersion>> VersionsOf(
      std::string_view model, std::vector<std::string>* notices) const;
  absl::StatusOr<PublishedVersion> Publish(const UploadSpec& spec,
                                           const std::string& folder)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The errno that a test wants the step to fail with, else 0.
  int Step(std::string_view step) const;

  const RepositoryOptions options_;
  // Canonical path of the folder; of the file's folder for a single file.
  std::string root_;
  // Set where a file at the top is version 1 of bare_model_.
  std::string bare_path_;
  std::string bare_model_;
  absl::Status writable_;
  // Holds the lock on .incoming; -1 where not writable.
  int lock_fd_ = -1;
  // One change of what is visible at a time.
  mutable Mutex mu_;
  std::uint64_t next_incoming_ ABSL_GUARDED_BY(mu_) = 1;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_MODEL_REPOSITORY_H_
