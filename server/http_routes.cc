#include "server/http_routes.h"

#include <memory>
#include <string>
#include <utility>

namespace tern::server {
namespace {

using Exchange = std::shared_ptr<HttpExchange>;

HttpResponse Text(int code, std::string body) {
  HttpResponse response;
  response.code = code;
  response.body = std::move(body);
  return response;
}

// A handler that is a method of the API, once that is there.
HttpHandler WithApi(std::function<HttpApi*()> api,
                    void (HttpApi::*method)(const Exchange&)) {
  return [api = std::move(api), method](const Exchange& exchange) {
    if (HttpApi* ready = api(); ready != nullptr) {
      (ready->*method)(exchange);
    } else {
      exchange->Send(ErrorResponse(
          absl::UnavailableError("models are being loaded; try again")));
    }
  };
}

}  // namespace

Router MakeRoutes(HttpSources sources) {
  Router router;
  router.Add(
      "GET", "/metrics", [metrics = sources.metrics](const Exchange& exchange) {
        HttpResponse response = Text(200, metrics->Serialize());
        response.content_type = "text/plain; version=0.0.4; charset=utf-8";
        exchange->Send(std::move(response));
      });
  router.Add("GET", "/healthz/live", [](const Exchange& exchange) {
    exchange->Send(Text(200, "live\n"));
  });
  router.Add("GET", "/healthz/ready",
             [ready = std::move(sources.ready)](const Exchange& exchange) {
               exchange->Send(ready() ? Text(200, "ready\n")
                                      : Text(503, "not ready\n"));
             });
  router.Add("GET", "/v1/models", WithApi(sources.api, &HttpApi::ListModels));
  router.Add("POST", "/v1/models/{model}:classify",
             WithApi(sources.api, &HttpApi::Classify));
  router.Add("POST", "/v1/models/{model}/versions/{version}:classify",
             WithApi(sources.api, &HttpApi::Classify));
  return router;
}

}  // namespace tern::server
