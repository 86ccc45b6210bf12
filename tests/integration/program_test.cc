// The program tern-server itself: options, ready file, signals, exit codes.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/integration/server_fixture.h"

namespace tern::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A child process whose standard error goes to a file.
class Process {
 public:
  Process(const std::vector<std::string>& arguments, std::string log)
      : log_(std::move(log)) {
    std::vector<char*> argv;
    std::string program = TERN_SERVER_PROGRAM;
    argv.push_back(program.data());
    std::vector<std::string> copies = arguments;
    for (std::string& argument : copies) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      const int fd = open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(fd, STDERR_FILENO);
      dup2(fd, STDOUT_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
  }
  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      Wait();
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int signal) const { kill(pid_, signal); }
  // Exit code, or minus the signal that ended it.
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::string Log() const { return GetFile(log_); }
  void WaitForLog(const std::string& text) const {
    while (Log().find(text) == std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

 private:
  const std::string log_;
  pid_t pid_ = -1;
};

class ProgramTest : public ::testing::Test {
 protected:
  std::vector<std::string> Arguments() const {
    return {"--model_repository=" + folder_.path(),
            "--grpc_address=127.0.0.1:0", "--http_address=127.0.0.1:0",
            "--ready_file=" + ready_file()};
  }
  std::string ready_file() const { return folder_ / ".ready.json"; }
  nlohmann::json WaitUntilReady() const {
    for (int i = 0; i < 12'000; ++i) {
      const std::string content = GetFile(ready_file());
      // Written by rename: whole or not there.
      if (!content.empty()) return nlohmann::json::parse(content);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return {};
  }
  int RunToEnd(const std::vector<std::string>& arguments) {
    Process process(arguments, folder_ / ".log");
    const int code = process.Wait();
    log_ = process.Log();
    return code;
  }

  testing::TempDir folder_;
  std::string log_;
};

TEST_F(ProgramTest, TellsWhereItServesAndEndsWith0OnSigterm) {
  PutFile(folder_ / "m/1/model.twn", ModelFileBytes(1));
  Process process(Arguments(), folder_ / ".log");
  const nlohmann::json ready = WaitUntilReady();
  ASSERT_TRUE(ready.contains("grpc")) << process.Log();
  const auto stub = v1::InferenceService::NewStub(grpc::CreateChannel(
      ready["grpc"].get<std::string>(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::ClassifyResponse response;
  EXPECT_TRUE(
      stub->Classify(&context, RawRequest("m", testing::kTinyMlp, 1), &response)
          .ok());
  EXPECT_THAT(HttpGet(ready["http"].get<std::string>(), "/healthz/ready"),
              StartsWith("HTTP/1.1 200"));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0) << process.Log();
  EXPECT_FALSE(std::filesystem::exists(ready_file()));
}

// Two hundred models take minutes to load by plain loops.
TEST_F(ProgramTest, WhileModelsLoadItIsLiveAndASignalEndsItWith0) {
  const std::string first = folder_ / "m0/1/model.twn";
  PutFile(first, ModelFileBytes(1, kCostly));
  for (int i = 1; i < 200; ++i) {
    const std::string folder = folder_ / absl::StrCat("m", i, "/1");
    std::filesystem::create_directories(folder);
    std::filesystem::create_hard_link(first, folder + "/model.twn");
  }
  PutFile(ready_file(), "of a server that was killed");
  std::vector<std::string> arguments = Arguments();
  arguments.push_back("--isa=reference");
  Process process(arguments, folder_ / ".log");
  process.WaitForLog(" is live");
  const std::string log = process.Log();
  const std::size_t begin = log.find("http=") + 5;
  const std::string http = log.substr(begin, log.find(" is live") - begin);
  EXPECT_THAT(HttpGet(http, "/healthz/live"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(HttpGet(http, "/healthz/ready"), StartsWith("HTTP/1.1 503"));
  const std::string loading =
      R"(tern_model_state{model="m199",state="LOADING",version="1"} 1)";
  for (int i = 0;
       i < 6000 && HttpGet(http, "/metrics").find(loading) == std::string::npos;
       ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_THAT(HttpGet(http, "/metrics"), HasSubstr(loading));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0);
  EXPECT_THAT(process.Log(), HasSubstr("ending before the models are loaded"));
  EXPECT_FALSE(std::filesystem::exists(ready_file()));
}

TEST_F(ProgramTest, NotReadyFirstWhileRequestsAreStillTaken) {
  PutFile(folder_ / "m/1/model.twn", ModelFileBytes(1));
  std::vector<std::string> arguments = Arguments();
  arguments.push_back("--drain_delay_ms=2000");
  Process process(arguments, folder_ / ".log");
  const nlohmann::json ready = WaitUntilReady();
  ASSERT_TRUE(ready.contains("grpc")) << process.Log();
  const auto stub = v1::InferenceService::NewStub(grpc::CreateChannel(
      ready["grpc"].get<std::string>(), grpc::InsecureChannelCredentials()));
  process.Signal(SIGINT);
  std::string answer;
  do {
    answer = HttpGet(ready["http"].get<std::string>(), "/healthz/ready");
  } while (answer.find("200 OK") != std::string::npos);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503"));
  grpc::ClientContext context;
  v1::ClassifyResponse response;
  EXPECT_TRUE(
      stub->Classify(&context, RawRequest("m", testing::kTinyMlp, 1), &response)
          .ok());
  EXPECT_EQ(process.Wait(), 0) << process.Log();
}

TEST_F(ProgramTest, ASecondSignalEndsAtOnce) {
  std::vector<std::string> arguments = Arguments();
  arguments.push_back("--drain_delay_ms=600000");
  Process process(arguments, folder_ / ".log");
  ASSERT_TRUE(WaitUntilReady().contains("grpc")) << process.Log();
  process.Signal(SIGTERM);
  process.WaitForLog("draining");
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 1);
}

TEST_F(ProgramTest, WrongOptionsExitWith2AndFailuresWith1) {
  EXPECT_EQ(RunToEnd({}), 2);
  EXPECT_THAT(log_, HasSubstr("--model_repository"));
  EXPECT_EQ(RunToEnd({"--model_repository=/tmp", "--threads=x"}), 2);
  EXPECT_EQ(RunToEnd({"--model_repository=/tmp", "--isa=sse9"}), 2);
  EXPECT_THAT(log_, HasSubstr("reference"));
  EXPECT_EQ(RunToEnd({"--help"}), 0);
  EXPECT_THAT(log_, HasSubstr("--model_repository"));
  EXPECT_EQ(RunToEnd({"--version"}), 0);
  EXPECT_THAT(log_, StartsWith("tern-server "));
  EXPECT_EQ(
      RunToEnd({"--model_repository=/does/not/exist",
                "--grpc_address=127.0.0.1:0", "--http_address=127.0.0.1:0"}),
      1);
  EXPECT_THAT(log_, HasSubstr("/does/not/exist"));
}

TEST_F(ProgramTest, LogsJsonLines) {
  std::vector<std::string> arguments = Arguments();
  arguments.push_back("--log_format=json");
  Process process(arguments, folder_ / ".log");
  ASSERT_TRUE(WaitUntilReady().contains("grpc")) << process.Log();
  process.Signal(SIGTERM);
  ASSERT_EQ(process.Wait(), 0);
  std::istringstream lines(process.Log());
  std::string line;
  int count = 0;
  while (std::getline(lines, line)) {
    const auto parsed = nlohmann::json::parse(line, nullptr, false);
    EXPECT_TRUE(parsed.is_object() && parsed.contains("time") &&
                parsed.contains("level") && parsed.contains("message"))
        << line;
    ++count;
  }
  EXPECT_GE(count, 3);
}

}  // namespace
}  // namespace tern::server
