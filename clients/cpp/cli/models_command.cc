#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clients/cpp/cli/commands.h"
#include "clients/cpp/cli/json.h"

namespace tern::client {
namespace {

std::string_view StateName(v1::ModelState state) {
  switch (state) {
    case v1::MODEL_STATE_UNLOADED:
      return "unloaded";
    case v1::MODEL_STATE_LOADING:
      return "loading";
    case v1::MODEL_STATE_READY:
      return "ready";
    case v1::MODEL_STATE_UNLOADING:
      return "unloading";
    case v1::MODEL_STATE_FAILED:
      return "failed";
    default:
      return "unknown";
  }
}

std::string Size(std::uint64_t bytes) {
  constexpr double kKiB = 1024;
  const auto value = static_cast<double>(bytes);
  if (bytes == 0) return "-";
  if (value < kKiB) return absl::StrCat(bytes, " B");
  if (value < kKiB * kKiB) return absl::StrFormat("%.1f KiB", value / kKiB);
  return absl::StrFormat("%.1f MiB", value / kKiB / kKiB);
}

Json ToJson(const v1::ModelStatus& model) {
  Json json = {{"model", model.model()},
               {"version", model.version()},
               {"state", StateName(model.state())},
               {"digest", model.digest()},
               {"file_bytes", model.file_bytes()},
               {"packed_bytes", model.packed_bytes()},
               {"float32_bytes", model.float32_bytes()},
               {"inference_count", model.inference_count()},
               {"execution_count", model.execution_count()}};
  if (model.error().code() != 0) json["error"] = model.error().message();
  return json;
}

using Row = std::vector<std::string>;

// Left-aligned columns, two spaces apart.
void PrintTable(const std::vector<Row>& rows, std::ostream* out) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      absl::StrAppendFormat(&line, "%-*s", static_cast<int>(widths[i] + 2),
                            row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    *out << line << "\n";
  }
}

void PrintModels(const v1::ListModelsResponse& list, std::ostream* out) {
  std::vector<Row> rows = {{"MODEL", "VERSION", "STATE", "FILE", "IN MEMORY",
                            "AS FLOAT32", "IMAGES", "SHA-256", ""}};
  for (const v1::ModelStatus& model : list.models()) {
    rows.push_back({model.model(), absl::StrCat(model.version()),
                    std::string(StateName(model.state())),
                    Size(model.file_bytes()), Size(model.packed_bytes()),
                    Size(model.float32_bytes()),
                    absl::StrCat(model.inference_count()),
                    model.digest().substr(0, 12), model.error().message()});
  }
  PrintTable(rows, out);
}

Json DetailsToJson(const v1::GetModelResponse& details) {
  Json json = ToJson(details.status());
  json["input"] = {{"height", details.input().height()},
                   {"width", details.input().width()},
                   {"channels", details.input().channels()}};
  json["classes"] = details.classes();
  json["labels"] = Json::array();
  for (const std::string& label : details.labels()) {
    json["labels"].push_back(label);
  }
  json["facts"] = Json::object();
  for (const auto& fact : details.card().fact()) {
    json["facts"][fact.name()] = fact.value();
  }
  json["metrics"] = Json::array();
  for (const auto& metric : details.card().metric()) {
    json["metrics"].push_back({{"name", metric.name()},
                               {"split", metric.split()},
                               {"value", metric.value()}});
  }
  return json;
}

void PrintDetails(const v1::GetModelResponse& details, std::ostream* out) {
  const v1::ModelStatus& status = details.status();
  std::vector<Row> rows = {
      {"model", absl::StrCat(status.model(), " version ", status.version())},
      {"state", std::string(StateName(status.state()))},
      {"sha256", status.digest()},
      {"input",
       absl::StrCat(details.input().height(), " x ", details.input().width(),
                    " x ", details.input().channels())},
      {"classes", absl::StrCat(details.classes())},
      {"file", Size(status.file_bytes())},
      {"in memory", Size(status.packed_bytes())},
      {"as float32", Size(status.float32_bytes())},
      {"images", absl::StrCat(status.inference_count(), " in ",
                              status.execution_count(), " executions")}};
  std::string labels;
  for (const std::string& label : details.labels()) {
    absl::StrAppend(&labels, labels.empty() ? "" : ", ", label);
  }
  if (!labels.empty()) rows.push_back({"labels", labels});
  for (const auto& fact : details.card().fact()) {
    rows.push_back({fact.name(), fact.value()});
  }
  for (const auto& metric : details.card().metric()) {
    rows.push_back({absl::StrCat(metric.name(), " (", metric.split(), ")"),
                    absl::StrFormat("%.6g", metric.value())});
  }
  PrintTable(rows, out);
}

// What was done, to a person or a program.
void Report(const ModelsOptions& options, std::string_view what,
            std::uint64_t version, const Console& console) {
  if (options.json) {
    *console.out << Dump({{"model", options.model.model},
                          {"version", version},
                          {"result", what}})
                 << "\n";
    return;
  }
  *console.out << options.model.model << " version " << version << ": " << what
               << "\n";
}

}  // namespace

