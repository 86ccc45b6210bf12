#include "server/server_options.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/base/thread_pool.h"
#include "engine/kernels/kernel_table.h"
#include "server/http/listen_socket.h"
#include "server/logging.h"
#include "server/serving/version_policy.h"

namespace tern::server {
namespace {

constexpr int kUsageError = 2;
constexpr char kServed[] = "What is served";
constexpr char kWhere[] = "Where";
constexpr char kLimits[] = "Limits";
constexpr char kPerformance[] = "Performance (no answer depends on it)";
constexpr char kOperation[] = "Operation";

constexpr std::int64_t kGiB = std::int64_t{1} << 30;
constexpr std::int64_t kDayMs = 86'400'000;

// One option: its name on the command line, in the configuration file and, with
// TERN_ before it and in capitals, in the environment.
struct Option {
  const char* group;
  const char* name;
  const char* help;
  std::variant<std::string ServerOptions::*, int ServerOptions::*,
               std::int64_t ServerOptions::*>
      member;
  // Of numbers.
  std::int64_t least = 0;
  std::int64_t most = 0;
};

using O = ServerOptions;
constexpr Option kOptions[] = {
    {kServed, "model_repository",
     "Folder <model>/<version>/model.twn, or one .twn file",
     &O::model_repository},
    {kServed, "default_model",
     "Name of a model.twn without a folder of its own; empty: the folder's",
     &O::default_model},
    {kServed, "version_policy",
     "Versions to load: latest, latest:N, all or specific:1,4",
     &O::version_policy},

    {kWhere, "grpc_address", "HOST:PORT; port 0: any that is free",
     &O::grpc_address},
    {kWhere, "http_address",
     "HOST:PORT of /metrics, /healthz/live, /healthz/ready", &O::http_address},
    {kWhere, "ready_file",
     "Written when ready: {\"grpc\": \"HOST:PORT\", \"http\": \"HOST:PORT\"}",
     &O::ready_file},

    // gRPC's limit is an int.
    {kLimits, "max_message_bytes", "Largest gRPC message",
     &O::max_message_bytes, 1 << 16, 2 * kGiB - 1},
    {kLimits, "max_http_body_bytes", "Largest HTTP body",
     &O::max_http_body_bytes, 1, 2 * kGiB - 1},
    {kLimits, "max_model_bytes", "Largest model file", &O::max_model_bytes, 1,
     64 * kGiB},
    {kLimits, "max_pictures", "Pictures in one request", &O::max_pictures, 1,
     65'536},
    {kLimits, "max_image_bytes", "Largest JPEG or PNG file",
     &O::max_image_bytes, 1, 2 * kGiB - 1},
    {kLimits, "max_image_pixels", "Pixels of one picture before resizing",
     &O::max_image_pixels, 1, kGiB},
    {kLimits, "http_timeout_ms",
     "Time that a classification over HTTP has, from its last byte on",
     &O::http_timeout_ms, 1, kDayMs},
    {kLimits, "upload_silence_ms", "Longest silence within an upload",
     &O::upload_silence_ms, 10, kDayMs},
    {kLimits, "queue_capacity",
     "Requests that one model version holds; more get RESOURCE_EXHAUSTED",
     &O::queue_capacity, 1, 1 << 20},
    {kLimits, "queue_capacity_bytes", "Bytes of those requests",
     &O::queue_capacity_bytes, 1, 1024 * kGiB},

    {kPerformance, "isa",
     "Kernel table: auto, reference; on x86-64 avx2, avx512vnni, "
     "avx512vnni_wide, amx; on arm64 neon",
     &O::isa},
    {kPerformance, "threads",
     "Threads that compute; 0: the CPUs of affinity mask and cgroup quota",
     &O::threads, 0, 1024},
    {kPerformance, "executors",
     "Batches at the same time; they share the threads", &O::executors, 1,
     1024},
    {kPerformance, "decode_threads",
     "Threads that decode pictures; 0: as many as threads", &O::decode_threads,
     0, 1024},
    {kPerformance, "load_threads", "Threads that load models, at low priority",
     &O::load_threads, 1, 64},
    {kPerformance, "max_batch_size", "Pictures in one batch",
     &O::max_batch_size, 1, 65'536},
    {kPerformance, "max_queue_delay_us",
     "Wait of an incomplete batch while an executor is free; 0: none",
     &O::max_queue_delay_us, 0, 60'000'000},

    {kOperation, "drain_delay_ms",
     "After SIGTERM: accept requests that long while NOT_SERVING",
     &O::drain_delay_ms, 0, kDayMs},
    {kOperation, "drain_timeout_ms",
     "Then: time that requests under way have to finish", &O::drain_timeout_ms,
     0, kDayMs},
    {kOperation, "log_format", "text or json", &O::log_format},
    {kOperation, "log_level", "debug, info, warn, error or off", &O::log_level},
};

void AddOption(CLI::App& app, const Option& option, ServerOptions& values) {
  std::visit(
      [&](auto member) {
        app.add_option(absl::StrCat("--", option.name), values.*member,
                       option.help)
            ->capture_default_str()
            ->envname(absl::StrCat("TERN_", absl::AsciiStrToUpper(option.name)))
            ->group(option.group);
      },
      option.member);
}

// INVALID_ARGUMENT for a number out of its range.
absl::Status CheckRange(const Option& option, const ServerOptions& values) {
  std::int64_t value = 0;
  if (const auto* small = std::get_if<int O::*>(&option.member)) {
    value = values.*(*small);
  } else if (const auto* large =
                 std::get_if<std::int64_t O::*>(&option.member)) {
    value = values.*(*large);
  }
  if (value >= option.least && value <= option.most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(option.name, ": want ",
                                                 option.least, "..",
                                                 option.most, ", got ", value));
}

absl::Status CheckAddress(absl::string_view name, const std::string& address) {
  const auto parsed = ParseHostPort(address);
  if (parsed.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": ", parsed.status().message()));
}

// Only whether there is such a table: whether this CPU runs it is no usage
// error.
absl::Status CheckIsa(const std::string& isa) {
  std::vector<std::string_view> names = KernelTableNames();
  names.insert(names.begin(), "auto");
  if (std::find(names.begin(), names.end(), isa) != names.end()) {
    return absl::OkStatus();
  }
  std::string wanted;
  for (const std::string_view name : names) {
    absl::StrAppend(&wanted, wanted.empty() ? "" : ", ", std::string(name));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("isa: want one of ", wanted, ", got '", isa, "'"));
}

}  // namespace

absl::Status ServerOptions::Validate() const {
  if (model_repository.empty()) {
    return absl::InvalidArgumentError("model_repository: want a folder");
  }
  if (const auto policy = VersionPolicy::Parse(version_policy); !policy.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("version_policy: ", policy.status().message()));
  }
  TERN_RETURN_IF_ERROR(CheckIsa(isa));
  TERN_RETURN_IF_ERROR(CheckLogging(log_format, log_level));
  TERN_RETURN_IF_ERROR(CheckAddress("grpc_address", grpc_address));
  TERN_RETURN_IF_ERROR(CheckAddress("http_address", http_address));
  for (const Option& option : kOptions) {
    TERN_RETURN_IF_ERROR(CheckRange(option, *this));
  }
  return absl::OkStatus();
}

int ServerOptions::EffectiveThreads() const {
  return threads > 0 ? threads : UsableCpus();
}

int ServerOptions::EffectiveDecodeThreads() const {
  return decode_threads > 0 ? decode_threads : EffectiveThreads();
}

std::optional<int> ParseServerOptions(int argc, const char* const* argv,
                                      ServerOptions* options) {
  CLI::App app("Serves ternary-weight image classifiers over gRPC.",
               "tern-server");
  app.set_version_flag("--version",
                       absl::StrCat("tern-server ", ServerVersion()));
  app.set_config("--config", "",
                 "File with lines name = value; same names as here")
      ->envname("TERN_CONFIG");
  app.footer(
      "Each option may also be set by environment variable (TERN_NAME) or in\n"
      "the --config file; the command line wins, then the file.\n"
      "SIGTERM or SIGINT: finish what is under way and exit 0; a second one\n"
      "ends at once. Exit code 1: failed, 2: wrong options.");
  app.get_formatter()->column_width(34);
  for (const Option& option : kOptions) AddOption(app, option, *options);
  app.get_option("--model_repository")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? 0 : kUsageError;
  }
  if (const absl::Status valid = options->Validate(); !valid.ok()) {
    std::cerr << "--" << valid.message() << "\nRun with --help for more.\n";
    return kUsageError;
  }
  return std::nullopt;
}

const char* ServerVersion() { return TERN_VERSION; }

}  // namespace tern::server
