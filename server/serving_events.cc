#include "server/serving_events.h"

#include <chrono>

#include "server/logging.h"

namespace tern::server {

ServingEvents::ServingEvents(Metrics* metrics, HealthService* health)
    : metrics_(metrics), health_(health) {}

std::unique_ptr<ModelObserver> ServingEvents::ForModel(std::string_view model,
                                                       std::uint64_t version) {
  return metrics_->ForModel(model, version);
}

void ServingEvents::StateChanged(std::string_view model, std::uint64_t version,
                                 ModelState state, const absl::Status&) {
  health_->SetModelReady(model, version, state == ModelState::kReady);
  LogDebug("model {} version {}: {}", model, version, ModelStateName(state));
}

void ServingEvents::Removed(std::string_view model, std::uint64_t version) {
  health_->RemoveModel(model, version);
  metrics_->RemoveModel(model, version);
  LogInfo("model {} version {} removed", model, version);
}

void ServingEvents::Loaded(std::string_view model, std::uint64_t version,
                           Nanos duration, const absl::Status& result) {
  metrics_->OnLoaded(model, duration, result.ok());
  const double seconds = std::chrono::duration<double>(duration).count();
  if (result.ok()) {
    LogInfo("model {} version {} ready after {:.3f} s", model, version,
            seconds);
  } else {
    LogError("model {} version {} failed to load: {}", model, version,
             result.ToString());
  }
}

void ServingEvents::Notice(std::string_view message) { LogWarn("{}", message); }

}  // namespace tern::server
