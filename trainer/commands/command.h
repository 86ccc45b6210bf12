// What the subcommands of tern-trainer have in common.
//
// A command adds its options to a CLI11 subcommand and returns what runs
// after parsing. Bad options are reported by CLI11 or `check` (exit code 2),
// everything else by `run` (exit code 1).

#ifndef TERN_TRAINER_COMMANDS_COMMAND_H_
#define TERN_TRAINER_COMMANDS_COMMAND_H_

#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "trainer/data/dataset.h"

namespace tern::trainer {

struct Command {
  CLI::App* app = nullptr;
  std::function<absl::Status()> check = [] { return absl::OkStatus(); };
  std::function<absl::Status()> run;
};

// `stop` becomes true on SIGINT and SIGTERM.
Command AddTrain(CLI::App& app, const std::atomic<bool>& stop);
Command AddEvaluate(CLI::App& app);
Command AddClassify(CLI::App& app);
Command AddInspect(CLI::App& app);
Command AddUpload(CLI::App& app);

// --isa and --threads, with the same words everywhere.
void AddIsaOption(CLI::App* app, std::string* isa);
void AddThreadsOption(CLI::App* app, int* threads);
// --split=train|test.
void AddSplitOption(CLI::App* app, Split* split);

// Loads a .twn with the kernels named by --isa.
absl::StatusOr<std::shared_ptr<const Model>> LoadModel(const std::string& path,
                                                       const std::string& isa);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_COMMANDS_COMMAND_H_
