// Server: owns the parts and their order.
//
// Start: kernels, metrics, HTTP (live, not ready), repository, first load with
// golden tests and warm-up, gRPC port, health SERVING, ready file.
// Stop: health NOT_SERVING, ready 503, ready file gone; drain_delay; gRPC takes
// no new calls and those under way finish; HTTP likewise; the batcher drains;
// models go.
//
// A model that fails to load does not stop the server: it is FAILED in the
// list, and everything else is served.
//
// Thread-compatible.

#ifndef TERN_SERVER_SERVER_H_
#define TERN_SERVER_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/server_options.h"

namespace tern::server {

class Server {
 public:
  // Serves when it returns. `options` must be valid. `before_accepting` is
  // called when the models are loaded: until then the server has accepted
  // nothing that would be lost if the process ended.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options,
      const std::function<void()>& before_accepting = nullptr);
  // Stops.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // HOST:PORT as bound; the host as it was given.
  const std::string& grpc_address() const;
  const std::string& http_address() const;

  // Returns when every request under way has its answer, or at the latest
  // after the options' times, and everything has ended. Any number of times.
  void Stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVER_H_
