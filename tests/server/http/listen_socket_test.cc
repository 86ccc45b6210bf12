#include "server/http/listen_socket.h"

#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tern::server {
namespace {

using ::testing::HasSubstr;

TEST(HostPortTest, Parses) {
  const auto v4 = ParseHostPort("127.0.0.1:8500");
  ASSERT_TRUE(v4.ok());
  EXPECT_EQ(v4->host, "127.0.0.1");
  EXPECT_EQ(v4->port, 8500);
  const auto v6 = ParseHostPort("[::1]:0");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 0);
}

TEST(HostPortTest, SaysWhatIsWrong) {
  const struct {
    const char* address;
    const char* why;
  } cases[] = {
      {"", "no port"},         {"localhost", "no port"},
      {":80", "no host"},      {"::1:80", "brackets"},
      {"host:", "0..65535"},   {"host:http", "0..65535"},
      {"host:-1", "0..65535"}, {"host:65536", "0..65535"},
  };
  for (const auto& each : cases) {
    const auto parsed = ParseHostPort(each.address);
    ASSERT_FALSE(parsed.ok()) << each.address;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(each.why));
    EXPECT_THAT(std::string(parsed.status().message()),
                HasSubstr("want HOST:PORT"));
  }
}

TEST(HostPortTest, FormatsWhatItParses) {
  EXPECT_EQ(FormatHostPort("127.0.0.1", 1), "127.0.0.1:1");
  EXPECT_EQ(FormatHostPort("::1", 2), "[::1]:2");
}

TEST(ListenTest, PortZeroTakesAFreeOneAndASecondListenerFails) {
  const auto first = Listen({"127.0.0.1", 0});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_GT(first->port, 0);
  const auto second = Listen({"127.0.0.1", first->port});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));
  close(first->fd);
}

TEST(ListenTest, ForeignAddressesAreUnavailable) {
  // TEST-NET-1: on no machine.
  const auto socket = Listen({"192.0.2.1", 0});
  EXPECT_EQ(socket.status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tern::server
