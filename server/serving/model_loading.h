// Steps of loading a model. Slow: for loading threads. Thread-safe.

#ifndef TERN_SERVER_SERVING_MODEL_LOADING_H_
#define TERN_SERVER_SERVING_MODEL_LOADING_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/clock.h"

namespace tern::server {

// Model::LoadFile, golden test included. Errors do not name the path, which is
// nothing that a client should see.
absl::StatusOr<std::shared_ptr<const Model>> ReadModel(
    const std::string& path, const KernelTable& kernels,
    const LoadOptions& options);

// Runs black pictures through the model on this thread: brings everything into
// memory, proves that it runs, and measures. Returns the processor time of one
// picture in a batch; it does not depend on what is in the picture.
absl::StatusOr<Nanos> WarmUp(const Model& model, int max_batch);

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_MODEL_LOADING_H_
