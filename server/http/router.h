// Router: which handler answers which HTTP request. No sockets in here.
//
// A pattern is a path whose segments are literal or one parameter each:
// "/v1/models/{model}:classify" matches "/v1/models/shoes:classify" with
// model = "shoes". A parameter takes one or more characters other than '/'.
//
// Thread-compatible while routes are added, thread-safe afterwards.

#ifndef TERN_SERVER_HTTP_ROUTER_H_
#define TERN_SERVER_HTTP_ROUTER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tern::server {

struct HttpRequest {
  std::string method;
  // Decoded path, without the query.
  std::string path;
  std::map<std::string, std::string> query;
  // Names in lower case.
  std::map<std::string, std::string> headers;
  std::string body;
  // From the pattern.
  std::map<std::string, std::string> parameters;
};

struct HttpResponse {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  // Further headers, e.g. Retry-After.
  std::map<std::string, std::string> headers;
};

// Where a handler sends its answer: once, now or later, from any thread.
// An exchange that is dropped without an answer answers 500.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  // Valid until Send.
  virtual const HttpRequest& request() const = 0;
  virtual void Send(HttpResponse response) = 0;
};

using HttpHandler = std::function<void(std::shared_ptr<HttpExchange>)>;

class Router {
 public:
  // `method`: "GET" (answers HEAD as well) or "POST".
  void Add(std::string method, std::string pattern, HttpHandler handler);

  struct Match {
    // Null: no route. `code` says why: 404, or 405 with `allow`.
    const HttpHandler* handler = nullptr;
    std::map<std::string, std::string> parameters;
    int code = 404;
    std::string allow;
  };
  Match Find(std::string_view method, std::string_view path) const;

 private:
  struct Route {
    std::string method;
    std::string pattern;
    HttpHandler handler;
  };
  std::vector<Route> routes_;
};

// The body of an error: {"error": {"code": 404, "status": "NOT_FOUND",
// "message": "..."}}; `status` is the gRPC code's name.
HttpResponse ErrorResponse(int code, std::string_view status,
                           std::string_view message);

}  // namespace tern::server

#endif  // TERN_SERVER_HTTP_ROUTER_H_
