// tern-bench: the engine against the CPU's int8 peak and against oneDNN.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/openmp.h"
#include "engine/base/status_macros.h"
#include "tests/bench/contenders.h"
#include "tests/bench/parts.h"

namespace tern::bench {
namespace {

struct Arguments {
  std::vector<std::string> parts = {"layers", "networks", "scaling", "memory"};
  std::vector<std::string> networks = {"vgg7", "resnet18"};
  std::vector<int> batches = {1, 8, 32};
  int rounds = 15;
  std::string filter;
  std::string json;
  std::string isa = "auto";
  std::string folder = TERN_BENCH_NETWORKS;
  bool serve = false;
};

void Declare(CLI::App* app, Arguments* a) {
  const std::vector<std::string> parts = {"layers", "choice",  "networks",
                                          "avx2",   "scaling", "memory"};
  app->add_option("--parts", a->parts, "What to measure, after the peak")
      ->delimiter(',')
      ->check(CLI::IsMember(parts))
      ->capture_default_str();
  app->add_option("--network", a->networks, "Networks to measure")
      ->delimiter(',')
      ->capture_default_str();
  app->add_option("--batch", a->batches, "Batch sizes")
      ->delimiter(',')
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app->add_option("--repetitions", a->rounds, "Rounds of each comparison")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app->add_option("--filter", a->filter,
                  "Only results with this in their name, such as "
                  "layer/vgg7/c2");
  std::vector<std::string> tables = {"auto"};
  for (const std::string_view name : KernelTableNames()) {
    tables.emplace_back(name);
  }
  app->add_option("--isa", a->isa, "Kernel table")
      ->check(CLI::IsMember(tables))
      ->capture_default_str();
  app->add_option("--json", a->json, "Write the results to this file");
  app->add_option("--networks", a->folder, "Folder of network files")
      ->capture_default_str();
  app->add_flag("--serve", a->serve,
                "Answer requests '<network> <batch> <who>' on standard input");
}

absl::Status RunParts(const Arguments& a, const Options& options,
                      Report* report) {
  const auto wanted = [&a](const char* part) {
    return std::find(a.parts.begin(), a.parts.end(), part) != a.parts.end();
  };
  RunPeak(options, report);
  if (wanted("layers")) TERN_RETURN_IF_ERROR(RunLayers(options, report));
  if (wanted("choice")) TERN_RETURN_IF_ERROR(RunChoice(options, report));
  if (wanted("networks")) TERN_RETURN_IF_ERROR(RunNetworks(options, report));
  if (wanted("avx2")) TERN_RETURN_IF_ERROR(RunAvx2(options, report));
  if (wanted("scaling")) TERN_RETURN_IF_ERROR(RunScaling(options, report));
  if (wanted("memory")) TERN_RETURN_IF_ERROR(RunMemory(options, report));
  return absl::OkStatus();
}

absl::Status Run(const Arguments& a) {
  KeepOpenMpOnThisThread();
  TERN_ASSIGN_OR_RETURN(const KernelTable* kernels, SelectKernels(a.isa));
  if (a.serve) return Serve(a.folder, *kernels);
  const Peak* peak = PeakOf(*kernels);
  if (peak == nullptr) {
    return absl::FailedPreconditionError(
        "this CPU lacks AVX-512 VNNI, whose peak is what results are compared "
        "with");
  }
  Options options;
  for (const std::string& name : a.networks) {
    TERN_ASSIGN_OR_RETURN(Network network, ReadNetwork(a.folder, name));
    options.networks.push_back(std::move(network));
  }
  options.networks_folder = a.folder;
  options.batches = a.batches;
  options.rounds = a.rounds;
  options.filter = a.filter;
  options.kernels = kernels;
  options.peak = peak;
  Report report;
  std::printf("%s; kernels %s\n", CpuName().c_str(),
              std::string(KernelTableName(*kernels)).c_str());
  TERN_RETURN_IF_ERROR(RunParts(a, options, &report));
  for (const std::string& why : report.invalid())
    std::printf("INVALID: %s\n", why.c_str());
  if (!a.json.empty()) TERN_RETURN_IF_ERROR(report.WriteJson(a.json));
  return absl::OkStatus();
}

}  // namespace
}  // namespace tern::bench

// Exit codes: 0 done, 1 failed (standard error says why), 2 wrong usage.
int main(int argc, char** argv) {
  CLI::App app("Measures the engine against the CPU's int8 peak and oneDNN");
  tern::bench::Arguments arguments;
  tern::bench::Declare(&app, &arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = tern::bench::Run(arguments);
  if (status.ok()) return 0;
  std::fprintf(stderr, "tern-bench: %s\n",
               std::string(status.message()).c_str());
  return 1;
}
