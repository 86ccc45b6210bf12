#include "trainer/commands/command.h"

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/thread_pool.h"

namespace tern::trainer {

void AddIsaOption(CLI::App* app, std::string* isa) {
  std::vector<std::string> names = {"auto"};
  for (const std::string_view name : KernelTableNames()) {
    names.emplace_back(name);
  }
  *isa = "auto";
  app->add_option("--isa", *isa, "Kernels: the best for this CPU, or by name")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
}

void AddThreadsOption(CLI::App* app, int* threads) {
  *threads = UsableCpus();
  app->add_option("--threads", *threads,
                  "Threads; the default is the CPUs this process may use. The "
                  "result does not depend on it")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
}

void AddSplitOption(CLI::App* app, Split* split) {
  static const std::map<std::string, Split> kNames = {{"train", Split::kTrain},
                                                      {"test", Split::kTest}};
  app->add_option("--split", *split, "Part of the data set (default: test)")
      ->transform(CLI::CheckedTransformer(kNames))
      ->option_text("train|test");
}

absl::StatusOr<std::shared_ptr<const Model>> LoadModel(const std::string& path,
                                                       const std::string& isa) {
  TERN_ASSIGN_OR_RETURN(const KernelTable* kernels, SelectKernels(isa));
  absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::LoadFile(path, *kernels, {});
  if (!model.ok() && !absl::StrContains(model.status().message(), path)) {
    return absl::Status(model.status().code(),
                        absl::StrCat(path, ": ", model.status().message()));
  }
  return model;
}

}  // namespace tern::trainer
