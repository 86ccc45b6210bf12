// ServingObserver: what happens to models, told as it happens. Metrics, logs
// and the health service implement it. Gauges (queue depth, memory) are not
// here: read them from ModelManager::List and Classifier::memory when scraped.
//
// Thread-safe, must not block for long and must not call back into the server.
// Must outlive the ModelManager.

#ifndef TERN_SERVER_SERVING_SERVING_OBSERVER_H_
#define TERN_SERVER_SERVING_SERVING_OBSERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/batching/model_observer.h"
#include "server/clock.h"
#include "server/serving/model_state.h"

namespace tern::server {

class ServingObserver {
 public:
  virtual ~ServingObserver() = default;

  // For the requests of a version that is about to be ready; destroyed when it
  // is unloaded. Never null.
  virtual std::unique_ptr<ModelObserver> ForModel(std::string_view model,
                                                  std::uint64_t version) = 0;
  // In order for one version. `error` is OK unless `state` is kFailed.
  virtual void StateChanged(std::string_view model, std::uint64_t version,
                            ModelState state, const absl::Status& error) = 0;
  // The version is gone from the repository.
  virtual void Removed(std::string_view model, std::uint64_t version) = 0;
  // A load ended: golden test and warm-up included.
  virtual void Loaded(std::string_view model, std::uint64_t version,
                      Nanos duration, const absl::Status& result) = 0;
  // Something an operator should know and nobody asked for: a stray file in
  // the repository, leftovers removed.
  virtual void Notice(std::string_view message) = 0;
};

// Does nothing.
std::unique_ptr<ServingObserver> NewNullObserver();

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_SERVING_OBSERVER_H_
