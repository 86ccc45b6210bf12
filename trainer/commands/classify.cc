#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/thread_pool.h"
#include "engine/image/preprocess.h"
#include "trainer/commands/command.h"
#include "trainer/run/read_file.h"

namespace tern::trainer {
namespace {

struct ClassifyCommand {
  std::string model;
  std::vector<std::string> paths;
  std::string isa;
  int top_k = 5;
  bool json = false;
};

absl::StatusOr<std::vector<ClassScore>> ClassifyFile(const std::string& path,
                                                     const Model& model,
                                                     int top_k,
                                                     Session& session) {
  TERN_ASSIGN_OR_RETURN(const std::vector<std::uint8_t> encoded,
                        ReadFile(path));
  absl::StatusOr<Image> image =
      PreprocessEncoded(encoded, model.input(), model.preprocessing(), {});
  if (!image.ok()) {
    return absl::Status(image.status().code(),
                        absl::StrCat(path, ": ", image.status().message()));
  }
  std::vector<float> logits(static_cast<std::size_t>(model.classes()));
  TERN_RETURN_IF_ERROR(
      session.Run(model, image->pixels, 1, absl::MakeSpan(logits)));
  return TopK(logits, top_k, model.softmax_temperature());
}

std::string LabelOf(const Model& model, int index) {
  if (model.labels().empty()) return absl::StrCat("class ", index);
  return model.labels()[static_cast<std::size_t>(index)];
}

absl::Status Run(const ClassifyCommand& command) {
  TERN_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model,
                        LoadModel(command.model, command.isa));
  ThreadPool pool(1);
  Session session(&pool);
  nlohmann::json results = nlohmann::json::array();
  for (const std::string& path : command.paths) {
    TERN_ASSIGN_OR_RETURN(const std::vector<ClassScore> scores,
                          ClassifyFile(path, *model, command.top_k, session));
    nlohmann::json classes = nlohmann::json::array();
    if (!command.json) std::printf("%s\n", path.c_str());
    for (const ClassScore& score : scores) {
      const std::string label = LabelOf(*model, score.index);
      classes.push_back({{"index", score.index},
                         {"label", label},
                         {"probability", score.probability},
                         {"logit", score.logit}});
      if (!command.json) {
        std::printf("  %6.2f %%  %s\n", score.probability * 100, label.c_str());
      }
    }
    results.push_back({{"path", path}, {"classes", classes}});
  }
  if (command.json) std::printf("%s\n", results.dump().c_str());
  return absl::OkStatus();
}

}  // namespace

Command AddClassify(CLI::App& app) {
  auto command = std::make_shared<ClassifyCommand>();
  ClassifyCommand& c = *command;
  CLI::App* sub = app.add_subcommand(
      "classify", "Classify pictures with a .twn file, without a server");
  sub->add_option("PATH", c.paths, "JPEG or PNG files")->required();
  sub->add_option("--model", c.model, "The .twn file")->required();
  AddIsaOption(sub, &c.isa);
  sub->add_option("--top_k", c.top_k, "Classes to show")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  sub->add_flag("--json", c.json, "Print the result as JSON");
  return {sub, [] { return absl::OkStatus(); },
          [command] { return Run(*command); }};
}

}  // namespace tern::trainer
