// When a failed call is tried again, and what its error says.
//
// A call is tried again when
//   - the server pushed it back: its status carries google.rpc.RetryInfo (in
//     the trailer grpc-status-details-bin). The wait is what it says, plus up
//     to a quarter, so that clients refused together do not return together;
//   - it may be repeated without harm and the status is UNAVAILABLE. The wait
//     doubles from 50 ms to 2 s, less up to a half.
// It is not when the wait would pass the deadline: the error at hand is worth
// more than DEADLINE_EXCEEDED.
//
// Pure functions, thread-safe.

#ifndef TERN_CLIENTS_CPP_RETRY_H_
#define TERN_CLIENTS_CPP_RETRY_H_

#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tern::client {

enum class Repeat {
  // A repetition changes nothing that the first attempt has not.
  kHarmless,
  // Only where the server says that the first attempt did nothing.
  kIfPushedBack,
};

// The wait that the server asked for.
std::optional<absl::Duration> PushedBack(const grpc::Status& status);

// How long to wait after attempt number `attempt` (from 1) failed with
// `status`; nothing: do not try again. `left` until the deadline; `jitter` in
// [0, 1).
std::optional<absl::Duration> RetryDelay(const grpc::Status& status,
                                         int attempt, Repeat repeat,
                                         absl::Duration left, double jitter);

// The same code and message; field violations of google.rpc.BadRequest that
// the message does not name already are added.
absl::Status ToAbslStatus(const grpc::Status& status);

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_RETRY_H_
