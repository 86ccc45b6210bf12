#include "server/serving/model_repository.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/status_macros.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

constexpr std::size_t kMaxNameBytes = 63;
constexpr char kFileName[] = "model.twn";

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// The number a folder's name stands for; 0 where it is none.
std::uint64_t VersionOfName(const std::string& name) {
  std::uint64_t version = 0;
  const bool number = absl::SimpleAtoi(name, &version);
  return number && absl::StrCat(version) == name ? version : 0;
}

bool IsFolder(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool Exists(const std::string& path) {
  struct stat info = {};
  return ::lstat(path.c_str(), &info) == 0;
}

std::string Label(std::string_view model, std::uint64_t version) {
  return absl::StrCat(std::string(model), "/", version);
}

}  // namespace

absl::Status CheckModelName(std::string_view name) {
  bool good = !name.empty() && name.size() <= kMaxNameBytes &&
              IsAlphanumeric(name.front()) && IsAlphanumeric(name.back());
  for (const char c : name) {
    good = good && (IsAlphanumeric(c) || c == '.' || c == '_' || c == '-');
  }
  if (good) return absl::OkStatus();
  return InvalidField(
      "model", absl::StrCat("want 1..", kMaxNameBytes,
                            " characters of a-z, 0-9, '.', '_' and '-', first "
                            "and last a letter or digit, got '",
                            std::string(name.substr(0, kMaxNameBytes)), "'"));
}

ModelRepository::ModelRepository(RepositoryOptions options)
    : options_(std::move(options)) {}

absl::StatusOr<std::unique_ptr<ModelRepository>> ModelRepository::Open(
    RepositoryOptions options) {
  std::unique_ptr<ModelRepository> repository(
      new ModelRepository(std::move(options)));
  TERN_RETURN_IF_ERROR(repository->OpenRoot());
  repository->writable_ = repository->OpenIncoming();
  return repository;
}

absl::Status ModelRepository::OpenRoot() {
  const std::unique_ptr<char, void (*)(void*)> resolved(
      ::realpath(options_.root.c_str(), nullptr), std::free);
  if (resolved == nullptr) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("model repository ", options_.root));
  }
  const std::filesystem::path root(resolved.get());
  if (IsFolder(root)) {
    root_ = root;
    const std::string file = root_ + "/" + kFileName;
    return Exists(file) ? SetBare(file, root.filename()) : absl::OkStatus();
  }
  single_file_ = true;
  root_ = root.parent_path();
  return SetBare(root, root.filename() == kFileName
                           ? root.parent_path().filename()
                           : root.stem());
}

absl::Status ModelRepository::SetBare(const std::string& path,
                                      std::string name) {
  if (!options_.default_model.empty()) name = options_.default_model;
  bare_path_ = path;
  bare_model_ = std::move(name);
  if (absl::Status status = CheckModelName(bare_model_); !status.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, " needs a name to be served under: ", status.message()));
  }
  return absl::OkStatus();
}

absl::Status ModelRepository::OpenIncoming() {
  if (single_file_) {
    return absl::FailedPreconditionError(
        "the model repository is a single file");
  }
  const std::string folder = root_ + "/.incoming";
  const auto refuse = [&](const char* what) {
    return absl::FailedPreconditionError(
        absl::StrCat("the model repository cannot be written: ", what, " ",
                     folder, ": ", std::generic_category().message(errno)));
  };
  if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) {
    return refuse("cannot create");
  }
  incoming_lock_ = FileDescriptor(
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!incoming_lock_.valid()) return refuse("cannot open");
  if (::flock(incoming_lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return refuse("another process holds");
  }
  TERN_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                        ListFolder(folder));
  for (const std::string& name : names) {
    RemoveTree(absl::StrCat(folder, "/", name));
  }
  leftovers_ = static_cast<int>(names.size());
  return absl::OkStatus();
}

std::string ModelRepository::FolderOf(std::string_view model) const {
  return absl::StrCat(root_, "/", std::string(model));
}

