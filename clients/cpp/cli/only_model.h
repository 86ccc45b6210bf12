// The model that is meant where a command line names none: the only one.

#ifndef TERN_CLIENTS_CPP_CLI_ONLY_MODEL_H_
#define TERN_CLIENTS_CPP_CLI_ONLY_MODEL_H_

#include "absl/status/status.h"
#include "clients/cpp/cli/commands.h"
#include "clients/cpp/tern_client.h"

namespace tern::client {

// Fills an empty name->model with the one model of which a version is ready.
// FAILED_PRECONDITION where there is none, INVALID_ARGUMENT, with their names,
// where there are several.
absl::Status FillInModel(Client* client, ModelName* name);

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_CLI_ONLY_MODEL_H_
