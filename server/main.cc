// tern-server: options, signals, one Server.
//
// The first SIGTERM or SIGINT drains and exits 0, a second one ends at once.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "server/logging.h"
#include "server/server.h"
#include "server/server_options.h"

namespace {

using namespace tern::server;  // NOLINT: a main file.

// Blocked before any thread starts, so that only sigwait sees them.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // A client that hangs up must not end the process.
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

int WaitForSignal(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
  return signal;
}

int Run(const ServerOptions& options, const sigset_t& signals) {
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
  if (!server.ok()) {
    LogError("cannot start: {}", server.status().ToString());
    return EXIT_FAILURE;
  }
  LogInfo("{}: stopping", strsignal(WaitForSignal(signals)));
  std::thread([signals] {
    LogWarn("{} again: ending at once", strsignal(WaitForSignal(signals)));
    std::_Exit(EXIT_FAILURE);
  }).detach();
  (*server)->Stop();
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  const sigset_t signals = BlockStopSignals();
  ServerOptions options;
  if (const auto code = ParseServerOptions(argc, argv, &options)) return *code;
  // Cannot fail: the options are valid.
  InitLogging(options.log_format, options.log_level).IgnoreError();
  return Run(options, signals);
}
