#include "server/http_routes.h"

#include <memory>
#include <string>
#include <utility>

namespace tern::server {
namespace {

HttpResponse Text(int code, std::string body) {
  HttpResponse response;
  response.code = code;
  response.body = std::move(body);
  return response;
}

}  // namespace

Router MakeRoutes(HttpSources sources) {
  Router router;
  router.Add("GET", "/metrics",
             [metrics = sources.metrics](
                 const std::shared_ptr<HttpExchange>& exchange) {
               HttpResponse response = Text(200, metrics->Serialize());
               response.content_type =
                   "text/plain; version=0.0.4; charset=utf-8";
               exchange->Send(std::move(response));
             });
  router.Add("GET", "/healthz/live",
             [](const std::shared_ptr<HttpExchange>& exchange) {
               exchange->Send(Text(200, "live\n"));
             });
  router.Add("GET", "/healthz/ready",
             [ready = std::move(sources.ready)](
                 const std::shared_ptr<HttpExchange>& exchange) {
               exchange->Send(ready() ? Text(200, "ready\n")
                                      : Text(503, "not ready\n"));
             });
  return router;
}

}  // namespace tern::server
