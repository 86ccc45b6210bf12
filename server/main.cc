// tern-server: options, signals, one Server.
//
// SIGTERM or SIGINT while models load ends the process at once. Later the first
// one drains, and a second one ends at once.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "server/logging.h"
#include "server/mutex.h"
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

// Waits for signals on a thread of its own, as Server::Start may take long.
class StopSignals {
 public:
  explicit StopSignals(const sigset_t& signals) : signals_(signals) {
    std::thread([this] { Loop(); }).detach();
  }

  // From now on there is something to drain.
  void BeforeAccepting() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    accepting_ = true;
  }
  void WaitForStop() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    while (!stop_) stopped_.Wait(&mu_);
  }

 private:
  void Loop() ABSL_LOCKS_EXCLUDED(mu_) {
    const char* name = strsignal(WaitForSignal(signals_));
    {
      // Held to the end of the process where it ends here: nothing may be
      // accepted meanwhile.
      MutexLock lock(&mu_);
      if (!accepting_) {
        LogInfo("{}: ending before the models are loaded", name);
        std::_Exit(EXIT_SUCCESS);
      }
      LogInfo("{}: stopping", name);
      stop_ = true;
      stopped_.SignalAll();
    }
    LogWarn("{} again: ending at once", strsignal(WaitForSignal(signals_)));
    std::_Exit(EXIT_FAILURE);
  }

  const sigset_t signals_;
  Mutex mu_;
  CondVar stopped_;
  bool accepting_ ABSL_GUARDED_BY(mu_) = false;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
};

int Run(const ServerOptions& options, const sigset_t& signals) {
  // Never destroyed: its thread has no end.
  StopSignals& stop_signals = *new StopSignals(signals);
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(options, [&] { stop_signals.BeforeAccepting(); });
  if (!server.ok()) {
    LogError("cannot start: {}", server.status().ToString());
    return EXIT_FAILURE;
  }
  stop_signals.WaitForStop();
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
