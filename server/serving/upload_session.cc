#include "server/serving/upload_session.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/serving/model_repository.h"
#include "server/status_details.h"

namespace tern::server {

UploadSession::UploadSession(ModelRepository* repository, UploadSpec spec,
                             std::string folder)
    : repository_(repository),
      spec_(std::move(spec)),
      folder_(std::move(folder)),
      path_(folder_ + "/model.twn") {}

UploadSession::~UploadSession() {
  if (!published_) RemoveTree(folder_);
}

absl::Status UploadSession::Fail(absl::Status status) {
  file_.Close();
  RemoveTree(folder_);
  status_ = std::move(status);
  return status_;
}

absl::Status UploadSession::Create() {
  absl::Status status =
      repository_->Step("create the upload folder for", spec_.model,
                        [&] { return ::mkdir(folder_.c_str(), 0777); });
  if (!status.ok()) return Fail(std::move(status));
  status = repository_->Step("create the upload file for", spec_.model, [&] {
    file_ = FileDescriptor(
        ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    return file_.valid() ? 0 : -1;
  });
  return status.ok() ? status : Fail(std::move(status));
}

absl::Status UploadSession::Append(std::string_view chunk) {
  TERN_RETURN_IF_ERROR(status_);
  TERN_CHECK(!sealed_);
  if (chunk.size() > spec_.size - received_) {
    return Fail(InvalidField(
        "chunk",
        absl::StrCat("more bytes than the announced size of ", spec_.size)));
  }
  if (absl::Status status = Write(chunk); !status.ok()) {
    return Fail(std::move(status));
  }
  sha_.Update(chunk.data(), chunk.size());
  received_ += chunk.size();
  return absl::OkStatus();
}

absl::Status UploadSession::Write(std::string_view chunk) {
  while (!chunk.empty()) {
    TERN_RETURN_IF_ERROR(
        repository_->Step("write the upload of", spec_.model, [&] {
          const ssize_t written =
              ::write(file_.get(), chunk.data(), chunk.size());
          if (written < 0) return errno == EINTR ? 0 : -1;
          chunk.remove_prefix(static_cast<std::size_t>(written));
          return 0;
        }));
  }
  return absl::OkStatus();
}

absl::Status UploadSession::Seal() {
  TERN_RETURN_IF_ERROR(status_);
  TERN_CHECK(!sealed_);
  if (absl::Status status = CheckAndSync(); !status.ok()) {
    return Fail(std::move(status));
  }
  sealed_ = true;
  return absl::OkStatus();
}

absl::Status UploadSession::CheckAndSync() {
  if (received_ != spec_.size) {
    return InvalidField(
        "chunk", absl::StrCat("the upload ended after ", received_, " of ",
                              spec_.size, " bytes"));
  }
  const std::string digest = Sha256::Hex(sha_.Finish());
  if (digest != spec_.digest) {
    return absl::DataLossError(absl::StrCat("the uploaded bytes have SHA-256 ",
                                            digest, ", announced was ",
                                            spec_.digest));
  }
  TERN_RETURN_IF_ERROR(repository_->Step("sync the upload of", spec_.model,
                                         [&] { return ::fsync(file_.get()); }));
  TERN_RETURN_IF_ERROR(repository_->Step("close the upload of", spec_.model,
                                         [&] { return file_.Close(); }));
  return repository_->Step("sync the upload folder of", spec_.model,
                           [&] { return SyncFolder(folder_); });
}

absl::StatusOr<PublishedVersion> UploadSession::Publish() {
  TERN_RETURN_IF_ERROR(status_);
  TERN_CHECK(sealed_ && !published_);
  absl::StatusOr<PublishedVersion> published =
      repository_->Publish(spec_, folder_);
  if (!published.ok()) return Fail(published.status());
  published_ = true;
  if (published->existed) RemoveTree(folder_);
  return published;
}

}  // namespace tern::server