absl::StatusOr<StoredVersion> ModelRepository::Describe(
    std::string_view model, std::uint64_t version,
    const std::string& path) const {
  StoredVersion stored{std::string(model), version, {}, 0};
  TERN_ASSIGN_OR_RETURN(stored.path, ResolveInside(root_, path));
  struct stat info = {};
  if (::stat(stored.path.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, stored.path);
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is not a regular file"));
  }
  stored.file_bytes = static_cast<std::uint64_t>(info.st_size);
  return stored;
}

absl::StatusOr<StoredVersion> ModelRepository::Find(
    std::string_view model, std::uint64_t version) const {
  TERN_RETURN_IF_ERROR(CheckModelName(model));
  const std::string path =
      absl::StrCat(FolderOf(model), "/", version, "/", kFileName);
  const bool has_folder = !single_file_ && version != 0 && Exists(path);
  if (has_folder) return Describe(model, version, path);
  if (model == bare_model_ && version == 1) {
    return Describe(model, version, bare_path_);
  }
  return absl::NotFoundError(absl::StrCat("model '", std::string(model),
                                          "' has no version ", version));
}

absl::StatusOr<ScanResult> ModelRepository::Scan() const {
  ScanResult result;
  std::vector<std::string> names;
  if (!single_file_) {
    TERN_ASSIGN_OR_RETURN(names, ListFolder(root_));
  }
  bool bare_done = bare_path_.empty();
  const auto add_bare = [&] {
    bare_done = true;
    absl::StatusOr<StoredVersion> bare = Describe(bare_model_, 1, bare_path_);
    if (bare.ok()) {
      result.versions.push_back(*std::move(bare));
    } else {
      result.notices.emplace_back(bare.status().message());
    }
  };
  for (const std::string& name : names) {
    if (name.front() == '.' || name == kFileName) continue;
    if (!CheckModelName(name).ok() || !IsFolder(FolderOf(name))) {
      result.notices.push_back(
          absl::StrCat(name, " in the model repository is not a model"));
      continue;
    }
    if (!bare_done && bare_model_ <= name) {
      const bool hidden =
          Exists(absl::StrCat(FolderOf(bare_model_), "/1/", kFileName));
      if (!hidden) add_bare();
      bare_done = true;
      if (hidden) {
        result.notices.push_back(absl::StrCat(
            kFileName, " is not served: ", Label(bare_model_, 1), " exists"));
      }
    }
    ScanModel(name, result);
  }
  if (!bare_done) add_bare();
  return result;
}

void ModelRepository::ScanModel(const std::string& model,
                                ScanResult& result) const {
  const std::string folder = FolderOf(model);
  if (absl::Status status = ResolveInside(root_, folder).status();
      !status.ok()) {
    result.notices.emplace_back(status.message());
    return;
  }
  const absl::StatusOr<std::vector<std::string>> names = ListFolder(folder);
  if (!names.ok()) {
    result.notices.emplace_back(names.status().message());
    return;
  }
  const std::size_t first = result.versions.size();
  for (const std::string& name : *names) ScanVersion(model, name, result);
  std::sort(result.versions.begin() + static_cast<std::ptrdiff_t>(first),
            result.versions.end(),
            [](const auto& a, const auto& b) { return a.version < b.version; });
}

void ModelRepository::ScanVersion(const std::string& model,
                                  const std::string& name,
                                  ScanResult& result) const {
  if (name.front() == '.') return;
  const std::uint64_t version = VersionOfName(name);
  const std::string path =
      absl::StrCat(FolderOf(model), "/", name, "/", kFileName);
  if (version == 0 || !Exists(path)) {
    result.notices.push_back(absl::StrCat(
        model, "/", name, " is not a version: want <number>/", kFileName));
    return;
  }
  absl::StatusOr<StoredVersion> stored = Describe(model, version, path);
  if (stored.ok()) {
    result.versions.push_back(*std::move(stored));
  } else {
    result.notices.emplace_back(stored.status().message());
  }
}

}  // namespace tern::server
