#include "clients/cpp/cli/cli.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "clients/cpp/cli/commands.h"
#include "clients/cpp/cli/completion.h"

namespace tern::client {
namespace {

constexpr char kConnectionGroup[] = "Connection";

// Help of a command shows the connection's options too, although they are the
// program's: any command takes them.
class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_footer(const CLI::App* app) const override {
    const CLI::App* root = app;
    while (root->get_parent() != nullptr) root = root->get_parent();
    std::string text = CLI::Formatter::make_footer(app);
    if (root == app) return text;
    const auto options = root->get_options([](const CLI::Option* option) {
      return option->get_group() == kConnectionGroup;
    });
    return make_group(kConnectionGroup, false, options) + text;
  }
};

// Everything that the command line sets, and what is then to be done.
struct Invocation {
  const Console* console = nullptr;
  Connection connection;
  ClassifyOptions classify;
  ModelsOptions models;
  BenchOptions bench;
  std::string service;
  std::string shell;
  std::function<int()> run;
};

// "5s", "250ms", "1m30s"; a bare number is seconds.
void AddDuration(CLI::App* app, const std::string& name,
                 absl::Duration* duration, absl::Duration longest,
                 const std::string& description) {
  app->add_option_function<std::string>(
         name,
         [=](const std::string& text) {
           double seconds = 0;
           absl::Duration value;
           if (absl::SimpleAtod(text, &seconds)) {
             value = absl::Seconds(seconds);
           } else if (!absl::ParseDuration(text, &value)) {
             throw CLI::ValidationError(
                 name, absl::StrCat("want a time such as 5s or 250ms, got '",
                                    text, "'"));
           }
           if (value <= absl::ZeroDuration() || value > longest) {
             throw CLI::ValidationError(
                 name, absl::StrCat("want more than 0 and at most ",
                                    absl::FormatDuration(longest), ", got '",
                                    text, "'"));
           }
           *duration = value;
         },
         description)
      ->type_name("TIME")
      ->default_str(absl::FormatDuration(*duration));
}

void AddModel(CLI::App* command, ModelName* name) {
  command
      ->add_option("--model", name->model,
                   "Name of the model on the server; its only one if not set")
      ->envname("TERN_MODEL")
      ->type_name("NAME");
  command
      ->add_option("--version", name->version,
                   "Version of the model; the newest that is ready if not set")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
}

// What comes out of a classification, and in which form.
void AddOutputOptions(CLI::App* command, ClassifyOptions* output) {
  ClassifyOptions& options = *output;
  CLI::Option* json = command->add_flag_callback(
      "--json", [&options] { options.format = Format::kJson; },
      "Write one JSON object");
  command
      ->add_flag_callback(
          "--csv", [&options] { options.format = Format::kCsv; },
          "Write CSV, one line for each class")
      ->excludes(json);
  command
      ->add_option_function<std::string>(
          "--draw",
          [&options](const std::string& mode) {
            options.draw = mode == "always"  ? DrawMode::kAlways
                           : mode == "never" ? DrawMode::kNever
                                             : DrawMode::kAuto;
          },
          "Draw pictures; auto: a few, on a terminal")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("MODE")
      ->default_str("auto");
  command
      ->add_option("--dump_logits", options.dump_logits,
                   "Write every logit to FILE as little-endian float32")
      ->type_name("FILE");
}

void AddClassify(CLI::App* app, Invocation* invocation) {
  ClassifyOptions& options = invocation->classify;
  CLI::App* command = app->add_subcommand("classify", "Say what pictures show");
  command
      ->add_option("pictures", options.pictures,
                   "JPEG and PNG files, folders, globs, - for standard input, "
                   "or idx:DIR[:test|train][:N[-M]] for a labelled data set")
      ->type_name("PATH")
      ->required();
  AddModel(command, &options.model);
  command->add_option("--top_k", options.top_k, "Classes to tell of a picture")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--batch", options.batch, "Pictures in one request")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  AddOutputOptions(command, &options);
  command->callback([invocation] {
    invocation->run = [invocation] {
      return RunClassify(invocation->classify, invocation->connection,
                         *invocation->console);
    };
  });
}

using ModelsFn = int (*)(const ModelsOptions&, const Connection&,
                         const Console&);

enum class Needs { kNothing, kModel, kVersion };

CLI::App* AddModelsCommand(CLI::App* models, const std::string& name,
                           const std::string& description, Needs needs,
                           ModelsFn run, Invocation* invocation) {
  ModelsOptions& options = invocation->models;
  CLI::App* command = models->add_subcommand(name, description);
  // An upload's file comes first.
  if (run == &RunModelsUpload) {
    command->add_option("file", options.file, "The .twn file")
        ->type_name("FILE")
        ->required();
  }
  CLI::Option* model = command
                           ->add_option("--model,model", options.model.model,
                                        "Name of the model")
                           ->type_name("NAME");
  if (needs != Needs::kNothing) {
    model->envname("TERN_MODEL")->required();
    command->add_option("--version", options.model.version, "Its version")
        ->type_name("N")
        ->check(CLI::PositiveNumber)
        ->required(needs == Needs::kVersion);
  }
  command->add_flag("--json", options.json, "Write JSON");
  command->callback([invocation, run] {
    invocation->run = [invocation, run] {
      return run(invocation->models, invocation->connection,
                 *invocation->console);
    };
  });
  return command;
}

void AddModels(CLI::App* app, Invocation* invocation) {
  CLI::App* models =
      app->add_subcommand("models", "Look at the server's models, change them");
  models->require_subcommand(1);
  AddModelsCommand(models, "list", "All versions of all models, or of one",
                   Needs::kNothing, &RunModelsList, invocation);
  AddModelsCommand(models, "status", "Everything about one version",
                   Needs::kModel, &RunModelsStatus, invocation);
  AddModelsCommand(models, "load", "Load a version from the repository",
                   Needs::kModel, &RunModelsLoad, invocation);
  AddModelsCommand(models, "unload", "Stop serving a version; its file stays",
                   Needs::kVersion, &RunModelsUnload, invocation);
  AddModelsCommand(models, "delete", "Unload a version and remove its file",
                   Needs::kVersion, &RunModelsDelete, invocation);
  AddModelsCommand(models, "upload", "Store a model file and serve it",
                   Needs::kModel, &RunModelsUpload, invocation);
}

void AddBench(CLI::App* app, Invocation* invocation) {
  BenchOptions& options = invocation->bench;
  CLI::App* command = app->add_subcommand(
      "bench", "Measure throughput and latency with callers in a closed loop");
  AddModel(command, &options.model);
  command
      ->add_option("--images", options.images,
                   "Pictures to send in turn, named as for classify; noise of "
                   "the model's size if not set")
      ->type_name("PATH")
      ->expected(1, 1000000);
  command->add_option("--concurrency", options.concurrency, "Callers at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--batch", options.batch, "Pictures in one request")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  AddDuration(command, "--duration", &options.duration, absl::Hours(1),
              "How long to send");
  command
      ->add_option("--count", options.count,
                   "Requests after which to stop earlier")
      ->check(CLI::Range(1, 10000000))
      ->type_name("N");
  command->add_flag("--json", options.json, "Write JSON");
  command->callback([invocation] {
    invocation->run = [invocation] {
      return RunBench(invocation->bench, invocation->connection,
                      *invocation->console);
    };
  });
}

void AddHealth(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand(
      "health", "Exit with 0 while the server is serving, else with 1");
  command
      ->add_option("--service", invocation->service,
                   "A model's name; the whole server if not set")
      ->type_name("NAME");
  command->callback([invocation] {
    invocation->run = [invocation] {
      return RunHealth(invocation->service, invocation->connection,
                       *invocation->console);
    };
  });
}

void AddCompletion(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand(
      "completion",
      "Write a completion script: eval \"$(tern completion bash)\"");
  command->add_option("shell", invocation->shell, "bash or zsh")
      ->check(CLI::IsMember({"bash", "zsh"}))
      ->required();
  command->callback([app, invocation] {
    invocation->run = [app, invocation] {
      *invocation->console->out << CompletionScript(
          *app, invocation->shell == "zsh" ? Shell::kZsh : Shell::kBash);
      return kExitOk;
    };
  });
}

// $XDG_CONFIG_HOME/tern.ini or ~/.config/tern.ini; read where it exists.
std::string DefaultConfigFile() {
  if (const char* config = std::getenv("XDG_CONFIG_HOME")) {
    return absl::StrCat(config, "/tern.ini");
  }
  const char* home = std::getenv("HOME");
  return home == nullptr ? "" : absl::StrCat(home, "/.config/tern.ini");
}

void Define(CLI::App* app, Invocation* invocation) {
  app->formatter(std::make_shared<HelpFormatter>());
  app->require_subcommand(1);
  app->fallthrough();
  app->set_version_flag("--version", "tern " TERN_VERSION);
  app->set_config("--config", DefaultConfigFile(),
                  "Read options from an INI file; a command's in its section");
  Connection& connection = invocation->connection;
  connection.server = "localhost:8500";
  connection.timeout = absl::Seconds(30);
  app->add_option("--server", connection.server, "gRPC address of the server")
      ->envname("TERN_SERVER")
      ->type_name("HOST:PORT")
      ->capture_default_str()
      ->group(kConnectionGroup);
  AddDuration(app, "--timeout", &connection.timeout, absl::Hours(24),
              "Longest wait for one call");
  app->get_option("--timeout")->group(kConnectionGroup);
  AddClassify(app, invocation);
  AddModels(app, invocation);
  AddBench(app, invocation);
  AddHealth(app, invocation);
  AddCompletion(app, invocation);
}

// "one, two or three"
std::string Names(const std::vector<const CLI::App*>& commands) {
  std::string text;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    absl::StrAppend(&text,
                    i == 0                    ? ""
                    : i + 1 < commands.size() ? ", "
                                              : " or ",
                    commands[i]->get_name());
  }
  return text;
}

// What is wrong with the command line; CLI11 does not say which word was no
// command, nor which ones there are.
std::string Complaint(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
  }
  const auto choices = command->get_subcommands([](auto*) { return true; });
  if (choices.empty() || error.get_name() != "RequiredError") {
    return error.what();
  }
  const std::vector<std::string> words = app.remaining(true);
  return absl::StrCat(
      words.empty() ? "a command is missing"
                    : absl::StrCat("no such command: '", words.front(), "'"),
      "; want ", Names(choices));
}

}  // namespace

int RunCli(const std::vector<std::string>& arguments, const Console& console) {
  CLI::App app("Client of a Tern server: classifies pictures, manages models.",
               "tern");
  Invocation invocation;
  invocation.console = &console;
  Define(&app, &invocation);
  try {
    // CLI11 takes arguments from the end.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    // Help and version come as exceptions as well.
    if (error.get_exit_code() == 0) {
      app.exit(error, *console.out, *console.err);
      return kExitOk;
    }
    *console.err << "tern: " << Complaint(app, error)
                 << "\nRun with --help for more information.\n";
    return kExitUsage;
  }
  return invocation.run();
}

}  // namespace tern::client
