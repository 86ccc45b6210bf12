// Addresses and listening sockets.

#ifndef TERN_SERVER_HTTP_LISTEN_SOCKET_H_
#define TERN_SERVER_HTTP_LISTEN_SOCKET_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tern::server {

struct HostPort {
  // Without brackets.
  std::string host;
  // 0: any that is free.
  std::uint16_t port = 0;
};

// "HOST:PORT"; IPv6 as "[::1]:80". INVALID_ARGUMENT says what is wrong.
absl::StatusOr<HostPort> ParseHostPort(std::string_view address);
// The other way.
std::string FormatHostPort(std::string_view host, std::uint16_t port);

struct ListenSocket {
  // The caller closes it.
  int fd = -1;
  // The one chosen where 0 was asked for.
  std::uint16_t port = 0;
};

// A non-blocking TCP socket that listens. UNAVAILABLE: in use, no such
// address; INVALID_ARGUMENT: the host does not resolve.
absl::StatusOr<ListenSocket> Listen(const HostPort& address);

}  // namespace tern::server

#endif  // TERN_SERVER_HTTP_LISTEN_SOCKET_H_
