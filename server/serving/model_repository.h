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
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/mutex.h"
#include "server/serving/file_util.h"
#include "server/serving/upload_session.h"

namespace tern::server {

// [a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?; INVALID_ARGUMENT names field "model".
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
  // Name of a model without a folder of its own; empty: the file's name, or
  // the folder's for a model.twn.
  std::string default_model;
  std::uint64_t max_file_bytes = std::uint64_t{1} << 30;
  // For tests of crashes and full disks: called before each step that changes
  // the disk, with the step's name. Returns 0, or the errno that the step then
  // fails with.
  std::function<int(std::string_view step)> before_step;
};

struct PublishedVersion {
  StoredVersion stored;
  std::string digest;
  // The same bytes were there already; nothing changed.
  bool existed = false;
};

class ModelRepository {
 public:
  // NOT_FOUND, FAILED_PRECONDITION say what to change. Removes leftovers.
  static absl::StatusOr<std::unique_ptr<ModelRepository>> Open(
      RepositoryOptions options);
  ModelRepository(const ModelRepository&) = delete;
  ModelRepository& operator=(const ModelRepository&) = delete;

  absl::StatusOr<ScanResult> Scan() const;
  // NOT_FOUND where there is none.
  absl::StatusOr<StoredVersion> Find(std::string_view model,
                                     std::uint64_t version) const;

  // INVALID_ARGUMENT names the field of UploadStart. FAILED_PRECONDITION: this
  // repository cannot be written (read-only, another process writes to it, or
  // it is a single file).
  absl::StatusOr<std::unique_ptr<UploadSession>> StartUpload(UploadSpec spec)
      ABSL_LOCKS_EXCLUDED(mu_);
  // What Delete would remove. NOT_FOUND where there is none;
  // FAILED_PRECONDITION where it cannot be removed.
  absl::StatusOr<StoredVersion> FindToDelete(std::string_view model,
                                             std::uint64_t version) const;
  absl::Status Delete(std::string_view model, std::uint64_t version)
      ABSL_LOCKS_EXCLUDED(mu_);

  // OK, or why uploads and deletions are refused.
  const absl::Status& writable() const { return writable_; }
  // Leftovers that Open removed from .incoming.
  int leftovers() const { return leftovers_; }

 private:
  friend class UploadSession;
  explicit ModelRepository(RepositoryOptions options);

  absl::Status OpenRoot();
  absl::Status OpenIncoming();
  absl::Status SetBare(const std::string& path, std::string name);
  std::string FolderOf(std::string_view model) const;
  absl::StatusOr<StoredVersion> Describe(std::string_view model,
                                         std::uint64_t version,
                                         const std::string& path) const;
  void ScanModel(const std::string& model, ScanResult& result) const;
  void ScanVersion(const std::string& model, const std::string& name,
                   ScanResult& result) const;

  // Makes the sealed upload folder a version.
  absl::StatusOr<PublishedVersion> Publish(const UploadSpec& spec,
                                           const std::string& folder)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The largest version number that is taken, by a model or not; 0: none.
  absl::StatusOr<std::uint64_t> LargestVersion(const std::string& model) const;
  // The version as it is, where it holds these bytes. ALREADY_EXISTS where it
  // holds others, NOT_FOUND where there is none.
  absl::StatusOr<PublishedVersion> SameBytes(const UploadSpec& spec,
                                             std::uint64_t version) const;
  absl::Status MoveIn(const std::string& folder, const std::string& model,
                      std::uint64_t version) const;
  std::string NewIncomingName(std::string_view kind) ABSL_LOCKS_EXCLUDED(mu_);

  // Runs a step that returns 0, or -1 with errno. The error reads
  // "cannot <step> <what>: ...".
  absl::Status Step(std::string_view step, std::string_view what,
                    absl::FunctionRef<int()> call) const;

  const RepositoryOptions options_;
  // Canonical path of the folder; of the file's folder for a single file.
  std::string root_;
  bool single_file_ = false;
  // Set where a file without a folder is version 1 of bare_model_.
  std::string bare_path_;
  std::string bare_model_;
  absl::Status writable_;
  int leftovers_ = 0;
  // Holds the lock on .incoming.
  FileDescriptor incoming_lock_;
  // One change of what is visible at a time.
  Mutex mu_;
  std::uint64_t next_incoming_ ABSL_GUARDED_BY(mu_) = 1;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_MODEL_REPOSITORY_H_
