#include "server/status_details.h"

#include <chrono>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tern::server {
namespace {

TEST(StatusDetails, InvalidFieldNamesTheFieldInMessageAndPayload) {
  const absl::Status status =
      InvalidField("images[3].raw.pixels", "want 784 bytes, got 10");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "images[3].raw.pixels: want 784 bytes, got 10");
  EXPECT_EQ(FieldOf(status), "images[3].raw.pixels");
  EXPECT_FALSE(RetryDelayOf(status).has_value());
}

TEST(StatusDetails, RetryDelayTravelsWithTheStatus) {
  const absl::Status status = WithRetryDelay(
      absl::ResourceExhaustedError("full"), std::chrono::milliseconds(12));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryDelayOf(status), Nanos(12'000'000));
  EXPECT_EQ(FieldOf(status), "");
}

TEST(StatusDetails, PlainStatusesCarryNothing) {
  EXPECT_EQ(FieldOf(absl::OkStatus()), "");
  EXPECT_EQ(RetryDelayOf(absl::UnavailableError("x")), std::nullopt);
}

}  // namespace
}  // namespace tern::server
