#include "server/serving/serving_observer.h"

namespace tern::server {
namespace {

class NullModelObserver final : public ModelObserver {
 public:
  void Dropped(DropReason /*reason*/) override {}
  void Executed(int /*rows*/, Nanos /*duration*/) override {}
  void Queued(Nanos /*duration*/) override {}
  void Decoded(Nanos /*duration*/) override {}
};

class NullObserver final : public ServingObserver {
 public:
  std::unique_ptr<ModelObserver> ForModel(std::string_view /*model*/,
                                          std::uint64_t /*version*/) override {
    return std::make_unique<NullModelObserver>();
  }
  void StateChanged(std::string_view /*model*/, std::uint64_t /*version*/,
                    ModelState /*state*/,
                    const absl::Status& /*error*/) override {}
  void Removed(std::string_view /*model*/, std::uint64_t /*version*/) override {
  }
  void Loaded(std::string_view /*model*/, std::uint64_t /*version*/,
              Nanos /*duration*/, const absl::Status& /*result*/) override {}
  void Notice(std::string_view /*message*/) override {}
};

}  // namespace

std::unique_ptr<ServingObserver> NewNullObserver() {
  return std::make_unique<NullObserver>();
}

}  // namespace tern::server
