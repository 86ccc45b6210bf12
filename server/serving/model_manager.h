// ModelManager: which versions are loaded, and the way to them by name.
//
// Models load on threads of their own at low priority: read, golden test,
// warm-up (which also measures the cost of a picture), then one atomic switch;
// only then is the version that it replaces unloaded, and only when its last
// request is done. A bad file leaves the old version serving and other models
// alone.
//
// Thread-safe. Get and List never block for long; the others wait for disk and
// loading threads: never call them on a completion queue's thread.

#ifndef TERN_SERVER_SERVING_MODEL_MANAGER_H_
#define TERN_SERVER_SERVING_MODEL_MANAGER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/batching/batcher.h"
#include "server/clock.h"
#include "server/serving/executor_pool.h"
#include "server/serving/model_repository.h"
#include "server/serving/model_state.h"
#include "server/serving/servable.h"
#include "server/serving/serving_observer.h"
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

struct ManagerOptions {
  VersionPolicy policy;
  QueueOptions queue;
  LoadOptions load;
  // Threads that load, at least 1.
  int load_threads = 1;
};

// A model by name; neither version nor alias: the newest that is ready.
struct ModelChoice {
  std::string name;
  std::optional<std::uint64_t> version;
  std::optional<std::string> alias;
};

struct UploadResult {
  std::string model;
  std::uint64_t version = 0;
  std::string digest;
  bool existed = false;
};

// A model on its way in. Thread-compatible; must not outlive the manager.
// Destroying it before Finish leaves nothing behind.
class ModelUpload {
 public:
  virtual ~ModelUpload() = default;
  virtual absl::Status Append(std::string_view chunk) = 0;
  // Checks size, digest and golden test, makes it a version, and unless
  // store_only returns when it is ready.
  virtual absl::StatusOr<UploadResult> Finish() = 0;
};

class ModelManager {
 public:
  // All arguments are kept and must outlive the manager.
  ModelManager(const ManagerOptions& options, ModelRepository* repository,
               const KernelTable* kernels, Batcher* batcher,
               ExecutorPool* executors, Clock* clock,
               ServingObserver* observer);
  // Unloads everything: all handles must be gone, or go soon.
  ~ModelManager();
  ModelManager(const ModelManager&) = delete;
  ModelManager& operator=(const ModelManager&) = delete;

  // Scans the repository and loads what the policy wants; returns when each is
  // ready or has failed. An error only where the repository cannot be read.
  absl::Status Start();

  // NOT_FOUND: no such model, version or alias, or not loaded. UNAVAILABLE:
  // loading, or it failed to load (says why).
  absl::StatusOr<ServableHandle> Get(const ModelChoice& choice) const;

  // By model, then version; all models where `model` is empty. NOT_FOUND: no
  // such model.
  absl::StatusOr<std::vector<VersionStatus>> List(std::string_view model) const;
  absl::StatusOr<VersionStatus> Status(std::string_view model,
                                       std::uint64_t version) const;

  // Loads a version of the repository and keeps it loaded whatever the policy
  // says. Version 0: the newest. OK: it is ready. Tries again what failed.
  absl::StatusOr<VersionStatus> Load(std::string_view model,
                                     std::uint64_t version);
  // Returns when the last request is done and the memory is free. The policy
  // does not load it again until Load. NOT_FOUND where it is not loaded.
  absl::Status Unload(std::string_view model, std::uint64_t version);
  // Unloads and removes the file.
  absl::Status Delete(std::string_view model, std::uint64_t version);

  absl::StatusOr<std::unique_ptr<ModelUpload>> StartUpload(UploadSpec spec,
                                                           bool store_only);

  // Get, uploads and changes are refused from now on (UNAVAILABLE).
  void StartDraining();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_MODEL_MANAGER_H_
