// tern-trainer: trains ternary networks and packs them into .twn files.
//
// Exit codes: 0 done, 1 failed (standard error says why), 2 wrong usage.

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "trainer/commands/command.h"

namespace {

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// Once: the work is saved. Twice: the default action ends the process.
extern "C" void RequestStop(int signal) {
  stop_requested.store(true);
  std::signal(signal, SIG_DFL);
}

constexpr int kFailed = 1;
constexpr int kUsage = 2;

int Execute(const tern::trainer::Command& command) {
  const std::string name = "tern-trainer " + command.app->get_name();
  if (const absl::Status status = command.check(); !status.ok()) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(),
                 std::string(status.message()).c_str());
    return kUsage;
  }
  if (const absl::Status status = command.run(); !status.ok()) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(),
                 std::string(status.message()).c_str());
    return kFailed;
  }
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Trains image classifiers with ternary weights.");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of all subcommands");
  const std::vector<tern::trainer::Command> commands = {
      tern::trainer::AddTrain(app, stop_requested),
      tern::trainer::AddEvaluate(app),
      tern::trainer::AddClassify(app),
      tern::trainer::AddInspect(app),
      tern::trainer::AddUpload(app),
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  // Only training has work to save; a signal ends the others.
  if (app.got_subcommand("train")) {
    std::signal(SIGINT, RequestStop);
    std::signal(SIGTERM, RequestStop);
  }
  for (const tern::trainer::Command& command : commands) {
    if (command.app->parsed()) return Execute(command);
  }
  return kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  // CLI11 and the JSON library report by exceptions; whatever is left of them
  // ends here with a message.
  try {
    return Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tern-trainer: %s\n", error.what());
    return kFailed;
  }
}
