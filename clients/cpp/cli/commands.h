// The commands of `tern`, without their command lines (cli.cc has those).
// Each returns an exit code and writes errors to console.err.

#ifndef TERN_CLIENTS_CPP_CLI_COMMANDS_H_
#define TERN_CLIENTS_CPP_CLI_COMMANDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/cpp/cli/console.h"
#include "clients/cpp/cli/reporter.h"

namespace tern::client {

struct ModelName {
  // Empty, for classify and bench: the only one that the server has.
  std::string model;
  // 0: the newest that is ready.
  std::uint64_t version = 0;
};

enum class DrawMode { kAuto, kAlways, kNever };

struct ClassifyOptions {
  ModelName model;
  std::vector<std::string> pictures;
  int top_k = 5;
  int batch = 32;
  Format format = Format::kText;
  DrawMode draw = DrawMode::kAuto;
  // Empty: none.
  std::string dump_logits;
};
int RunClassify(const ClassifyOptions& options, const Connection& connection,
                const Console& console);

struct ModelsOptions {
  ModelName model;
  bool json = false;
  // For upload.
  std::string file;
};
int RunModelsList(const ModelsOptions& options, const Connection& connection,
                  const Console& console);
int RunModelsStatus(const ModelsOptions& options, const Connection& connection,
                    const Console& console);
int RunModelsLoad(const ModelsOptions& options, const Connection& connection,
                  const Console& console);
int RunModelsUnload(const ModelsOptions& options, const Connection& connection,
                    const Console& console);
int RunModelsDelete(const ModelsOptions& options, const Connection& connection,
                    const Console& console);
int RunModelsUpload(const ModelsOptions& options, const Connection& connection,
                    const Console& console);

struct BenchOptions {
  ModelName model;
  // Empty: noise of the model's input size.
  std::vector<std::string> images;
  int concurrency = 8;
  int batch = 1;
  // Whichever ends first; count 0: only the time.
  absl::Duration duration = absl::Seconds(10);
  std::uint64_t count = 0;
  bool json = false;
};
int RunBench(const BenchOptions& options, const Connection& connection,
             const Console& console);

// Exit code 0 while `service` ("" = the whole server) is serving.
int RunHealth(const std::string& service, const Connection& connection,
              const Console& console);

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_CLI_COMMANDS_H_
