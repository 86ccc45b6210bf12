// RpcServer: the gRPC door: address, limits, completion loop, reflection.
//
// Start order: register services, Start, then each service's Serve(loop()).
// Shutdown: new calls get UNAVAILABLE; calls under way finish or, when the
// patience is over, are cancelled; connections close; the loop stops.
//
// Thread-compatible.

#ifndef TERN_SERVER_RPC_SERVER_H_
#define TERN_SERVER_RPC_SERVER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/server.h"
#include "server/http/listen_socket.h"
#include "server/rpc/completion_loop.h"

namespace tern::server {

struct RpcServerOptions {
  HostPort address;
  int max_message_bytes = 64 << 20;
};

class RpcServer {
 public:
  // Services must outlive the server. UNAVAILABLE where the address cannot be
  // had.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      const RpcServerOptions& options,
      const std::vector<grpc::Service*>& services);
  // Shuts down without patience.
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  CompletionLoop* loop() { return loop_.get(); }
  std::uint16_t port() const { return port_; }

  // Whatever handlers use must still work until this returns.
  void Shutdown(std::chrono::milliseconds patience);

 private:
  RpcServer() = default;

  std::unique_ptr<CompletionLoop> loop_;
  std::unique_ptr<grpc::Server> server_;
  std::uint16_t port_ = 0;
};

}  // namespace tern::server

#endif  // TERN_SERVER_RPC_SERVER_H_
