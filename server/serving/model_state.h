// States of a model version. Values are those of tern.v1.ModelState.

#ifndef TERN_SERVER_SERVING_MODEL_STATE_H_
#define TERN_SERVER_SERVING_MODEL_STATE_H_

namespace tern::server {

enum class ModelState {
  // In the repository, not loaded.
  kUnloaded = 1,
  kLoading = 2,
  kReady = 3,
  // No longer found by name; requests under way still run.
  kUnloading = 4,
  // Loading failed; stays until loaded again or deleted.
  kFailed = 5,
};

// "UNLOADED", "LOADING", ...
const char* ModelStateName(ModelState state);

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_MODEL_STATE_H_
