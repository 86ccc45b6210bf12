// `tern`: see `tern --help`.

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "clients/cpp/cli/cli.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  try {
    return tern::client::RunCli(std::vector<std::string>(argv + 1, argv + argc),
                                tern::client::ProcessConsole());
  } catch (const std::exception& error) {
    std::cerr << "tern: " << error.what() << "\n";
    return tern::client::kExitFailed;
  }
}
