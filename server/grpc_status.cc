#include "server/grpc_status.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/support/status_code_enum.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

template <absl::StatusCode kAbsl, grpc::StatusCode kGrpc>
constexpr bool kSameCode = static_cast<int>(kAbsl) == static_cast<int>(kGrpc);

// Both sides number the codes as google.rpc.Code does.
static_assert(kSameCode<absl::StatusCode::kOk, grpc::OK>);
static_assert(kSameCode<absl::StatusCode::kCancelled, grpc::CANCELLED>);
static_assert(kSameCode<absl::StatusCode::kUnknown, grpc::UNKNOWN>);
static_assert(
    kSameCode<absl::StatusCode::kInvalidArgument, grpc::INVALID_ARGUMENT>);
static_assert(
    kSameCode<absl::StatusCode::kDeadlineExceeded, grpc::DEADLINE_EXCEEDED>);
static_assert(kSameCode<absl::StatusCode::kNotFound, grpc::NOT_FOUND>);
static_assert(
    kSameCode<absl::StatusCode::kAlreadyExists, grpc::ALREADY_EXISTS>);
static_assert(
    kSameCode<absl::StatusCode::kPermissionDenied, grpc::PERMISSION_DENIED>);
static_assert(
    kSameCode<absl::StatusCode::kUnauthenticated, grpc::UNAUTHENTICATED>);
static_assert(
    kSameCode<absl::StatusCode::kResourceExhausted, grpc::RESOURCE_EXHAUSTED>);
static_assert(kSameCode<absl::StatusCode::kFailedPrecondition,
                        grpc::FAILED_PRECONDITION>);
static_assert(kSameCode<absl::StatusCode::kAborted, grpc::ABORTED>);
static_assert(kSameCode<absl::StatusCode::kOutOfRange, grpc::OUT_OF_RANGE>);
static_assert(kSameCode<absl::StatusCode::kUnimplemented, grpc::UNIMPLEMENTED>);
static_assert(kSameCode<absl::StatusCode::kInternal, grpc::INTERNAL>);
static_assert(kSameCode<absl::StatusCode::kUnavailable, grpc::UNAVAILABLE>);
static_assert(kSameCode<absl::StatusCode::kDataLoss, grpc::DATA_LOSS>);

// Cut to the limit; bytes outside ASCII become '?', because a message may
// quote a request and protobuf strings must be UTF-8.
std::string CleanMessage(absl::string_view message) {
  constexpr absl::string_view kCut = " ...";
  const bool cut = message.size() > kMaxStatusMessageBytes;
  std::string clean(message.substr(
      0, cut ? kMaxStatusMessageBytes - kCut.size() : kMaxStatusMessageBytes));
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  if (cut) clean.append(kCut.data(), kCut.size());
  return clean;
}

}  // namespace

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status result;
  result.set_code(static_cast<int>(status.code()));
  result.set_message(CleanMessage(status.message()));
  if (const std::string field = FieldOf(status); !field.empty()) {
    google::rpc::BadRequest bad_request;
    auto* violation = bad_request.add_field_violations();
    violation->set_field(CleanMessage(field));
    absl::string_view description = result.message();
    if (absl::StartsWith(description, field + ": ")) {
      description.remove_prefix(field.size() + 2);
    }
    violation->set_description(std::string(description));
    result.add_details()->PackFrom(bad_request);
  }
  if (const auto delay = RetryDelayOf(status)) {
    google::rpc::RetryInfo retry_info;
    retry_info.mutable_retry_delay()->set_seconds(
        std::chrono::floor<std::chrono::seconds>(*delay).count());
    retry_info.mutable_retry_delay()->set_nanos(
        static_cast<std::int32_t>((*delay % std::chrono::seconds(1)).count()));
    result.add_details()->PackFrom(retry_info);
  }
  return result;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status rpc = ToRpcStatus(status);
  return {static_cast<grpc::StatusCode>(rpc.code()), rpc.message(),
          rpc.details().empty() ? std::string() : rpc.SerializeAsString()};
}

std::string_view CodeName(absl::StatusCode code) {
  constexpr std::array<std::string_view, 17> kNames = {
      "OK",
      "CANCELLED",
      "UNKNOWN",
      "INVALID_ARGUMENT",
      "DEADLINE_EXCEEDED",
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "PERMISSION_DENIED",
      "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION",
      "ABORTED",
      "OUT_OF_RANGE",
      "UNIMPLEMENTED",
      "INTERNAL",
      "UNAVAILABLE",
      "DATA_LOSS",
      "UNAUTHENTICATED",
  };
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : kNames[2];
}

}  // namespace tern::server
