#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/status_macros.h"
#include "engine/base/thread_pool.h"
#include "trainer/commands/command.h"
#include "trainer/export/export.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/train_run.h"

namespace tern::trainer {
namespace {

struct TrainCommand {
  TrainOptions options;
  bool json = false;
};

void AddFact(model::v1::Card* card, const std::string& name,
             const std::string& value) {
  model::v1::Fact* fact = card->add_fact();
  fact->set_name(name);
  fact->set_value(value);
}

void AddMetric(model::v1::Card* card, const std::string& name,
               const std::string& split, double value) {
  model::v1::Metric* metric = card->add_metric();
  metric->set_name(name);
  metric->set_split(split);
  metric->set_value(value);
}

void FillHeader(const TrainCommand& command, const TrainRun& run,
                model::v1::Header* header) {
  header->set_name(command.options.network);
  for (const std::string& label : run.data().class_names) {
    header->add_label(label);
  }
  header->mutable_preprocessing();
  model::v1::Card* card = header->mutable_card();
  AddFact(card, "dataset", run.data().name);
  for (const auto& [name, value] : run.description()) {
    AddFact(card, name, value);
  }
  AddFact(card, "best_epoch", absl::StrCat(run.best_epoch() + 1));
  // Spelled out and without file names: the same training anywhere gives the
  // same bytes.
  std::string text = "tern-trainer train --data=idx:DIR --output=FILE";
  for (const auto& [name, value] : run.description()) {
    if (!absl::EndsWith(name, "_digest")) {
      absl::StrAppend(&text, " --", name, "=", value);
    }
  }
  AddFact(card, "command", text);
  const EpochRecord& best =
      run.history()[static_cast<std::size_t>(run.best_epoch())];
  AddMetric(card, "top1", "train", best.train_top1);
  AddMetric(card, "top1", "validation", best.validation_top1);
}

// The engine's accuracy on the test split, read here for the first time.
absl::StatusOr<Accuracy> TestPacked(const std::string& file,
                                    const Dataset& test, ThreadPool& pool) {
  TERN_ASSIGN_OR_RETURN(const KernelTable* kernels, SelectKernels("auto"));
  TERN_ASSIGN_OR_RETURN(
      const std::shared_ptr<const Model> model,
      Model::Load(
          {reinterpret_cast<const std::uint8_t*>(file.data()), file.size()},
          *kernels, {}));
  TERN_ASSIGN_OR_RETURN(
      const std::vector<float> logits,
      EngineLogits(*model, test, 64, pool, [](std::size_t) {}));
  return MeasureAccuracy(logits, test.labels);
}

absl::StatusOr<Accuracy> TestFloat(TrainRun& run, const Dataset& test,
                                   ThreadPool& pool) {
  std::vector<std::uint32_t> all(test.images());
  std::iota(all.begin(), all.end(), 0U);
  TERN_ASSIGN_OR_RETURN(
      const std::vector<float> logits,
      NetworkLogits(run.network(), test, all, run.input(), pool));
  return MeasureAccuracy(logits, test.labels);
}

absl::StatusOr<Accuracy> PackAndTest(const TrainCommand& command, TrainRun& run,
                                     const Dataset& test, ThreadPool& pool) {
  TERN_ASSIGN_OR_RETURN(ExportedModel model,
                        ExportNetwork(run.network(), run.input()));
  FillHeader(command, run, &model.header);
  const absl::Span<const std::uint8_t> picture =
      run.data().picture(run.split().validation.front());
  TERN_ASSIGN_OR_RETURN(std::string file,
                        EncodeModel(model, command.options.seed, picture));
  TERN_ASSIGN_OR_RETURN(const Accuracy accuracy, TestPacked(file, test, pool));
  AddMetric(model.header.mutable_card(), "top1", "test", accuracy.top1_rate());
  AddMetric(model.header.mutable_card(), "top5", "test", accuracy.top5_rate());
  TERN_ASSIGN_OR_RETURN(file,
                        EncodeModel(model, command.options.seed, picture));
  TERN_RETURN_IF_ERROR(WriteFileAtomically(
      command.options.output,
      {reinterpret_cast<const std::uint8_t*>(file.data()), file.size()}));
  return accuracy;
}

void Report(const TrainCommand& command, const TrainRun& run,
            const Accuracy& test) {
  const EpochRecord& best =
      run.history()[static_cast<std::size_t>(run.best_epoch())];
  const bool packed = command.options.activations == Activations::kU8;
  if (command.json) {
    nlohmann::json result = run.description();
    result["dataset"] = run.data().name;
    result["best_epoch"] = run.best_epoch() + 1;
    result["validation_top1"] = best.validation_top1;
    result["test_top1"] = test.top1_rate();
    result["test_top5"] = test.top5_rate();
    if (packed) result["output"] = command.options.output;
    std::printf("%s\n", result.dump().c_str());
    return;
  }
  std::printf(
      "best epoch %d: validation %.2f %%, test top-1 %.2f %% of %zu images\n",
      run.best_epoch() + 1, best.validation_top1 * 100, test.top1_rate() * 100,
      test.images);
  if (packed) {
    std::printf("wrote %s\n", command.options.output.c_str());
  } else {
    std::printf("float activations: no model file; the parameters are in %s\n",
                command.options.checkpoint.c_str());
  }
}

// Tries what writing the file will do: one beside it, and a rename.
absl::Status CheckWritable(const std::string& path) {
  const std::string beside = absl::StrCat(path, ".", ::getpid(), ".tmp");
  const int file =
      ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  }
  ::close(file);
  ::unlink(beside.c_str());
  std::error_code unknown;
  if (!std::filesystem::is_directory(path, unknown)) return absl::OkStatus();
  return absl::ErrnoToStatus(EISDIR, absl::StrCat("cannot write ", path));
}

absl::Status Run(const TrainCommand& command, const std::atomic<bool>& stop) {
  // Now rather than after an epoch, or after all of them.
  TERN_RETURN_IF_ERROR(CheckWritable(command.options.checkpoint));
  if (command.options.activations == Activations::kU8) {
    TERN_RETURN_IF_ERROR(CheckWritable(command.options.output));
  }
  ThreadPool pool(command.options.threads);
  TERN_ASSIGN_OR_RETURN(std::unique_ptr<TrainRun> run,
                        TrainRun::Create(command.options, &pool));
  std::fprintf(stderr,
               "training %s (%s) on %s: %zu images, %zu for validation\n",
               command.options.network.c_str(),
               QuantizerName(command.options.quantizer).c_str(),
               run->data().name.c_str(), run->split().train.size(),
               run->split().validation.size());
  TERN_RETURN_IF_ERROR(run->Train(stop));
  TERN_RETURN_IF_ERROR(run->LoadBest());
  TERN_ASSIGN_OR_RETURN(const Dataset test,
                        LoadDataset(command.options.data, Split::kTest));
  TERN_RETURN_IF_ERROR(
      CheckDataFits(test, run->network().graph().input(),
                    static_cast<int>(run->network().shapes().classes)));
  const absl::StatusOr<Accuracy> accuracy =
      command.options.activations == Activations::kU8
          ? PackAndTest(command, *run, test, pool)
          : TestFloat(*run, test, pool);
  TERN_RETURN_IF_ERROR(accuracy.status());
  Report(command, *run, *accuracy);
  return absl::OkStatus();
}

template <typename T>
CLI::Option* AddChoice(CLI::App* app, const std::string& name, T* value,
                       const std::map<std::string, T>& names,
                       const std::string& help) {
  std::string text;
  std::string chosen;
  for (const auto& [key, entry] : names) {
    absl::StrAppend(&text, text.empty() ? "" : "|", key);
    if (entry == *value) chosen = key;
  }
  return app->add_option(name, *value, help)
      ->transform(CLI::CheckedTransformer(names))
      ->option_text(absl::StrCat(text, " (default ", chosen, ")"));
}

void AddModelOptions(CLI::App* app, TrainOptions& o) {
  app->add_option(
         "--network", o.network,
         absl::StrCat("Built in (", absl::StrJoin(BuiltInNetworks(), ", "),
                      ") or the path of a network file"))
      ->capture_default_str();
  AddChoice<WeightQuantizer>(app, "--quantizer", &o.quantizer,
                             {{"twn", WeightQuantizer::kTwn},
                              {"bwn", WeightQuantizer::kBwn},
                              {"float", WeightQuantizer::kFloat}},
                             "Weights of the layers");
  AddChoice<ScalePer>(
      app, "--scale_per", &o.scale_per,
      {{"filter", ScalePer::kFilter}, {"layer", ScalePer::kLayer}},
      "What shares one scale (and threshold)");
  const std::map<std::string, EdgeLayer> edges = {
      {"quantizer", EdgeLayer::kQuantizer}, {"grid", EdgeLayer::kGrid}};
  AddChoice<EdgeLayer>(app, "--first_layer", &o.first_layer, edges,
                       "Weights of the layer that reads the picture: as the "
                       "others, or exact float");
  AddChoice<EdgeLayer>(app, "--last_layer", &o.last_layer, edges,
                       "Weights of the layer that makes the logits");
  AddChoice<Activations>(
      app, "--activations", &o.activations,
      {{"u8", Activations::kU8}, {"float", Activations::kFloat}},
      "float: the paper's setting; trains and tests, makes no model file");
}

void AddRecipeOptions(CLI::App* app, TrainOptions& o) {
  app->add_option("--epochs", o.epochs, "Passes over the training split")
      ->capture_default_str();
  app->add_option("--seed", o.seed, "The same seed gives the same model")
      ->capture_default_str();
  app->add_option("--batch", o.batch, "Pictures in a step")
      ->capture_default_str();
  app->add_option("--shards", o.shards,
                  "Parts of a batch that run in parallel, each with its own "
                  "batch-norm statistics")
      ->capture_default_str();
  app->add_option("--learning_rate", o.rate.rate, "At its highest")
      ->capture_default_str();
  AddChoice<Schedule>(app, "--schedule", &o.rate.schedule,
                      {{"constant", Schedule::kConstant},
                       {"step", Schedule::kStep},
                       {"cosine", Schedule::kCosine}},
                      "How the learning rate falls");
  app->add_option("--warmup_epochs", o.rate.warmup_epochs,
                  "Over which the learning rate rises; fractions allowed")
      ->capture_default_str();
  app->add_option("--momentum", o.sgd.momentum, "Of SGD")
      ->capture_default_str();
  app->add_option("--weight_decay", o.sgd.weight_decay,
                  "L2, on the latent weights")
      ->capture_default_str();
  app->add_option("--label_smoothing", o.label_smoothing,
                  "Part of the target spread over all classes")
      ->capture_default_str();
  app->add_option("--float_epochs", o.float_epochs,
                  "First epochs with float activations, while ranges settle")
      ->capture_default_str();
  app->add_option("--augment", o.augmentation,
                  "auto (by data set), none, shift, flip or shift+flip")
      ->check(CLI::IsMember({"auto", "none", "shift", "flip", "shift+flip"}))
      ->capture_default_str();
  app->add_option("--validation", o.validation,
                  "Pictures kept from training to choose the best epoch")
      ->capture_default_str();
}

}  // namespace

