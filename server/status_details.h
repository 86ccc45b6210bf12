// What an absl::Status of the server carries besides code and message: which
// request field was wrong, and when to try again. The RPC layer turns them
// into google.rpc.BadRequest and google.rpc.RetryInfo.
//
// Pure functions, thread-safe.

#ifndef TERN_SERVER_STATUS_DETAILS_H_
#define TERN_SERVER_STATUS_DETAILS_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/clock.h"

namespace tern::server {

// INVALID_ARGUMENT about one field of the request, in the proto's own words
// ("images[3].raw.pixels"). The message becomes "<field>: <problem>".
absl::Status InvalidField(std::string_view field, std::string_view problem);
// Empty where the status names no field.
std::string FieldOf(const absl::Status& status);

// The same status with the advice to try again after `delay`.
absl::Status WithRetryDelay(absl::Status status, Nanos delay);
std::optional<Nanos> RetryDelayOf(const absl::Status& status);

}  // namespace tern::server

#endif  // TERN_SERVER_STATUS_DETAILS_H_
