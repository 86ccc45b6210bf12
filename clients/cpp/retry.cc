#include "clients/cpp/retry.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace tern::client {
namespace {

constexpr absl::Duration kFirstDelay = absl::Milliseconds(50);
constexpr absl::Duration kLongestDelay = absl::Seconds(2);

static_assert(static_cast<int>(absl::StatusCode::kUnauthenticated) ==
              static_cast<int>(grpc::StatusCode::UNAUTHENTICATED));

template <typename Detail>
std::optional<Detail> FindDetail(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return std::nullopt;
  for (const google::protobuf::Any& any : details.details()) {
    Detail detail;
    if (any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

}  // namespace

std::optional<absl::Duration> PushedBack(const grpc::Status& status) {
  if (status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED &&
      status.error_code() != grpc::StatusCode::UNAVAILABLE) {
    return std::nullopt;
  }
  const auto info = FindDetail<google::rpc::RetryInfo>(status);
  if (!info.has_value()) return std::nullopt;
  return std::max(absl::ZeroDuration(),
                  absl::Seconds(info->retry_delay().seconds()) +
                      absl::Nanoseconds(info->retry_delay().nanos()));
}

std::optional<absl::Duration> RetryDelay(const grpc::Status& status,
                                         int attempt, Repeat repeat,
                                         absl::Duration left, double jitter) {
  absl::Duration delay;
  if (const auto asked = PushedBack(status)) {
    delay = *asked * (1 + jitter / 4);
  } else if (repeat == Repeat::kHarmless &&
             status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    const int doublings = std::min(attempt - 1, 10);
    delay = std::min(kFirstDelay * (1 << doublings), kLongestDelay) *
            (1 - jitter / 2);
  } else {
    return std::nullopt;
  }
  if (delay >= left) return std::nullopt;
  return delay;
}

absl::Status ToAbslStatus(const grpc::Status& status) {
  std::string message = status.error_message();
  if (const auto bad = FindDetail<google::rpc::BadRequest>(status)) {
    for (const auto& violation : bad->field_violations()) {
      if (absl::StrContains(message, violation.field())) continue;
      absl::StrAppend(&message, message.empty() ? "" : "; ", violation.field(),
                      ": ", violation.description());
    }
  }
  return {static_cast<absl::StatusCode>(status.error_code()), message};
}

}  // namespace tern::client