Command AddTrain(CLI::App& app, const std::atomic<bool>& stop) {
  auto command = std::make_shared<TrainCommand>();
  TrainOptions& o = command->options;
  CLI::App* sub = app.add_subcommand("train", "Train a network to a .twn file");
  sub->add_option("--data", o.data, "idx:DIR, a folder in the format of MNIST")
      ->required();
  sub->add_option("--output", o.output, "The .twn file to write")->required();
  AddModelOptions(sub, o);
  AddRecipeOptions(sub, o);
  sub->add_option("--checkpoint", o.checkpoint,
                  "Written after every epoch and on Ctrl-C (default: OUTPUT "
                  "with .checkpoint appended)");
  sub->add_flag("--resume", o.resume,
                "Go on from the checkpoint, to the same bits as without the "
                "interruption");
  AddThreadsOption(sub, &o.threads);
  sub->add_flag("--json", command->json, "Print the result as JSON");
  return {sub,
          [command, sub] {
            TrainOptions& options = command->options;
            // Short runs: these defaults shrink with the run.
            if (sub->count("--warmup_epochs") == 0) {
              options.rate.warmup_epochs =
                  std::min(options.rate.warmup_epochs, options.epochs / 4.0);
            }
            if (sub->count("--float_epochs") == 0) {
              options.float_epochs =
                  std::min(options.float_epochs, options.epochs / 2);
            }
            if (options.checkpoint.empty()) {
              options.checkpoint = absl::StrCat(options.output, ".checkpoint");
            }
            return CheckTrainOptions(options);
          },
          [command, &stop] { return Run(*command, stop); }};
}

}  // namespace tern::trainer