int RunModelsList(const ModelsOptions& options, const Connection& connection,
                  const Console& console) {
  Client client(connection.server, ClientOptionsOf(connection));
  const auto list = client.ListModels(options.model.model);
  if (!list.ok()) return Fail(console, connection, list.status());
  if (options.json) {
    Json models = Json::array();
    for (const v1::ModelStatus& model : list->models()) {
      models.push_back(ToJson(model));
    }
    *console.out << Dump({{"models", models}}, 1) << "\n";
  } else {
    PrintModels(*list, console.out);
    if (list->models_size() == 0) {
      *console.err << "no models yet; `tern models upload FILE.twn "
                      "--model=NAME` adds one\n";
    }
  }
  return kExitOk;
}

int RunModelsStatus(const ModelsOptions& options, const Connection& connection,
                    const Console& console) {
  Client client(connection.server, ClientOptionsOf(connection));
  const auto details =
      client.GetModel(options.model.model, options.model.version);
  if (!details.ok()) {
    // A version that is not loaded has no details, but may have a reason.
    const auto list = client.ListModels(options.model.model);
    if (list.ok() && list->models_size() > 0 && !options.json) {
      PrintModels(*list, console.out);
    }
    return Fail(console, connection, details.status());
  }
  if (options.json) {
    *console.out << Dump(DetailsToJson(*details), 1) << "\n";
  } else {
    PrintDetails(*details, console.out);
  }
  return kExitOk;
}

int RunModelsLoad(const ModelsOptions& options, const Connection& connection,
                  const Console& console) {
  Client client(connection.server, ClientOptionsOf(connection));
  const auto status =
      client.LoadModel(options.model.model, options.model.version);
  if (!status.ok()) return Fail(console, connection, status.status());
  Report(options, StateName(status->state()), status->version(), console);
  return kExitOk;
}

int RunModelsUnload(const ModelsOptions& options, const Connection& connection,
                    const Console& console) {
  Client client(connection.server, ClientOptionsOf(connection));
  const absl::Status status =
      client.UnloadModel(options.model.model, options.model.version);
  if (!status.ok()) return Fail(console, connection, status);
  Report(options, "unloaded", options.model.version, console);
  return kExitOk;
}

int RunModelsDelete(const ModelsOptions& options, const Connection& connection,
                    const Console& console) {
  Client client(connection.server, ClientOptionsOf(connection));
  const absl::Status status =
      client.DeleteModel(options.model.model, options.model.version);
  if (!status.ok()) return Fail(console, connection, status);
  Report(options, "deleted", options.model.version, console);
  return kExitOk;
}

int RunModelsUpload(const ModelsOptions& options, const Connection& connection,
                    const Console& console) {
  // Not the server's NOT_FOUND.
  std::error_code error;
  if (!std::filesystem::is_regular_file(options.file, error)) {
    *console.err << "tern: " << options.file << ": "
                 << (error ? error.message() : "not a file") << "\n";
    return kExitFailed;
  }
  Client client(connection.server, ClientOptionsOf(connection));
  const auto response = client.Upload(options.file, options.model.model,
                                      options.model.version, nullptr);
  if (!response.ok()) return Fail(console, connection, response.status());
  Report(options, response->existed() ? "was there already" : "uploaded",
         response->version(), console);
  return kExitOk;
}

}  // namespace tern::client
