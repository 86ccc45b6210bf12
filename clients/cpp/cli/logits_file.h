// Every logit of a run in one file: little-endian f32, picture by picture,
// classes in order; what `tern-trainer evaluate --dump_logits` writes too.
//
// Written under a temporary name and renamed by Commit, so that a file of
// that name is always whole. Thread-compatible.

#ifndef TERN_CLIENTS_CPP_CLI_LOGITS_FILE_H_
#define TERN_CLIENTS_CPP_CLI_LOGITS_FILE_H_

#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tern::client {

class LogitsFile {
 public:
  static absl::StatusOr<std::unique_ptr<LogitsFile>> Create(
      const std::string& path);
  // Without Commit nothing is left.
  ~LogitsFile();
  LogitsFile(const LogitsFile&) = delete;
  LogitsFile& operator=(const LogitsFile&) = delete;

  void Append(absl::Span<const float> logits);
  // Says if any Append failed.
  absl::Status Commit();

 private:
  LogitsFile(std::string path, std::string temporary, std::FILE* file);

  const std::string path_;
  const std::string temporary_;
  std::FILE* file_;
};

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_CLI_LOGITS_FILE_H_
