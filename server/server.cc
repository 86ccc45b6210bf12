#include "server/server.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/model/model_file.h"
#include "nlohmann/json.hpp"
#include "server/health_service.h"
#include "server/http/http_server.h"
#include "server/http_api.h"
#include "server/http_routes.h"
#include "server/inference_service.h"
#include "server/logging.h"
#include "server/metrics.h"
#include "server/repository_service.h"
#include "server/rpc_server.h"
#include "server/serving/classifier.h"
#include "server/serving/executor_pool.h"
#include "server/serving/model_manager.h"
#include "server/serving/model_repository.h"
#include "server/serving_events.h"

namespace tern::server {
namespace {

ManagerOptions MakeManagerOptions(const ServerOptions& options,
                                  VersionPolicy policy) {
  ManagerOptions made;
  made.policy = std::move(policy);
  made.queue.max_batch_size = options.max_batch_size;
  made.queue.max_requests = options.queue_capacity;
  made.queue.max_bytes = static_cast<std::size_t>(options.queue_capacity_bytes);
  made.queue.max_queue_delay =
      std::chrono::microseconds(options.max_queue_delay_us);
  made.load.max_file_bytes =
      static_cast<std::uint64_t>(options.max_model_bytes);
  made.load_threads = options.load_threads;
  return made;
}

ClassifierOptions MakeClassifierOptions(const ServerOptions& options) {
  ClassifierOptions made;
  made.max_pictures = options.max_pictures;
  made.decode.max_bytes = static_cast<std::size_t>(options.max_image_bytes);
  made.decode.max_pixels = static_cast<std::size_t>(options.max_image_pixels);
  made.decode_threads = options.EffectiveDecodeThreads();
  return made;
}

int ThreadsPerExecutor(const ServerOptions& options) {
  return std::max(1, options.EffectiveThreads() / options.executors);
}

}  // namespace

// Members stand in the order in which they are made; they go the other way.
class Server::Impl {
 public:
  explicit Impl(const ServerOptions& options) : options_(options) {}

  absl::Status Start(const std::function<void()>& before_accepting);
  void Stop();

  const std::string& grpc_address() const { return grpc_address_; }
  const std::string& http_address() const { return http_address_; }

 private:
  absl::Status LoadModels();
  void StartServing();
  absl::Status StartHttp();
  absl::Status StartRpc();
  absl::Status WriteReadyFile() const;
  absl::Status RemoveReadyFile() const;
  GaugeValues Gauges() const;

