// The HTTP door's pages: /metrics, /healthz/live, /healthz/ready, and those of
// HttpApi.

#ifndef TERN_SERVER_HTTP_ROUTES_H_
#define TERN_SERVER_HTTP_ROUTES_H_

#include <functional>

#include "server/http/router.h"
#include "server/http_api.h"
#include "server/metrics.h"

namespace tern::server {

// What the pages show; must outlive the HTTP server.
struct HttpSources {
  const Metrics* metrics = nullptr;
  std::function<bool()> ready;
  // Null while models are being loaded: 503.
  std::function<HttpApi*()> api;
};

Router MakeRoutes(HttpSources sources);

}  // namespace tern::server

#endif  // TERN_SERVER_HTTP_ROUTES_H_
