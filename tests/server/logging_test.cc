#include "server/logging.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace tern::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

class LoggingTest : public ::testing::Test {
 protected:
  ~LoggingTest() override { InitLogging("text", "info").IgnoreError(); }
};

TEST_F(LoggingTest, TextIsOneLineWithTimeAndLevel) {
  ASSERT_TRUE(InitLogging("text", "info").ok());
  CaptureStderr();
  LogInfo("loaded {}\nversion {}", "shoes", 2);
  EXPECT_THAT(GetCapturedStderr(),
              MatchesRegex("20[0-9-]+T[0-9:]+\\.[0-9]+Z info loaded shoes "
                           "version 2\n"));
}

TEST_F(LoggingTest, JsonLinesParseWhateverTheMessage) {
  ASSERT_TRUE(InitLogging("json", "info").ok());
  CaptureStderr();
  LogWarn("a \"quote\", a \\, a\nnewline and \xff");
  const auto line = nlohmann::json::parse(GetCapturedStderr());
  EXPECT_EQ(line["level"], "warning");
  EXPECT_THAT(line["message"].get<std::string>(),
              HasSubstr("a \"quote\", a \\, a\nnewline and "));
  EXPECT_THAT(line["time"].get<std::string>(), EndsWith("Z"));
  EXPECT_FALSE(line.contains("request"));
}

TEST_F(LoggingTest, LinesCarryTheRequest) {
  ASSERT_TRUE(InitLogging("json", "info").ok());
  CaptureStderr();
  {
    const ScopedRequestId id("a\"17");
    LogInfo("inside");
  }
  LogInfo("outside");
  const std::string lines = GetCapturedStderr();
  const auto first = nlohmann::json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_EQ(first["request"], "a\"17");
  EXPECT_THAT(lines.substr(lines.find('\n')),
              ::testing::Not(HasSubstr("request")));
}

TEST_F(LoggingTest, LevelsFilter) {
  ASSERT_TRUE(InitLogging("text", "error").ok());
  EXPECT_FALSE(LogsDebug());
  CaptureStderr();
  LogInfo("no");
  LogWarn("no");
  LogError("yes");
  EXPECT_THAT(GetCapturedStderr(), EndsWith("error yes\n"));
}

TEST_F(LoggingTest, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(std::string(InitLogging("xml", "info").message()),
              "log_format: want text or json, got 'xml'");
  EXPECT_THAT(std::string(InitLogging("text", "loud").message()),
              HasSubstr("log_level: want debug, info, warn, error or off, got "
                        "'loud'"));
}

}  // namespace
}  // namespace tern::server
