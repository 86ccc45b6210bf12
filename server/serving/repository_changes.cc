// ModelRepository's uploads and removals: what changes the disk.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/serving/model_repository.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

constexpr std::size_t kDigestDigits = 64;

absl::Status CheckDigest(const std::string& digest) {
  const bool good =
      digest.size() == kDigestDigits &&
      std::all_of(digest.begin(), digest.end(),
                  [](unsigned char c) { return absl::ascii_isxdigit(c); });
  if (good) return absl::OkStatus();
  return InvalidField(
      "digest", absl::StrCat("want the file's SHA-256 as ", kDigestDigits,
                             " hex digits, got ", digest.size(), " bytes"));
}

}  // namespace

absl::Status ModelRepository::Step(std::string_view step, std::string_view what,
                                   absl::FunctionRef<int()> call) const {
  int error = options_.before_step ? options_.before_step(step) : 0;
  if (error == 0 && call() != 0) error = errno;
  if (error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(error, absl::StrCat("cannot ", std::string(step),
                                                 " ", std::string(what)));
}

std::string ModelRepository::NewIncomingName(std::string_view kind) {
  MutexLock lock(&mu_);
  return absl::StrCat(root_, "/.incoming/", std::string(kind), "-",
                      next_incoming_++);
}

absl::StatusOr<std::unique_ptr<UploadSession>> ModelRepository::StartUpload(
    UploadSpec spec) {
  TERN_RETURN_IF_ERROR(writable_);
  TERN_RETURN_IF_ERROR(CheckModelName(spec.model));
  if (spec.size == 0 || spec.size > options_.max_file_bytes) {
    return InvalidField("size",
                        absl::StrCat("want 1..", options_.max_file_bytes,
                                     " bytes, got ", spec.size));
  }
  TERN_RETURN_IF_ERROR(CheckDigest(spec.digest));
  spec.digest = absl::AsciiStrToLower(spec.digest);
  std::unique_ptr<UploadSession> session(
      new UploadSession(this, std::move(spec), NewIncomingName("upload")));
  TERN_RETURN_IF_ERROR(session->Create());
  return session;
}

absl::StatusOr<std::uint64_t> ModelRepository::LargestVersion(
    const std::string& model) const {
  std::uint64_t largest = model == bare_model_ ? 1 : 0;
  const absl::StatusOr<std::vector<std::string>> names =
      ListFolder(FolderOf(model));
  if (absl::IsNotFound(names.status())) return largest;
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    std::uint64_t version = 0;
    if (absl::SimpleAtoi(name, &version)) largest = std::max(largest, version);
  }
  return largest;
}

absl::StatusOr<PublishedVersion> ModelRepository::SameBytes(
    const UploadSpec& spec, std::uint64_t version) const {
  PublishedVersion published;
  TERN_ASSIGN_OR_RETURN(published.stored, Find(spec.model, version));
  TERN_ASSIGN_OR_RETURN(published.digest, FileDigest(published.stored.path));
  published.existed = true;
  if (published.digest == spec.digest) return published;
  return absl::AlreadyExistsError(
      absl::StrCat("model '", spec.model, "' version ", version,
                   " exists with other bytes: SHA-256 ", published.digest));
}

absl::StatusOr<PublishedVersion> ModelRepository::Publish(
    const UploadSpec& spec, const std::string& folder) {
  MutexLock lock(&mu_);
  std::uint64_t version = spec.version;
  TERN_ASSIGN_OR_RETURN(const std::uint64_t largest,
                        LargestVersion(spec.model));
  if (version == 0) {
    absl::StatusOr<PublishedVersion> newest = SameBytes(spec, largest);
    if (newest.ok()) return newest;
    if (largest == std::numeric_limits<std::uint64_t>::max()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("model '", spec.model, "' has no version number left"));
    }
    version = largest + 1;
  } else {
    absl::StatusOr<PublishedVersion> there = SameBytes(spec, version);
    if (!absl::IsNotFound(there.status())) return there;
  }
  TERN_RETURN_IF_ERROR(MoveIn(folder, spec.model, version));
  PublishedVersion published;
  TERN_ASSIGN_OR_RETURN(published.stored, Find(spec.model, version));
  published.digest = spec.digest;
  return published;
}

absl::Status ModelRepository::MoveIn(const std::string& folder,
                                     const std::string& model,
                                     std::uint64_t version) const {
  const std::string parent = FolderOf(model);
  const std::string target = absl::StrCat(parent, "/", version);
  const std::string label = absl::StrCat(model, "/", version);
  // Only an empty folder goes: no version is lost.
  absl::Cleanup remove_parent = [&] { ::rmdir(parent.c_str()); };
  bool created = false;
  TERN_RETURN_IF_ERROR(Step("create the folder of", model, [&] {
    created = ::mkdir(parent.c_str(), 0777) == 0;
    return created || errno == EEXIST ? 0 : -1;
  }));
  TERN_RETURN_IF_ERROR(ResolveInside(root_, parent).status());
  if (created) {
    TERN_RETURN_IF_ERROR(Step("sync the folder above", model,
                              [&] { return SyncFolder(root_); }));
  }
  TERN_RETURN_IF_ERROR(Step("publish", label, [&] {
    return ::rename(folder.c_str(), target.c_str());
  }));
  absl::Status status =
      Step("sync the folder of", label, [&] { return SyncFolder(parent); });
  if (!status.ok()) {
    // Nobody was told of it yet: take it back.
    ::rename(target.c_str(), folder.c_str());
    return status;
  }
  std::move(remove_parent).Cancel();
  return absl::OkStatus();
}

absl::StatusOr<StoredVersion> ModelRepository::FindToDelete(
    std::string_view model, std::uint64_t version) const {
  TERN_RETURN_IF_ERROR(writable_);
  TERN_ASSIGN_OR_RETURN(const StoredVersion stored, Find(model, version));
  if (stored.path == bare_path_) {
    return absl::FailedPreconditionError(
        absl::StrCat("model '", bare_model_, "' is the repository's own file"));
  }
  return stored;
}

absl::Status ModelRepository::Delete(std::string_view model,
                                     std::uint64_t version) {
  const std::string trash = NewIncomingName("deleted");
  const std::string label = absl::StrCat(std::string(model), "/", version);
  {
    MutexLock lock(&mu_);
    TERN_RETURN_IF_ERROR(FindToDelete(model, version).status());
    const std::string parent = FolderOf(model);
    TERN_RETURN_IF_ERROR(ResolveInside(root_, parent).status());
    TERN_RETURN_IF_ERROR(Step("remove", label, [&] {
      return ::rename(absl::StrCat(parent, "/", version).c_str(),
                      trash.c_str());
    }));
    TERN_RETURN_IF_ERROR(
        Step("sync the folder of", label, [&] { return SyncFolder(parent); }));
    if (::rmdir(parent.c_str()) == 0) SyncFolder(root_);
  }
  RemoveTree(trash);
  return absl::OkStatus();
}

}  // namespace tern::server
