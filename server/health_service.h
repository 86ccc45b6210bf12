// HealthService: grpc.health.v1, Check and Watch.
//
// Names: "" (the server as a whole), "tern.v1.InferenceService",
// "tern.v1.RepositoryService", and each model's name, which is SERVING while
// some version of it is ready. Our own because gRPC's default one lives on the
// callback API, whose threads sleep up to 100 ms when idle.
//
// Thread-safe. Must outlive the loop that serves it.

#ifndef TERN_SERVER_HEALTH_SERVICE_H_
#define TERN_SERVER_HEALTH_SERVICE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/mutex.h"
#include "server/rpc/method_server.h"
#include "server/rpc/unary_call.h"
#include "server/rpc/writer_call.h"

namespace tern::server {

class HealthService {
 public:
  using Status = grpc::health::v1::HealthCheckResponse::ServingStatus;

  HealthService();
  ~HealthService();
  HealthService(const HealthService&) = delete;
  HealthService& operator=(const HealthService&) = delete;

  // To register with the server's builder.
  grpc::Service* service() { return &service_; }
  // Serves from now on. After the server has started.
  void Serve(CompletionLoop* loop, CallObserver* observer);

  // The server as a whole. Models show only while it is serving.
  void SetServing(bool serving) ABSL_LOCKS_EXCLUDED(mu_);
  // A version became ready, or is no longer.
  void SetModelReady(std::string_view model, std::uint64_t version, bool ready)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The version is gone; a model without versions is unknown.
  void RemoveModel(std::string_view model, std::uint64_t version)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Ends every Watch, and those that come later, with UNAVAILABLE: they would
  // keep the server from shutting down.
  void EndWatches() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Request = grpc::health::v1::HealthCheckRequest;
  using Response = grpc::health::v1::HealthCheckResponse;
  using CheckCall = UnaryCall<Request, Response>;
  using WatchCall = WriterCall<Request, Response>;
  class Watcher;

  void Check(const std::shared_ptr<CheckCall>& call) ABSL_LOCKS_EXCLUDED(mu_);
  void Watch(const std::shared_ptr<WatchCall>& call) ABSL_LOCKS_EXCLUDED(mu_);
  Status StatusOf(const std::string& name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TellWatchers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  grpc::health::v1::Health::AsyncService service_;
  mutable Mutex mu_;
  bool serving_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  // Versions known, and whether each is ready.
  std::map<std::string, std::map<std::uint64_t, bool>, std::less<>> models_
      ABSL_GUARDED_BY(mu_);
  std::set<std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tern::server

#endif  // TERN_SERVER_HEALTH_SERVICE_H_
