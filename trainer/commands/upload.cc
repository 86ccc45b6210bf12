#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "clients/cpp/tern_client.h"
#include "engine/base/status_macros.h"
#include "trainer/commands/command.h"

namespace tern::trainer {
namespace {

struct UploadCommand {
  std::string path;
  std::string server;
  std::string model;
  std::uint64_t version = 0;
};

absl::Status Run(const UploadCommand& command) {
  // Says what is wrong with the file before the network is asked.
  TERN_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model,
                        LoadModel(command.path, "auto"));
  const std::uint64_t size = model->file_bytes();
  const bool show = isatty(STDERR_FILENO) == 1;
  client::Client client(command.server);
  const auto response = client.Upload(
      command.path, command.model, command.version, [&](std::uint64_t sent) {
        if (!show) return;
        std::fprintf(stderr, "\r\033[K%llu of %llu bytes",
                     static_cast<unsigned long long>(sent),
                     static_cast<unsigned long long>(size));
        std::fflush(stderr);
      });
  if (show) std::fprintf(stderr, "\r\033[K");
  TERN_RETURN_IF_ERROR(response.status());
  std::printf(
      "%s version %llu %s (%llu bytes, sha256 %s)\n", response->model().c_str(),
      static_cast<unsigned long long>(response->version()),
      response->existed() ? "was there already" : "uploaded",
      static_cast<unsigned long long>(size), response->digest().c_str());
  return absl::OkStatus();
}

}  // namespace

Command AddUpload(CLI::App& app) {
  auto command = std::make_shared<UploadCommand>();
  UploadCommand& c = *command;
  CLI::App* sub =
      app.add_subcommand("upload", "Send a .twn file to a running server");
  sub->add_option("FILE", c.path, "The .twn file")->required();
  sub->add_option("--server", c.server, "HOST:PORT of its gRPC address")
      ->required();
  sub->add_option("--model", c.model, "Name to serve it under")->required();
  sub->add_option("--version", c.version,
                  "Its number; without, one more than the largest there");
  return {sub, [] { return absl::OkStatus(); },
          [command] { return Run(*command); }};
}

}  // namespace tern::trainer
