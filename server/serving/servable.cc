#include "server/serving/servable.h"

#include <utility>

namespace tern::server {

Servable::Servable(std::string name, std::uint64_t version,
                   std::shared_ptr<const Model> model,
                   const QueueOptions& options, Nanos cost_per_image,
                   std::unique_ptr<ModelObserver> observer, Batcher* batcher,
                   ExecutorPool* executors)
    : name_(std::move(name)),
      version_(version),
      model_(std::move(model)),
      cost_per_image_(cost_per_image),
      observer_(std::move(observer)),
      batcher_(batcher) {
  // Every task of the queue holds a handle, so the model outlives each run.
  const Model* const served = model_.get();
  queue_ = batcher_->AddQueue(
      options,
      [executors, served](int executor, absl::Span<const Row> rows) {
        return executors->Run(executor, *served, rows);
      },
      observer_.get());
}

Servable::~Servable() { batcher_->RemoveQueue(queue_); }

}  // namespace tern::server
