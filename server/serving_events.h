// ServingEvents: passes what happens to models on to log, metrics and health.
//
// Thread-safe. Both must outlive it.

#ifndef TERN_SERVER_SERVING_EVENTS_H_
#define TERN_SERVER_SERVING_EVENTS_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "server/health_service.h"
#include "server/metrics.h"
#include "server/serving/serving_observer.h"

namespace tern::server {

class ServingEvents final : public ServingObserver {
 public:
  ServingEvents(Metrics* metrics, HealthService* health);

  std::unique_ptr<ModelObserver> ForModel(std::string_view model,
                                          std::uint64_t version) override;
  void StateChanged(std::string_view model, std::uint64_t version,
                    ModelState state, const absl::Status& error) override;
  void Removed(std::string_view model, std::uint64_t version) override;
  void Loaded(std::string_view model, std::uint64_t version, Nanos duration,
              const absl::Status& result) override;
  void Notice(std::string_view message) override;

 private:
  Metrics* const metrics_;
  HealthService* const health_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_EVENTS_H_
