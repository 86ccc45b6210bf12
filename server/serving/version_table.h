// VersionTable: every model version that the server knows, and its state. The
// ModelManager's memory: no thread, no lock, no I/O.
//
// Thread-compatible; the manager keeps it under its lock.

#ifndef TERN_SERVER_SERVING_VERSION_TABLE_H_
#define TERN_SERVER_SERVING_VERSION_TABLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/batching/batcher.h"
#include "server/serving/model_repository.h"
#include "server/serving/model_state.h"
#include "server/serving/servable.h"
#include "server/serving/version_policy.h"

namespace tern::server {

struct VersionStatus {
  std::string model;
  std::uint64_t version = 0;
  ModelState state = ModelState::kUnloaded;
  // Why it failed; OK unless kFailed.
  absl::Status error;
  // Empty and 0 until first loaded.
  std::string digest;
  std::uint64_t file_bytes = 0;
  // 0 unless loaded.
  std::uint64_t packed_bytes = 0;
  std::uint64_t float32_bytes = 0;
  // Pictures, batches since load; what waits now.
  QueueStats queue;
};

// A model by name; neither version nor alias: the newest that is ready.
struct ModelChoice {
  std::string name;
  std::optional<std::uint64_t> version;
  std::optional<std::string> alias;
};

// What the manager knows about one version.
struct VersionEntry {
  StoredVersion stored;
  ModelState state = ModelState::kUnloaded;
  absl::Status error;
  VersionRequest request = VersionRequest::kNone;
  // kReady only.
  ServableHandle servable;
  // On its way out of the repository: not to be loaded again.
  bool deleting = false;
  std::string digest;
  std::uint64_t packed_bytes = 0;
  std::uint64_t float32_bytes = 0;
};

class VersionTable {
 public:
  // The entry, made where there is none.
  VersionEntry& Add(const StoredVersion& stored);
  void Remove(const std::string& model, std::uint64_t version);
  // Null where there is none.
  VersionEntry* Find(std::string_view model, std::uint64_t version);
  // 0 where there is none.
  std::uint64_t Newest(std::string_view model) const;

  // INVALID_ARGUMENT, NOT_FOUND, UNAVAILABLE as ModelManager::Get.
  absl::StatusOr<ServableHandle> Resolve(const ModelChoice& choice) const;
  // What NextAction needs; without versions that are being deleted.
  std::vector<VersionInfo> Infos(std::string_view model) const;

  void ForEach(const std::function<void(VersionEntry&)>& call);
  bool HasModel(std::string_view model) const;

 private:
  using Versions = std::map<std::uint64_t, VersionEntry>;
  std::map<std::string, Versions, std::less<>> models_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_VERSION_TABLE_H_