  const ServerOptions options_;
  const KernelTable* kernels_ = nullptr;
  RealClock clock_;
  HealthService health_;
  std::atomic<bool> ready_{false};
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<ServingEvents> events_;
  std::unique_ptr<ModelRepository> repository_;
  std::unique_ptr<ExecutorPool> executors_;
  std::unique_ptr<Batcher> batcher_;
  std::unique_ptr<ModelManager> manager_;
  std::unique_ptr<Classifier> classifier_;
  std::unique_ptr<InferenceService> inference_service_;
  std::unique_ptr<RepositoryService> repository_service_;
  std::unique_ptr<HttpApi> api_;
  // api_ once it is there: HTTP serves before.
  std::atomic<HttpApi*> api_ready_{nullptr};
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<RpcServer> rpc_;
  std::string grpc_address_;
  std::string http_address_;
  bool stopped_ = false;
};

absl::Status Server::Impl::Start(
    const std::function<void()>& before_accepting) {
  // First: a file of an earlier server that died would be believed.
  TERN_RETURN_IF_ERROR(RemoveReadyFile());
  TERN_ASSIGN_OR_RETURN(kernels_, SelectKernels(options_.isa));
  const std::string isa(KernelTableName(*kernels_));
  metrics_ = std::make_unique<Metrics>(BuildInfo{ServerVersion(), isa});
  events_ = std::make_unique<ServingEvents>(metrics_.get(), &health_);
  LogInfo("tern-server {}: isa={} threads={} executors={}", ServerVersion(),
          isa, options_.EffectiveThreads(), options_.executors);
  TERN_RETURN_IF_ERROR(StartHttp());
  TERN_RETURN_IF_ERROR(LoadModels());
  if (before_accepting) before_accepting();
  StartServing();
  TERN_RETURN_IF_ERROR(StartRpc());
  ready_ = true;
  health_.SetServing(true);
  TERN_RETURN_IF_ERROR(WriteReadyFile());
  LogInfo("serving: grpc={} http={}", grpc_address_, http_address_);
  return absl::OkStatus();
}

absl::Status Server::Impl::StartHttp() {
  TERN_ASSIGN_OR_RETURN(const HostPort address,
                        ParseHostPort(options_.http_address));
  HttpServerOptions http_options;
  http_options.max_body_bytes =
      static_cast<std::size_t>(options_.max_http_body_bytes);
  HttpSources sources;
  sources.metrics = metrics_.get();
  sources.ready = [this] { return ready_.load(); };
  sources.api = [this] { return api_ready_.load(); };
  TERN_ASSIGN_OR_RETURN(
      http_,
      HttpServer::Start(address, MakeRoutes(std::move(sources)), http_options));
  http_address_ = FormatHostPort(address.host, http_->port());
  return absl::OkStatus();
}

absl::Status Server::Impl::LoadModels() {
  TERN_ASSIGN_OR_RETURN(VersionPolicy policy,
                        VersionPolicy::Parse(options_.version_policy));
  RepositoryOptions repository_options;
  repository_options.root = options_.model_repository;
  repository_options.default_model = options_.default_model;
  repository_options.max_file_bytes =
      static_cast<std::uint64_t>(options_.max_model_bytes);
  TERN_ASSIGN_OR_RETURN(repository_,
                        ModelRepository::Open(std::move(repository_options)));
  executors_ = std::make_unique<ExecutorPool>(options_.executors,
                                              ThreadsPerExecutor(options_));
  batcher_ =
      std::make_unique<Batcher>(BatcherOptions{options_.executors}, &clock_,
                                std::make_unique<RoundRobinScheduler>());
  manager_ = std::make_unique<ModelManager>(
      MakeManagerOptions(options_, std::move(policy)), repository_.get(),
      kernels_, batcher_.get(), executors_.get(), &clock_, events_.get());
  // Before they load: how far that is can be watched.
  metrics_->SetGaugeSource([this] { return Gauges(); });
  LogInfo("loading models: http={} is live", http_address_);
  return manager_->Start();
}

void Server::Impl::StartServing() {
  classifier_ = std::make_unique<Classifier>(
      MakeClassifierOptions(options_), manager_.get(), batcher_.get(), &clock_);
  api_ = std::make_unique<HttpApi>(
      classifier_.get(), manager_.get(), metrics_.get(),
      std::chrono::milliseconds(options_.http_timeout_ms));
  api_ready_ = api_.get();
}

absl::Status Server::Impl::StartRpc() {
  RpcServerOptions rpc_options;
  TERN_ASSIGN_OR_RETURN(rpc_options.address,
                        ParseHostPort(options_.grpc_address));
  rpc_options.max_message_bytes = static_cast<int>(options_.max_message_bytes);
  inference_service_ = std::make_unique<InferenceService>(classifier_.get());
  repository_service_ = std::make_unique<RepositoryService>(
      manager_.get(), std::chrono::milliseconds(options_.upload_silence_ms));
  TERN_ASSIGN_OR_RETURN(
      rpc_, RpcServer::Start(rpc_options, {inference_service_->service(),
                                           repository_service_->service(),
                                           health_.service()}));
  inference_service_->Serve(rpc_->loop(), metrics_.get());
  repository_service_->Serve(rpc_->loop(), metrics_.get());
  health_.Serve(rpc_->loop(), metrics_.get());
  grpc_address_ = FormatHostPort(rpc_options.address.host, rpc_->port());
  return absl::OkStatus();
}

absl::Status Server::Impl::WriteReadyFile() const {
  if (options_.ready_file.empty()) return absl::OkStatus();
  const nlohmann::json content = {{"grpc", grpc_address_},
                                  {"http", http_address_}};
  const std::string text = content.dump() + "\n";
  return WriteFileAtomically(
      options_.ready_file,
      {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

absl::Status Server::Impl::RemoveReadyFile() const {
  const std::string& path = options_.ready_file;
  if (path.empty() || ::unlink(path.c_str()) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, path);
}

GaugeValues Server::Impl::Gauges() const {
  GaugeValues values;
  values.ready = ready_;
  if (auto models = manager_->List(""); models.ok()) {
    values.models = *std::move(models);
  }
  values.memory = executors_->memory();
  values.compute_threads = ThreadsPerExecutor(options_) * options_.executors;
  return values;
}

void Server::Impl::Stop() {
  if (std::exchange(stopped_, true)) return;
  const auto patience = std::chrono::milliseconds(options_.drain_timeout_ms);
  ready_ = false;
  if (const absl::Status removed = RemoveReadyFile(); !removed.ok()) {
    LogWarn("the ready file stays: {}", removed.ToString());
  }
  health_.SetServing(false);
  if (rpc_ != nullptr) {
    LogInfo("draining");
    std::this_thread::sleep_for(
        std::chrono::milliseconds(options_.drain_delay_ms));
    health_.EndWatches();
    rpc_->Shutdown(patience);
  }
  if (http_ != nullptr) http_->Stop(patience);
  if (metrics_ != nullptr) metrics_->SetGaugeSource(nullptr);
  if (manager_ != nullptr) manager_->StartDraining();
  if (batcher_ != nullptr) batcher_->Drain(clock_.Now() + patience);
  LogInfo("stopped");
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Stop(); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const ServerOptions& options,
    const std::function<void()>& before_accepting) {
  std::unique_ptr<Server> server(new Server(std::make_unique<Impl>(options)));
  TERN_RETURN_IF_ERROR(server->impl_->Start(before_accepting));
  return server;
}

const std::string& Server::grpc_address() const {
  return impl_->grpc_address();
}

const std::string& Server::http_address() const {
  return impl_->http_address();
}

void Server::Stop() { impl_->Stop(); }

}  // namespace tern::server
