// Client of a Tern server over gRPC.
//
// Thread-safe: one client may be used from many threads; it holds one channel.
// Every call takes a deadline. Within it, calls are retried that the server
// pushed back (RESOURCE_EXHAUSTED or UNAVAILABLE with RetryInfo), waiting as
// long as that says, and those that found it UNAVAILABLE and change nothing
// when repeated; retry.h has the rule. RESOURCE_EXHAUSTED without RetryInfo is
// final: no wait makes a message or a request smaller. Errors are the server's
// status, its message first; INVALID_ARGUMENT names the fields.

#ifndef TERN_CLIENTS_CPP_TERN_CLIENT_H_
#define TERN_CLIENTS_CPP_TERN_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tern/v1/inference.pb.h"
#include "tern/v1/repository.pb.h"

namespace tern::client {

struct ClientOptions {
  // For each call; an upload gets this for each started MiB.
  absl::Duration timeout = absl::Seconds(30);
  // Attempts in all, 1 = no retry.
  int max_attempts = 5;
  // Largest reply and request accepted.
  int max_message_bytes = 64 << 20;
};

class Client {
 public:
  // `target` is HOST:PORT. Connects at the first call.
  explicit Client(const std::string& target, const ClientOptions& options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  absl::StatusOr<v1::ClassifyResponse> Classify(
      const v1::ClassifyRequest& request);

  // Sends the model file at `path`. `progress` (may be null) is called with
  // bytes sent so far. version 0: the server numbers it.
  absl::StatusOr<v1::UploadResponse> Upload(
      const std::string& path, const std::string& model, std::uint64_t version,
      const std::function<void(std::uint64_t)>& progress);

  absl::StatusOr<v1::ListModelsResponse> ListModels(const std::string& model);
  absl::StatusOr<v1::GetModelResponse> GetModel(const std::string& model,
                                                std::uint64_t version);
  absl::StatusOr<v1::ModelStatus> LoadModel(const std::string& model,
                                            std::uint64_t version);
  absl::Status UnloadModel(const std::string& model, std::uint64_t version);
  absl::Status DeleteModel(const std::string& model, std::uint64_t version);

  // grpc.health.v1 Check of `service` ("" = the whole server).
  absl::StatusOr<bool> IsServing(const std::string& service);

 private:
  struct Stubs;
  std::unique_ptr<Stubs> stubs_;
  ClientOptions options_;
};

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_TERN_CLIENT_H_
