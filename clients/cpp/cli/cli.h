// The command line of `tern`: options, environment, configuration file, help.

#ifndef TERN_CLIENTS_CPP_CLI_CLI_H_
#define TERN_CLIENTS_CPP_CLI_CLI_H_

#include <string>
#include <vector>

#include "clients/cpp/cli/console.h"

namespace tern::client {

// `arguments` without the program's name. Returns the exit code.
int RunCli(const std::vector<std::string>& arguments, const Console& console);

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_CLI_CLI_H_
