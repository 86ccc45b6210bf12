// ServerOptions: everything that can be set from outside, with its default and
// why. Command line, configuration file (--config) and environment (TERN_ and
// the name in capitals) set the same options; the first of these wins.

#ifndef TERN_SERVER_SERVER_OPTIONS_H_
#define TERN_SERVER_SERVER_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"

namespace tern::server {

struct ServerOptions {
  // -- What is served ------------------------------------------------------

  // Folder <model>/<version>/model.twn, or one .twn file. Must exist.
  std::string model_repository;
  // Name of a model.twn without a folder of its own; empty: the folder's name.
  std::string default_model;
  // Which versions are loaded: "latest", "latest:N", "all", "specific:1,4".
  std::string version_policy = "latest";

  // -- Where ---------------------------------------------------------------

  // HOST:PORT; port 0 takes any that is free. Loopback, because there is no
  // authentication: open it on purpose.
  std::string grpc_address = "127.0.0.1:8500";
  std::string http_address = "127.0.0.1:8080";
  // There while the server is ready: {"grpc": "HOST:PORT", "http": ...}. One
  // that an earlier server left behind goes when this one starts. Empty: none.
  std::string ready_file;

  // -- Limits: beyond them a request is refused ----------------------------

  // One gRPC message. A batch of 100 pictures of 224x224x3 pixels is 15 MB.
  std::int64_t max_message_bytes = std::int64_t{64} << 20;
  std::int64_t max_http_body_bytes = std::int64_t{16} << 20;
  std::int64_t max_model_bytes = std::int64_t{1} << 30;
  int max_pictures = 1024;
  std::int64_t max_image_bytes = std::int64_t{16} << 20;
  std::int64_t max_image_pixels = 40'000'000;
  // A classification over HTTP that takes longer gets DEADLINE_EXCEEDED: HTTP
  // has no word for a client's own deadline.
  std::int64_t http_timeout_ms = 30'000;
  // An upload whose client sends nothing for that long is cut off.
  std::int64_t upload_silence_ms = 60'000;
  // Requests, and their bytes, that one model version holds, waiting or
  // running. More get RESOURCE_EXHAUSTED at once.
  int queue_capacity = 1024;
  std::int64_t queue_capacity_bytes = std::int64_t{256} << 20;

  // -- Performance: no answer depends on these -----------------------------

  // Kernel table: "auto" is the fastest that this CPU runs.
  std::string isa = "auto";
  // Threads that compute, of all executors together. 0: the CPUs that affinity
  // mask and cgroup quota leave to this process.
  int threads = 0;
  // Batches that run at the same time; threads are shared out evenly. More
  // than one helps many small models, one is best for the latency of large.
  int executors = 1;
  // 0: as many as `threads`.
  int decode_threads = 0;
  int load_threads = 1;
  int max_batch_size = 64;
  // How long an incomplete batch waits though an executor is free. 0: not at
  // all; batches still form while executors are busy.
  std::int64_t max_queue_delay_us = 0;

  // -- Operation -----------------------------------------------------------

  // After SIGTERM: how long requests are still accepted while health says
  // NOT_SERVING, for load balancers to notice; then how long requests under
  // way may take.
  std::int64_t drain_delay_ms = 0;
  std::int64_t drain_timeout_ms = 30'000;
  std::string log_format = "text";
  std::string log_level = "info";

  // INVALID_ARGUMENT names the option, what is wanted and what came.
  absl::Status Validate() const;
  // threads and decode_threads with 0 replaced.
  int EffectiveThreads() const;
  int EffectiveDecodeThreads() const;
};

// Reads the command line (and environment, and --config). A number: the
// program is over, with that exit code: 0 after --help or --version, 2 after an
// error; what there is to say has been printed.
std::optional<int> ParseServerOptions(int argc, const char* const* argv,
                                      ServerOptions* options);

// "0.1.0"
const char* ServerVersion();

}  // namespace tern::server

#endif  // TERN_SERVER_SERVER_OPTIONS_H_
