// ModelLifecycle: moves versions between their states; what ModelManager's
// calls are made of.
//
//   UNLOADED or FAILED -> LOADING -> READY -> UNLOADING -> UNLOADED
//
// Loading and freeing run on a pool of low priority; each end of one asks the
// version policy what comes next. Thread-safe.

#ifndef TERN_SERVER_SERVING_MODEL_LIFECYCLE_H_
#define TERN_SERVER_SERVING_MODEL_LIFECYCLE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/mutex.h"
#include "server/serving/job_pool.h"
#include "server/serving/model_manager.h"
#include "server/serving/version_table.h"

namespace tern::server {

class ModelLifecycle {
 public:
  // The arguments of ModelManager.
  struct Parts {
    ManagerOptions options;
    ModelRepository* repository;
    const KernelTable* kernels;
    Batcher* batcher;
    ExecutorPool* executors;
    Clock* clock;
    ServingObserver* observer;
  };

  explicit ModelLifecycle(Parts parts);
  ~ModelLifecycle();
  ModelLifecycle(const ModelLifecycle&) = delete;
  ModelLifecycle& operator=(const ModelLifecycle&) = delete;

  const Parts& parts() const { return parts_; }
  void StartDraining() ABSL_LOCKS_EXCLUDED(mu_);
  // UNAVAILABLE while draining.
  absl::Status CheckServing() const ABSL_LOCKS_EXCLUDED(mu_);

  absl::StatusOr<ServableHandle> Resolve(const ModelChoice& choice) const
      ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<VersionStatus> Statuses(
      const std::function<bool(const VersionEntry&)>& wanted)
      ABSL_LOCKS_EXCLUDED(mu_);
  bool HasModel(std::string_view model) const ABSL_LOCKS_EXCLUDED(mu_);
  // 0 where there is none.
  std::uint64_t Newest(std::string_view model) const ABSL_LOCKS_EXCLUDED(mu_);

  // Makes the versions known, unless they are.
  void Add(const std::vector<StoredVersion>& stored) ABSL_LOCKS_EXCLUDED(mu_);
  // Starts what the policy wants of every model and waits for it.
  void ApplyPolicyAndWait() ABSL_LOCKS_EXCLUDED(mu_);
  // Loads a known version, from memory where `model` is given, and waits.
  // `request` is what policy decisions see from now on.
  absl::Status Load(const std::string& model, std::uint64_t version,
                    VersionRequest request, std::shared_ptr<const Model> loaded)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Notes a request without acting on it.
  void SetRequest(const std::string& model, std::uint64_t version,
                  VersionRequest request) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Unload(const std::string& model, std::uint64_t version)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Unloads for good; the version cannot be loaded until FinishDelete.
  absl::Status BeginDelete(const std::string& model, std::uint64_t version)
      ABSL_LOCKS_EXCLUDED(mu_);
  void FinishDelete(const std::string& model, std::uint64_t version,
                    bool removed) ABSL_LOCKS_EXCLUDED(mu_);

  absl::StatusOr<std::shared_ptr<const Model>> ReadOnLoader(
      const std::string& path);

 private:
  void SetState(VersionEntry& entry, ModelState state, absl::Status error)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ApplyPolicy(const std::string& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartLoad(VersionEntry& entry, std::shared_ptr<const Model> loaded)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartUnload(VersionEntry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The entry once it is neither LOADING nor UNLOADING; null if it went.
  VersionEntry* WaitSettled(const std::string& model, std::uint64_t version)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // On loading threads.
  void LoadJob(const StoredVersion& stored, std::shared_ptr<const Model> model)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<ServableHandle> MakeServable(
      const StoredVersion& stored, std::shared_ptr<const Model> model);
  void Retire(const Servable* servable) ABSL_LOCKS_EXCLUDED(mu_);

  const Parts parts_;
  mutable Mutex mu_;
  CondVar changed_;
  VersionTable table_ ABSL_GUARDED_BY(mu_);
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  // Servables that have not been freed.
  int live_ ABSL_GUARDED_BY(mu_) = 0;
  JobPool loaders_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_MODEL_LIFECYCLE_H_
