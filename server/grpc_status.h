// The border between absl::Status, which every room uses, and gRPC's status.
//
// What status_details.h attaches leaves as google.rpc details in the trailer
// grpc-status-details-bin: BadRequest (which field) and RetryInfo (when to try
// again). Pure functions, thread-safe.

#ifndef TERN_SERVER_GRPC_STATUS_H_
#define TERN_SERVER_GRPC_STATUS_H_

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

namespace tern::server {

// Longer messages are cut: trailers share the peer's header limit (8 KiB).
inline constexpr std::size_t kMaxStatusMessageBytes = 1024;

// Code, message (cut, ASCII) and details.
google::rpc::Status ToRpcStatus(const absl::Status& status);
grpc::Status ToGrpcStatus(const absl::Status& status);

// "NOT_FOUND"; numbers that gRPC does not know are "UNKNOWN".
std::string_view CodeName(absl::StatusCode code);

}  // namespace tern::server

#endif  // TERN_SERVER_GRPC_STATUS_H_
