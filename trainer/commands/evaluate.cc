#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "engine/base/thread_pool.h"
#include "engine/model/model_file.h"
#include "trainer/commands/command.h"
#include "trainer/export/float_reference.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/read_file.h"

namespace tern::trainer {
namespace {

struct EvaluateCommand {
  std::string model;
  std::string data;
  Split split = Split::kTest;
  std::string isa;
  int threads = 1;
  int batch = 64;
  std::string activations = "u8";
  bool compare = false;
  std::string dump_logits;
  bool json = false;
};

absl::Span<const std::uint8_t> AsBytes(const std::vector<float>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()),
          values.size() * sizeof(float)};
}

absl::StatusOr<std::vector<float>> FloatLogits(const EvaluateCommand& command,
                                               const Dataset& data,
                                               ThreadPool& pool) {
  TERN_ASSIGN_OR_RETURN(const std::vector<std::uint8_t> bytes,
                        ReadFile(command.model));
  TERN_ASSIGN_OR_RETURN(const ModelFile file, ModelFile::Read(bytes, {}));
  TERN_ASSIGN_OR_RETURN(
      const FloatReference reference,
      MakeFloatReference(file, command.threads, command.batch));
  std::vector<std::uint32_t> all(data.images());
  std::iota(all.begin(), all.end(), 0U);
  return NetworkLogits(*reference.network, data, all, reference.input, pool);
}

absl::StatusOr<std::vector<float>> U8Logits(const EvaluateCommand& command,
                                            const Model& model,
                                            const Dataset& data,
                                            ThreadPool& pool) {
  const bool show = isatty(STDERR_FILENO) == 1;
  std::size_t shown = 0;
  auto logits =
      EngineLogits(model, data, command.batch, pool, [&](std::size_t done) {
        if (!show || (done < shown + 500 && done < data.images())) return;
        shown = done;
        std::fprintf(stderr, "\r\033[K%zu of %zu images%s", done, data.images(),
                     done == data.images() ? "\r\033[K" : "");
        std::fflush(stderr);
      });
  return logits;
}

void Print(const EvaluateCommand& command, const nlohmann::json& result) {
  if (command.json) {
    std::printf("%s\n", result.dump().c_str());
    return;
  }
  std::printf("%s on %s (%zu images): top-1 %.2f %%, top-5 %.2f %%\n",
              command.model.c_str(), command.data.c_str(),
              result["images"].get<std::size_t>(),
              result["top1"].get<double>() * 100,
              result["top5"].get<double>() * 100);
  std::printf("logits sha256 %s, %s activations, %s, %.0f images/s\n",
              result["logits_sha256"].get<std::string>().c_str(),
              command.activations.c_str(),
              result["isa"].get<std::string>().c_str(),
              result["images_per_second"].get<double>());
  if (command.compare) {
    std::printf(
        "float activations: top-1 %.2f %%; the same class for %.2f %% of "
        "images\n",
        result["float_top1"].get<double>() * 100,
        result["agreement"].get<double>() * 100);
  }
}

nlohmann::json Describe(const EvaluateCommand& command, const Model& model,
                        const Dataset& data, const std::vector<float>& logits,
                        double seconds) {
  const Accuracy accuracy = MeasureAccuracy(logits, data.labels);
  return {
      {"model", command.model},
      {"digest", model.digest()},
      {"dataset", data.name},
      {"images", accuracy.images},
      {"top1", accuracy.top1_rate()},
      {"top5", accuracy.top5_rate()},
      {"loss", accuracy.mean_loss()},
      {"logits_sha256",
       Sha256::Hex(Sha256::Of(logits.data(), AsBytes(logits).size()))},
      {"activations", command.activations},
      {"isa", command.activations == "float"
                  ? "onednn_f32"
                  : std::string(KernelTableName(model.kernels()))},
      {"threads", command.threads},
      {"batch", command.batch},
      {"seconds", seconds},
      {"images_per_second", static_cast<double>(data.images()) / seconds},
  };
}

absl::Status Run(const EvaluateCommand& command) {
  TERN_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model,
                        LoadModel(command.model, command.isa));
  TERN_ASSIGN_OR_RETURN(const Dataset data,
                        LoadDataset(command.data, command.split));
  TERN_RETURN_IF_ERROR(CheckDataFits(data, model->input(), model->classes()));
  ThreadPool pool(command.threads);
  const auto start = std::chrono::steady_clock::now();
  TERN_ASSIGN_OR_RETURN(const std::vector<float> logits,
                        command.activations == "float"
                            ? FloatLogits(command, data, pool)
                            : U8Logits(command, *model, data, pool));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  nlohmann::json result = Describe(command, *model, data, logits, seconds);
  if (command.compare) {
    TERN_ASSIGN_OR_RETURN(const std::vector<float> reference,
                          FloatLogits(command, data, pool));
    result["float_top1"] = MeasureAccuracy(reference, data.labels).top1_rate();
    result["agreement"] =
        static_cast<double>(CountAgreement(
            logits, reference, static_cast<std::size_t>(model->classes()))) /
        static_cast<double>(data.images());
  }
  if (!command.dump_logits.empty()) {
    TERN_RETURN_IF_ERROR(
        WriteFileAtomically(command.dump_logits, AsBytes(logits)));
  }
  Print(command, result);
  return absl::OkStatus();
}

}  // namespace

Command AddEvaluate(CLI::App& app) {
  auto command = std::make_shared<EvaluateCommand>();
  EvaluateCommand& c = *command;
  CLI::App* sub =
      app.add_subcommand("evaluate", "Measure a .twn file's accuracy");
  sub->add_option("MODEL", c.model, "The .twn file")->required();
  sub->add_option("--data", c.data, "idx:DIR, a folder in the format of MNIST")
      ->required();
  AddSplitOption(sub, &c.split);
  AddIsaOption(sub, &c.isa);
  AddThreadsOption(sub, &c.threads);
  sub->add_option("--batch", c.batch, "Pictures in a call of the engine")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  sub->add_option("--activations", c.activations,
                  "u8: the engine. float: the model's weights with float "
                  "activations, the setting of the paper")
      ->check(CLI::IsMember({"u8", "float"}))
      ->capture_default_str();
  sub->add_flag("--compare", c.compare,
                "Also compute with float activations and say how often both "
                "name the same class");
  sub->add_option("--dump_logits", c.dump_logits,
                  "Write all logits: little-endian f32, image after image");
  sub->add_flag("--json", c.json, "Print the result as JSON");
  return {sub,
          [command] {
            if (command->compare && command->activations == "float") {
              return absl::InvalidArgumentError(
                  "--compare needs --activations=u8: it compares with float");
            }
            return absl::OkStatus();
          },
          [command] { return Run(*command); }};
}

}  // namespace tern::trainer
