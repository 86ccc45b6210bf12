// Shell completion, written from the very definition of the command line.

#ifndef TERN_CLIENTS_CPP_CLI_COMPLETION_H_
#define TERN_CLIENTS_CPP_CLI_COMPLETION_H_

#include <CLI/CLI.hpp>
#include <string>

namespace tern::client {

enum class Shell { kBash, kZsh };

// A script for the shell to evaluate: eval "$(tern completion bash)".
std::string CompletionScript(const CLI::App& app, Shell shell);

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_CLI_COMPLETION_H_
