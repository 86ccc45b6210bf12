#include "server/grpc_status.h"

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(GrpcStatusTest, EveryCodeKeepsNumberAndMessage) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    const grpc::Status out = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(out.error_code()), code);
    EXPECT_EQ(out.error_message(), "why");
    EXPECT_EQ(std::string(CodeName(status.code())),
              absl::StatusCodeToString(status.code()));
  }
}

TEST(GrpcStatusTest, OkHasNoMessage) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_EQ(CodeName(absl::StatusCode::kOk), "OK");
}

TEST(GrpcStatusTest, PlainErrorsCarryNoDetails) {
  EXPECT_EQ(ToGrpcStatus(absl::NotFoundError("no")).error_details(), "");
}

TEST(GrpcStatusTest, FieldsBecomeBadRequest) {
  const grpc::Status out =
      ToGrpcStatus(InvalidField("images[3].raw", "want 784 bytes, got 5"));
  EXPECT_EQ(out.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(out.error_message(), "images[3].raw: want 784 bytes, got 5");
  const google::rpc::Status details = Details(out);
  EXPECT_EQ(details.code(), 3);
  EXPECT_EQ(details.message(), out.error_message());
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::BadRequest bad_request;
  ASSERT_TRUE(details.details(0).UnpackTo(&bad_request));
  ASSERT_EQ(bad_request.field_violations_size(), 1);
  EXPECT_EQ(bad_request.field_violations(0).field(), "images[3].raw");
  EXPECT_EQ(bad_request.field_violations(0).description(),
            "want 784 bytes, got 5");
}

TEST(GrpcStatusTest, RetryDelaysBecomeRetryInfo) {
  const grpc::Status out = ToGrpcStatus(WithRetryDelay(
      absl::ResourceExhaustedError("full"), std::chrono::milliseconds(1250)));
  const google::rpc::Status details = Details(out);
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::RetryInfo retry_info;
  ASSERT_TRUE(details.details(0).UnpackTo(&retry_info));
  EXPECT_EQ(retry_info.retry_delay().seconds(), 1);
  EXPECT_EQ(retry_info.retry_delay().nanos(), 250'000'000);
}

TEST(GrpcStatusTest, CutsLongMessagesAndSaysSo) {
  const grpc::Status exact = ToGrpcStatus(
      absl::InternalError(std::string(kMaxStatusMessageBytes, 'x')));
  EXPECT_EQ(exact.error_message(), std::string(kMaxStatusMessageBytes, 'x'));
  const grpc::Status cut = ToGrpcStatus(
      absl::InternalError(std::string(kMaxStatusMessageBytes + 1, 'x')));
  EXPECT_EQ(cut.error_message().size(), kMaxStatusMessageBytes);
  EXPECT_THAT(cut.error_message(), ::testing::EndsWith("x ..."));
}

TEST(GrpcStatusTest, BytesThatAreNotAsciiCannotBreakTheTrailers) {
  const google::rpc::Status out =
      ToRpcStatus(InvalidField("na\xffme", "got '\xc3\x28'"));
  EXPECT_EQ(out.message(), "na?me: got '?('");
  EXPECT_FALSE(out.SerializeAsString().empty());
}

}  // namespace
}  // namespace tern::server
