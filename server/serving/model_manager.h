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
#include "server/serving/version_table.h"

namespace tern::server {

struct ManagerOptions {
  VersionPolicy policy;
  QueueOptions queue;
  LoadOptions load;
  // Threads that load, at least 1.
  int load_threads = 1;
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

class ModelLifecycle;

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

  // INVALID_ARGUMENT: no name. NOT_FOUND: no such model, version or alias, or
  // not loaded. UNAVAILABLE: loading, or it failed to load (says why).
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
  // does not load it again until Load. NOT_FOUND where it is not loaded. The
  // version must be given.
  absl::Status Unload(std::string_view model, std::uint64_t version);
  // Unloads and removes the file. The version must be given.
  absl::Status Delete(std::string_view model, std::uint64_t version);

  absl::StatusOr<std::unique_ptr<ModelUpload>> StartUpload(UploadSpec spec,
                                                           bool store_only);

  // Get, uploads and changes are refused from now on (UNAVAILABLE).
  void StartDraining();

 private:
  std::unique_ptr<ModelLifecycle> lifecycle_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_MODEL_MANAGER_H_
