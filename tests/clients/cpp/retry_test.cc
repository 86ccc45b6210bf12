#include "clients/cpp/retry.h"

#include <gtest/gtest.h>

#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace tern::client {
namespace {

using absl::Milliseconds;
using absl::Seconds;

template <typename Detail>
grpc::Status With(grpc::StatusCode code, const Detail& detail) {
  google::rpc::Status details;
  details.add_details()->PackFrom(detail);
  return {code, "busy", details.SerializeAsString()};
}

grpc::Status PushBackBy(grpc::StatusCode code, int seconds, int nanos) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(seconds);
  info.mutable_retry_delay()->set_nanos(nanos);
  return With(code, info);
}

const grpc::Status kUnavailable(grpc::StatusCode::UNAVAILABLE, "down");

TEST(RetryTest, WaitsAsLongAsTheServerSaysAndUpToAQuarterMore) {
  const grpc::Status status =
      PushBackBy(grpc::StatusCode::RESOURCE_EXHAUSTED, 1, 500'000'000);
  for (const Repeat repeat : {Repeat::kHarmless, Repeat::kIfPushedBack}) {
    EXPECT_EQ(RetryDelay(status, 1, repeat, Seconds(9), 0), Milliseconds(1500));
    EXPECT_EQ(RetryDelay(status, 7, repeat, Seconds(9), 0.5),
              Milliseconds(1687.5));
  }
}

TEST(RetryTest, DoublesItsOwnWaitUpToTwoSeconds) {
  const int expected[] = {50, 100, 200, 400, 800, 1600, 2000, 2000};
  for (int attempt = 1; attempt <= 8; ++attempt) {
    EXPECT_EQ(
        RetryDelay(kUnavailable, attempt, Repeat::kHarmless, Seconds(9), 0),
        Milliseconds(expected[attempt - 1]));
  }
  EXPECT_EQ(
      RetryDelay(kUnavailable, 1'000'000, Repeat::kHarmless, Seconds(9), 0.5),
      Milliseconds(1500));
}

TEST(RetryTest, NeverPastTheDeadline) {
  EXPECT_FALSE(
      RetryDelay(kUnavailable, 1, Repeat::kHarmless, Milliseconds(50), 0));
  EXPECT_TRUE(
      RetryDelay(kUnavailable, 1, Repeat::kHarmless, Milliseconds(51), 0));
}

TEST(RetryTest, RepeatsOnlyWhatIsHarmless) {
  EXPECT_FALSE(
      RetryDelay(kUnavailable, 1, Repeat::kIfPushedBack, Seconds(9), 0));
  // Without advice this is a message over the size limit as well, which no
  // repetition cures.
  EXPECT_FALSE(RetryDelay({grpc::StatusCode::RESOURCE_EXHAUSTED, "too large"},
                          1, Repeat::kHarmless, Seconds(9), 0));
  for (int code = 1; code <= 16; ++code) {
    if (code == grpc::StatusCode::UNAVAILABLE ||
        code == grpc::StatusCode::RESOURCE_EXHAUSTED) {
      continue;
    }
    const auto status = static_cast<grpc::StatusCode>(code);
    EXPECT_FALSE(RetryDelay(PushBackBy(status, 0, 1), 1, Repeat::kHarmless,
                            Seconds(9), 0))
        << code;
  }
}

TEST(RetryTest, MeaninglessAdviceIsNone) {
  const grpc::Status garbage(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy",
                             "\xff\xff not a status");
  EXPECT_FALSE(PushedBack(garbage));
  EXPECT_EQ(PushedBack(PushBackBy(grpc::StatusCode::UNAVAILABLE, -5, 0)),
            absl::ZeroDuration());
}

TEST(RetryTest, ErrorsNameTheFields) {
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_field("top_k");
  bad.mutable_field_violations(0)->set_description("want <= 10, got 11");
  const absl::Status status =
      ToAbslStatus(With(grpc::StatusCode::INVALID_ARGUMENT, bad));
  EXPECT_EQ(status,
            absl::InvalidArgumentError("busy; top_k: want <= 10, got 11"));
  // Once is enough.
  grpc::Status named = With(grpc::StatusCode::INVALID_ARGUMENT, bad);
  named = {named.error_code(), "top_k: too many", named.error_details()};
  EXPECT_EQ(ToAbslStatus(named).message(), "top_k: too many");
}

}  // namespace
}  // namespace tern::client
