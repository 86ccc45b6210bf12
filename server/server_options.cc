#include "server/server_options.h"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/base/thread_pool.h"
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

// One option under its name, TERN_NAME and the file's name alike.
template <typename T>
CLI::Option* Add(CLI::App& app, const char* group, const std::string& name,
                 T& value, const std::string& help) {
  return app.add_option("--" + name, value, help)
      ->capture_default_str()
      ->envname("TERN_" + absl::AsciiStrToUpper(name))
      ->group(group);
}

void AddServed(CLI::App& app, ServerOptions& o) {
  Add(app, kServed, "model_repository", o.model_repository,
      "Folder <model>/<version>/model.twn, or one .twn file")
      ->required();
  Add(app, kServed, "default_model", o.default_model,
      "Name of a model.twn without a folder of its own; empty: the folder's");
  Add(app, kServed, "version_policy", o.version_policy,
      "Versions to load: latest, latest:N, all or specific:1,4");
  Add(app, kWhere, "grpc_address", o.grpc_address,
      "HOST:PORT; port 0: any that is free");
  Add(app, kWhere, "http_address", o.http_address,
      "HOST:PORT of /metrics, /healthz/live, /healthz/ready");
  Add(app, kWhere, "ready_file", o.ready_file,
      "Written when ready: {\"grpc\": \"HOST:PORT\", \"http\": \"HOST:PORT\"}");
}

void AddLimits(CLI::App& app, ServerOptions& o) {
  Add(app, kLimits, "max_message_bytes", o.max_message_bytes,
      "Largest gRPC message");
  Add(app, kLimits, "max_http_body_bytes", o.max_http_body_bytes,
      "Largest HTTP body");
  Add(app, kLimits, "max_model_bytes", o.max_model_bytes, "Largest model file");
  Add(app, kLimits, "max_pictures", o.max_pictures, "Pictures in one request");
  Add(app, kLimits, "max_image_bytes", o.max_image_bytes,
      "Largest JPEG or PNG file");
  Add(app, kLimits, "max_image_pixels", o.max_image_pixels,
      "Pixels of one picture before resizing");
  Add(app, kLimits, "upload_silence_ms", o.upload_silence_ms,
      "Longest silence within an upload");
  Add(app, kLimits, "queue_capacity", o.queue_capacity,
      "Requests that one model version holds; more get RESOURCE_EXHAUSTED");
  Add(app, kLimits, "queue_capacity_bytes", o.queue_capacity_bytes,
      "Bytes of those requests");
}

void AddPerformance(CLI::App& app, ServerOptions& o) {
  Add(app, kPerformance, "isa", o.isa,
      "Kernel table: auto, reference, avx2, avx512vnni");
  Add(app, kPerformance, "threads", o.threads,
      "Threads that compute; 0: the CPUs of affinity mask and cgroup quota");
  Add(app, kPerformance, "executors", o.executors,
      "Batches at the same time; they share the threads");
  Add(app, kPerformance, "decode_threads", o.decode_threads,
      "Threads that decode pictures; 0: as many as threads");
  Add(app, kPerformance, "load_threads", o.load_threads,
      "Threads that load models, at low priority");
  Add(app, kPerformance, "max_batch_size", o.max_batch_size,
      "Pictures in one batch");
  Add(app, kPerformance, "max_queue_delay_us", o.max_queue_delay_us,
      "Wait of an incomplete batch while an executor is free; 0: none");
}

void AddOperation(CLI::App& app, ServerOptions& o) {
  Add(app, kOperation, "drain_delay_ms", o.drain_delay_ms,
      "After SIGTERM: accept requests that long while NOT_SERVING");
  Add(app, kOperation, "drain_timeout_ms", o.drain_timeout_ms,
      "Then: time that requests under way have to finish");
  Add(app, kOperation, "log_format", o.log_format, "text or json");
  Add(app, kOperation, "log_level", o.log_level,
      "debug, info, warn, error or off");
}

absl::Status CheckRange(absl::string_view name, std::int64_t value,
                        std::int64_t least, std::int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": want ", least, "..", most, ", got ", value));
}

absl::Status CheckAddress(absl::string_view name, const std::string& address) {
  const auto parsed = ParseHostPort(address);
  if (parsed.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": ", parsed.status().message()));
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
  TERN_RETURN_IF_ERROR(CheckLogging(log_format, log_level));
  TERN_RETURN_IF_ERROR(CheckAddress("grpc_address", grpc_address));
  TERN_RETURN_IF_ERROR(CheckAddress("http_address", http_address));
  constexpr std::int64_t kGiB = std::int64_t{1} << 30;
  constexpr std::int64_t kDayMs = 86'400'000;
  struct Range {
    const char* name;
    std::int64_t value, least, most;
  };
  const Range ranges[] = {
      // gRPC's limit is an int.
      {"max_message_bytes", max_message_bytes, 1 << 16, 2 * kGiB - 1},
      {"max_http_body_bytes", max_http_body_bytes, 1, 2 * kGiB - 1},
      {"max_model_bytes", max_model_bytes, 1, 64 * kGiB},
      {"max_pictures", max_pictures, 1, 65'536},
      {"max_image_bytes", max_image_bytes, 1, 2 * kGiB - 1},
      {"max_image_pixels", max_image_pixels, 1, kGiB},
      {"upload_silence_ms", upload_silence_ms, 10, kDayMs},
      {"queue_capacity", queue_capacity, 1, 1 << 20},
      {"queue_capacity_bytes", queue_capacity_bytes, 1, 1024 * kGiB},
      {"threads", threads, 0, 1024},
      {"executors", executors, 1, 1024},
      {"decode_threads", decode_threads, 0, 1024},
      {"load_threads", load_threads, 1, 64},
      {"max_batch_size", max_batch_size, 1, 65'536},
      {"max_queue_delay_us", max_queue_delay_us, 0, 60'000'000},
      {"drain_delay_ms", drain_delay_ms, 0, kDayMs},
      {"drain_timeout_ms", drain_timeout_ms, 0, kDayMs},
  };
  for (const Range& range : ranges) {
    TERN_RETURN_IF_ERROR(
        CheckRange(range.name, range.value, range.least, range.most));
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
  AddServed(app, *options);
  AddLimits(app, *options);
  AddPerformance(app, *options);
  AddOperation(app, *options);
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
