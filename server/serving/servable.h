// Servable: one loaded model version, its queue and its counters. A handle
// (shared_ptr) keeps it loaded; the last one to go hands it to a loading
// thread, which frees it, so that no request pays for that.
//
// Thread-safe.

#ifndef TERN_SERVER_SERVING_SERVABLE_H_
#define TERN_SERVER_SERVING_SERVABLE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "server/batching/batcher.h"
#include "server/batching/model_observer.h"
#include "server/serving/executor_pool.h"

namespace tern::server {

class Servable {
 public:
  // Registers a queue with the batcher. `batcher` and `executors` must outlive
  // the servable. `cost_per_image`: predicted, on one executor.
  Servable(std::string name, std::uint64_t version,
           std::shared_ptr<const Model> model, const QueueOptions& options,
           Nanos cost_per_image, std::unique_ptr<ModelObserver> observer,
           Batcher* batcher, ExecutorPool* executors);
  ~Servable();
  Servable(const Servable&) = delete;
  Servable& operator=(const Servable&) = delete;

  const std::string& name() const { return name_; }
  std::uint64_t version() const { return version_; }
  const Model& model() const { return *model_; }
  QueueId queue() const { return queue_; }
  // At best: nothing else wants the processors.
  Nanos cost_per_image() const { return cost_per_image_; }
  ModelObserver* observer() const { return observer_.get(); }
  QueueStats stats() const { return batcher_->Stats(queue_); }

 private:
  const std::string name_;
  const std::uint64_t version_;
  const std::shared_ptr<const Model> model_;
  const Nanos cost_per_image_;
  const std::unique_ptr<ModelObserver> observer_;
  Batcher* const batcher_;
  QueueId queue_ = 0;
};

using ServableHandle = std::shared_ptr<const Servable>;

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_SERVABLE_H_
