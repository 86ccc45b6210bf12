#include "server/rpc_server.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "grpc/support/log.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/logging.h"

namespace tern::server {
namespace {

// Two threads on one queue: the best throughput by gRPC's own measurements.
constexpr int kLoopThreads = 2;
// One connection may not take all there is; more streams wait at the client.
constexpr int kMaxStreamsPerConnection = 1024;
// Clients may ping that often, also without a call, to notice dead peers.
constexpr int kMinPingIntervalMs = 10'000;

void SetLimits(grpc::ServerBuilder& builder, const RpcServerOptions& options) {
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  builder.SetMaxSendMessageSize(options.max_message_bytes);
  // A second server on the same port must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             kMaxStreamsPerConnection);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

// gRPC would write to standard error, between the lines of the log.
void LogFromGrpc(gpr_log_func_args* args) {
  if (args->severity == GPR_LOG_SEVERITY_ERROR) {
    LogWarn("grpc: {}", args->message);
  } else {
    LogDebug("grpc: {}", args->message);
  }
}

// gRPC would only say that it failed; this says why.
absl::Status CheckPortIsFree(const HostPort& address) {
  const absl::StatusOr<ListenSocket> socket = Listen(address);
  if (socket.ok()) close(socket->fd);
  return socket.status();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    const RpcServerOptions& options,
    const std::vector<grpc::Service*>& services) {
  gpr_set_log_function(&LogFromGrpc);
  TERN_RETURN_IF_ERROR(CheckPortIsFree(options.address));
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  const std::string address =
      FormatHostPort(options.address.host, options.address.port);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  SetLimits(builder, options);
  for (grpc::Service* service : services) builder.RegisterService(service);

  std::unique_ptr<RpcServer> server(new RpcServer());
  server->loop_ =
      std::make_unique<CompletionLoop>(builder.AddCompletionQueue());
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("the gRPC server did not start on ", address));
  }
  server->port_ = static_cast<std::uint16_t>(port);
  server->loop_->Start(kLoopThreads);
  return server;
}

RpcServer::~RpcServer() { Shutdown(std::chrono::milliseconds(0)); }

void RpcServer::Shutdown(std::chrono::milliseconds patience) {
  if (server_ == nullptr) return;
  loop_->Drain(std::chrono::steady_clock::now() + patience);
  // Nothing is under way, or it has had its time: this is only for clients to
  // hear the goodbye. One that does not listen must not hold the server up.
  constexpr std::chrono::milliseconds kGoodbye{100};
  server_->Shutdown(std::chrono::system_clock::now() +
                    std::min(patience, kGoodbye));
  loop_->Stop();
  server_.reset();
}

}  // namespace tern::server
