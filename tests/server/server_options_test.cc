#include "server/server_options.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "engine/base/thread_pool.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tern::server {
namespace {

using ::testing::HasSubstr;
using ::testing::internal::CaptureStderr;
using ::testing::internal::CaptureStdout;
using ::testing::internal::GetCapturedStderr;
using ::testing::internal::GetCapturedStdout;

struct Parsed {
  std::optional<int> code;
  ServerOptions options;
  std::string out;
  std::string err;
};

Parsed Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "tern-server");
  Parsed parsed;
  CaptureStdout();
  CaptureStderr();
  parsed.code = ParseServerOptions(static_cast<int>(arguments.size()),
                                   arguments.data(), &parsed.options);
  parsed.out = GetCapturedStdout();
  parsed.err = GetCapturedStderr();
  return parsed;
}

TEST(ServerOptionsTest, DefaultsAreValidAndSilent) {
  const Parsed parsed = Parse({"--model_repository=/m"});
  EXPECT_EQ(parsed.code, std::nullopt);
  EXPECT_EQ(parsed.out + parsed.err, "");
  EXPECT_EQ(parsed.options.model_repository, "/m");
  EXPECT_EQ(parsed.options.max_message_bytes, 64 << 20);
  EXPECT_EQ(parsed.options.EffectiveThreads(), UsableCpus());
  EXPECT_EQ(parsed.options.EffectiveDecodeThreads(), UsableCpus());
}

TEST(ServerOptionsTest, ReadsTheCommandLine) {
  const Parsed parsed =
      Parse({"--model_repository", "/m", "--grpc_address=127.0.0.1:0",
             "--threads=3", "--max_queue_delay_us=250", "--log_format=json"});
  EXPECT_EQ(parsed.code, std::nullopt);
  EXPECT_EQ(parsed.options.grpc_address, "127.0.0.1:0");
  EXPECT_EQ(parsed.options.EffectiveThreads(), 3);
  EXPECT_EQ(parsed.options.EffectiveDecodeThreads(), 3);
  EXPECT_EQ(parsed.options.max_queue_delay_us, 250);
  EXPECT_EQ(parsed.options.log_format, "json");
}

TEST(ServerOptionsTest, EnvironmentAndFileSetWhatTheCommandLineDoesNot) {
  const std::string file = ::testing::TempDir() + "/tern_options.conf";
  std::ofstream(file) << "threads = 5\nmax_batch_size = 7\nexecutors = 2\n";
  setenv("TERN_THREADS", "4", 1);
  setenv("TERN_EXECUTORS", "3", 1);
  setenv("TERN_LOAD_THREADS", "6", 1);
  const std::string config = "--config=" + file;
  const Parsed parsed =
      Parse({"--model_repository=/m", "--threads=9", config.c_str()});
  unsetenv("TERN_THREADS");
  unsetenv("TERN_EXECUTORS");
  unsetenv("TERN_LOAD_THREADS");
  std::remove(file.c_str());
  EXPECT_EQ(parsed.code, std::nullopt) << parsed.err;
  EXPECT_EQ(parsed.options.threads, 9);
  EXPECT_EQ(parsed.options.executors, 2);
  EXPECT_EQ(parsed.options.load_threads, 6);
  EXPECT_EQ(parsed.options.max_batch_size, 7);
}

TEST(ServerOptionsTest, HelpNamesEveryOptionAndExitsWith0) {
  const Parsed parsed = Parse({"--help"});
  EXPECT_EQ(parsed.code, 0);
  EXPECT_EQ(parsed.err, "");
  for (const char* name :
       {"--model_repository", "--grpc_address", "--http_address",
        "--ready_file", "--isa", "--threads", "--queue_capacity",
        "--max_queue_delay_us", "--log_level", "--config", "--version",
        "TERN_THREADS"}) {
    EXPECT_THAT(parsed.out, HasSubstr(name));
  }
}

TEST(ServerOptionsTest, VersionExitsWith0) {
  const Parsed parsed = Parse({"--version"});
  EXPECT_EQ(parsed.code, 0);
  EXPECT_EQ(parsed.out, std::string("tern-server ") + ServerVersion() + "\n");
}

TEST(ServerOptionsTest, BadOptionsExitWith2AndSayWhy) {
  const struct {
    std::vector<const char*> arguments;
    const char* why;
  } cases[] = {
      {{}, "--model_repository is required"},
      {{"--model_repository=/m", "--nonsense=1"}, "--nonsense"},
      {{"--model_repository=/m", "--threads=many"}, "--threads"},
      {{"--model_repository=/m", "--threads=-1"},
       "--threads: want 0..1024, got -1"},
      {{"--model_repository=/m", "--executors=0"},
       "--executors: want 1..1024, got 0"},
      {{"--model_repository=/m", "--max_message_bytes=4294967296"},
       "--max_message_bytes: want 65536..2147483647, got 4294967296"},
      {{"--model_repository=/m", "--grpc_address=8500"},
       "--grpc_address: want HOST:PORT"},
      {{"--model_repository=/m", "--http_address=localhost:99999"},
       "--http_address: want HOST:PORT"},
      {{"--model_repository=/m", "--version_policy=some"},
       "--version_policy: "},
      {{"--model_repository=/m", "--isa=nonsense"},
       "--isa: want one of auto, "},
      {{"--model_repository=/m", "--isa=nonsense"},
       "reference, got 'nonsense'"},
      {{"--model_repository=/m", "--http_timeout_ms=0"},
       "--http_timeout_ms: want 1..86400000, got 0"},
      {{"--model_repository=/m", "--log_level=loud"},
       "--log_level: want debug, info, warn, error or off, got 'loud'"},
      {{"--model_repository=/m", "--config=/does/not/exist"},
       "/does/not/exist"},
      {{"--model_repository="}, "model_repository"},
  };
  for (const auto& each : cases) {
    const Parsed parsed = Parse(each.arguments);
    EXPECT_EQ(parsed.code, 2) << each.why;
    EXPECT_EQ(parsed.out, "") << each.why;
    EXPECT_THAT(parsed.err, HasSubstr(each.why));
  }
}

}  // namespace
}  // namespace tern::server
