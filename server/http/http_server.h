// HttpServer: the server's one HTTP door, on libmicrohttpd.
//
// One thread waits on all connections (epoll). A connection costs memory, never
// a thread: a request is handed to its handler when the last byte has come, the
// connection sleeps until the handler sends, and a request that takes longer
// than `request_timeout` to arrive is cut off.
//
// Thread-safe. Handlers run on that one thread and must be quick (answer now,
// or pass the exchange on). What they refer to must outlive Stop.

#ifndef TERN_SERVER_HTTP_HTTP_SERVER_H_
#define TERN_SERVER_HTTP_HTTP_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "server/http/listen_socket.h"
#include "server/http/router.h"

namespace tern::server {

struct HttpServerOptions {
  // Answered with 413 when larger.
  std::size_t max_body_bytes = std::size_t{16} << 20;
  // Of all requests that are arriving or being handled; 503 beyond.
  std::size_t max_total_body_bytes = std::size_t{256} << 20;
  // More wait in the kernel's queue.
  unsigned max_connections = 256;
  // For a whole request to arrive, for a whole answer to leave, and for a
  // connection between requests.
  std::chrono::milliseconds request_timeout{30'000};
};

class HttpServer {
 public:
  // UNAVAILABLE where the address cannot be had.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      const HostPort& address, Router router, const HttpServerOptions& options);
  // Stops.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;

  // Accepts no more, waits up to `patience` for answers to leave, closes.
  // Exchanges still open answer 503; a later Send is ignored.
  void Stop(std::chrono::milliseconds patience);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_HTTP_HTTP_SERVER_H_
