// `tern` run in process against a fake server.

#ifndef TERN_TESTS_CLIENTS_CPP_CLI_TEST_H_
#define TERN_TESTS_CLIENTS_CPP_CLI_TEST_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "clients/cpp/cli/cli.h"
#include "tests/clients/cpp/fake_server.h"

namespace tern::client {

class CliTest : public ::testing::Test {
 protected:
  CliTest()
      : dir_(std::filesystem::path(::testing::TempDir()) /
             ("tern_cli_test." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(dir_);
    // No configuration of the machine's user.
    ::setenv("XDG_CONFIG_HOME", dir_.c_str(), 1);
    ::unsetenv("TERN_SERVER");
    ::unsetenv("TERN_MODEL");
  }
  ~CliTest() override { std::filesystem::remove_all(dir_); }

  // Exit code of `tern ARGUMENTS --server=...`; out_ and err_ as written.
  int Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.push_back("--server=" + server_.address());
    return RunAlone(arguments, input);
  }
  int RunAlone(const std::vector<std::string>& arguments,
               const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    Console console;
    console.in = &in;
    console.out = &out;
    console.err = &err;
    console.palette = palette_;
    console.err_is_terminal = err_is_terminal_;
    const int code = RunCli(arguments, console);
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  std::string Path(const std::string& name) const { return dir_ / name; }
  std::string Write(const std::string& name, const std::string& bytes) const {
    const std::filesystem::path path = dir_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  static std::string ReadBack(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  FakeServer server_;
  Palette palette_ = Palette::kPlain;
  bool err_is_terminal_ = false;
  std::string out_;
  std::string err_;

 private:
  std::filesystem::path dir_;
};

}  // namespace tern::client

#endif  // TERN_TESTS_CLIENTS_CPP_CLI_TEST_H_
