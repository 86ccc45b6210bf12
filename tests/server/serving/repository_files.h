// Shorthands for tests that put files into a repository.

#ifndef TERN_TESTS_SERVER_SERVING_REPOSITORY_FILES_H_
#define TERN_TESTS_SERVER_SERVING_REPOSITORY_FILES_H_

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "server/serving/model_repository.h"

namespace tern::server {

inline void PutFile(const std::string& path, const std::string& content) {
  std::filesystem::create_directories(
      std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string GetFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string DigestOf(const std::string& content) {
  return Sha256::Hex(Sha256::Of(content.data(), content.size()));
}

inline UploadSpec SpecOf(const std::string& model, std::uint64_t version,
                         const std::string& content) {
  return {model, version, content.size(), DigestOf(content)};
}

// A whole upload, in two pieces.
inline absl::StatusOr<PublishedVersion> Upload(ModelRepository& repository,
                                               const std::string& model,
                                               std::uint64_t version,
                                               const std::string& content) {
  TERN_ASSIGN_OR_RETURN(const auto session, repository.StartUpload(SpecOf(
                                                model, version, content)));
  const std::size_t half = content.size() / 2;
  TERN_RETURN_IF_ERROR(session->Append(content.substr(0, half)));
  TERN_RETURN_IF_ERROR(session->Append(content.substr(half)));
  TERN_RETURN_IF_ERROR(session->Seal());
  return session->Publish();
}

inline std::unique_ptr<ModelRepository> OpenRepository(
    const std::string& root,
    std::function<int(std::string_view)> before_step = nullptr,
    const std::string& default_model = "") {
  RepositoryOptions options;
  options.root = root;
  options.default_model = default_model;
  options.before_step = std::move(before_step);
  auto repository = ModelRepository::Open(options);
  TERN_CHECK(repository.ok());
  return *std::move(repository);
}

}  // namespace tern::server

#endif  // TERN_TESTS_SERVER_SERVING_REPOSITORY_FILES_H_
