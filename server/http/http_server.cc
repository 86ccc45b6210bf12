#include "server/http/http_server.h"

#include <microhttpd.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/clock.h"
#include "server/http/connection_reaper.h"
#include "server/http/http_exchange.h"
#include "server/logging.h"
#include "server/mutex.h"

namespace tern::server {
namespace {

using ExchangePtr = std::shared_ptr<MhdExchange>;

MHD_Result CollectLower(void* map, MHD_ValueKind, const char* key,
                        const char* value) {
  (*static_cast<std::map<std::string, std::string>*>(
      map))[absl::AsciiStrToLower(key)] = value == nullptr ? "" : value;
  return MHD_YES;
}

MHD_Result Collect(void* map, MHD_ValueKind, const char* key,
                   const char* value) {
  (*static_cast<std::map<std::string, std::string>*>(map))[key] =
      value == nullptr ? "" : value;
  return MHD_YES;
}

void LogFromLibrary(void*, const char* format, va_list arguments) {
  char line[512];
  std::vsnprintf(line, sizeof(line), format, arguments);
  LogDebug("http: {}", std::string(absl::StripTrailingAsciiWhitespace(line)));
}

MHD_Result Queue(MHD_Connection* connection, HttpResponse response) {
  auto* body = new std::string(std::move(response.body));
  MHD_Response* answer = MHD_create_response_from_buffer_with_free_callback_cls(
      body->size(), body->data(),
      +[](void* owned) { delete static_cast<std::string*>(owned); }, body);
  if (answer == nullptr) {
    delete body;
    return MHD_NO;
  }
  MHD_add_response_header(answer, MHD_HTTP_HEADER_CONTENT_TYPE,
                          response.content_type.c_str());
  for (const auto& [name, value] : response.headers) {
    MHD_add_response_header(answer, name.c_str(), value.c_str());
  }
  const MHD_Result queued = MHD_queue_response(
      connection, static_cast<unsigned>(response.code), answer);
  MHD_destroy_response(answer);
  return queued;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(Router router, const HttpServerOptions& options)
      : router_(std::move(router)), options_(options) {}

  absl::Status Start(const HostPort& address);
  void Stop(std::chrono::milliseconds patience);
  std::uint16_t port() const { return port_; }

 private:
  static MHD_Result OnAccess(void* self, MHD_Connection* connection,
                             const char* url, const char* method,
                             const char* version, const char* data,
                             std::size_t* size, void** context);
  static void OnCompleted(void* self, MHD_Connection* connection,
                          void** context, MHD_RequestTerminationCode code);
  static void OnConnection(void* self, MHD_Connection* connection,
                           void** context, MHD_ConnectionNotificationCode code);

  ExchangePtr Begin(MHD_Connection* connection, const char* url,
                    const char* method);
  void TakeBytes(MhdExchange& exchange, std::string_view bytes);
  MHD_Result Answer(MHD_Connection* connection, HttpResponse response);
  void SetDeadline(MHD_Connection* connection, TimePoint deadline);
  TimePoint RequestDeadline() const {
    return std::chrono::steady_clock::now() + options_.request_timeout;
  }

  const Router router_;
  const HttpServerOptions options_;
  std::uint16_t port_ = 0;
  MHD_Daemon* daemon_ = nullptr;
  ConnectionReaper reaper_;
  Mutex mu_;
  CondVar idle_;
  std::unordered_set<ExchangePtr> exchanges_ ABSL_GUARDED_BY(mu_);
  std::size_t total_body_bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

absl::Status HttpServer::Impl::Start(const HostPort& address) {
  TERN_ASSIGN_OR_RETURN(const ListenSocket socket, Listen(address));
  port_ = socket.port;
  const auto silence = std::max<std::chrono::seconds>(
      std::chrono::ceil<std::chrono::seconds>(options_.request_timeout),
      std::chrono::seconds(1));
  daemon_ = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
          MHD_USE_ERROR_LOG,
      0, nullptr, nullptr, &Impl::OnAccess, this,  //
      MHD_OPTION_EXTERNAL_LOGGER, &LogFromLibrary, nullptr,
      MHD_OPTION_LISTEN_SOCKET, socket.fd,  //
      MHD_OPTION_CONNECTION_LIMIT, options_.max_connections,
      MHD_OPTION_CONNECTION_TIMEOUT, static_cast<unsigned>(silence.count()),
      MHD_OPTION_NOTIFY_COMPLETED, &Impl::OnCompleted, this,
      MHD_OPTION_NOTIFY_CONNECTION, &Impl::OnConnection, this, MHD_OPTION_END);
  if (daemon_ == nullptr) {
    close(socket.fd);
    return absl::UnavailableError("the HTTP server's thread did not start");
  }
  return absl::OkStatus();
}

void HttpServer::Impl::Stop(std::chrono::milliseconds patience) {
  if (daemon_ == nullptr) return;
  const MHD_socket listening = MHD_quiesce_daemon(daemon_);
  {
    const TimePoint until = std::chrono::steady_clock::now() + patience;
    MutexLock lock(&mu_);
    while (!exchanges_.empty() && std::chrono::steady_clock::now() < until) {
      idle_.WaitUntil(&mu_, until);
    }
    // A sleeping connection must be awake when the library stops.
    for (const ExchangePtr& exchange : exchanges_) {
      exchange->Send(
          ErrorResponse(503, "UNAVAILABLE", "the server is shutting down"));
    }
  }
  MHD_stop_daemon(daemon_);
  daemon_ = nullptr;
  if (listening != MHD_INVALID_SOCKET) close(listening);
}

ExchangePtr HttpServer::Impl::Begin(MHD_Connection* connection, const char* url,
                                    const char* method) {
  HttpRequest request;
  request.method = method;
  request.path = url;
  MHD_get_connection_values(connection, MHD_HEADER_KIND, &CollectLower,
                            &request.headers);
  MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, &Collect,
                            &request.query);
  Router::Match match = router_.Find(method, url);
  request.parameters = std::move(match.parameters);
  std::optional<HttpResponse> early;
  std::uint64_t length = 0;
  if (match.code == 404) {
    early = ErrorResponse(404, "NOT_FOUND", absl::StrCat("no page at ", url));
  } else if (match.code == 405) {
    early = ErrorResponse(
        405, "UNIMPLEMENTED",
        absl::StrCat(url, " takes ", match.allow, ", not ", method));
    early->headers.emplace(MHD_HTTP_HEADER_ALLOW, match.allow);
  } else if (absl::SimpleAtoi(request.headers["content-length"], &length) &&
             length > options_.max_body_bytes) {
    early = ErrorResponse(
        413, "RESOURCE_EXHAUSTED",
        absl::StrCat("body: want at most ", options_.max_body_bytes,
                     " bytes, got ", length));
  }
  auto exchange = std::make_shared<MhdExchange>(
      connection, std::move(request),
      match.handler == nullptr ? HttpHandler() : *match.handler);
  exchange->early_response = std::move(early);
  MutexLock lock(&mu_);
  exchanges_.insert(exchange);
  return exchange;
}

void HttpServer::Impl::TakeBytes(MhdExchange& exchange,
                                 std::string_view bytes) {
  // An answer cannot be sent while a body arrives, so the rest is dropped.
  if (exchange.early_response) return;
  std::string& body = exchange.request().body;
  if (body.size() + bytes.size() > options_.max_body_bytes) {
    exchange.early_response = ErrorResponse(
        413, "RESOURCE_EXHAUSTED",
        absl::StrCat("body: want at most ", options_.max_body_bytes,
                     " bytes, got more"));
    return;
  }
  {
    MutexLock lock(&mu_);
    if (total_body_bytes_ + bytes.size() > options_.max_total_body_bytes) {
      exchange.early_response =
          ErrorResponse(503, "RESOURCE_EXHAUSTED",
                        "too many bytes of requests in memory; try again");
      exchange.early_response->headers.emplace(MHD_HTTP_HEADER_RETRY_AFTER,
                                               "1");
      return;
    }
    total_body_bytes_ += bytes.size();
  }
  exchange.charged += bytes.size();
  body.append(bytes);
}

MHD_Result HttpServer::Impl::Answer(MHD_Connection* connection,
                                    HttpResponse response) {
  SetDeadline(connection, RequestDeadline());
  return Queue(connection, std::move(response));
}

void HttpServer::Impl::SetDeadline(MHD_Connection* connection,
                                   TimePoint deadline) {
  const MHD_ConnectionInfo* info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (info != nullptr) {
    reaper_.SetDeadline(connection, info->connect_fd, deadline);
  }
}

// Called once when the headers have come, then for each piece of the body, then
// once at its end, then again whenever the connection has been woken.
MHD_Result HttpServer::Impl::OnAccess(void* self, MHD_Connection* connection,
                                      const char* url, const char* method,
                                      const char*, const char* data,
                                      std::size_t* size, void** context) {
  auto* server = static_cast<Impl*>(self);
  if (*context == nullptr) {
    auto* begun = new ExchangePtr(server->Begin(connection, url, method));
    *context = begun;
    MhdExchange& exchange = **begun;
    if (!exchange.early_response) return MHD_YES;
    return server->Answer(connection, *std::move(exchange.early_response));
  }
  MhdExchange& exchange = **static_cast<ExchangePtr*>(*context);
  if (*size > 0) {
    server->TakeBytes(exchange, {data, *size});
    *size = 0;
    return MHD_YES;
  }
  if (exchange.early_response) {
    return server->Answer(connection, *std::move(exchange.early_response));
  }
  if (!exchange.started()) {
    server->SetDeadline(connection, kNever);
    if (!exchange.Handle()) return MHD_YES;
  }
  return server->Answer(connection, exchange.TakeResponse());
}

void HttpServer::Impl::OnCompleted(void* self, MHD_Connection* connection,
                                   void** context, MHD_RequestTerminationCode) {
  auto* server = static_cast<Impl*>(self);
  if (*context == nullptr) return;
  const std::unique_ptr<ExchangePtr> exchange(
      static_cast<ExchangePtr*>(*context));
  *context = nullptr;
  (*exchange)->Abandon();
  server->SetDeadline(connection, server->RequestDeadline());
  MutexLock lock(&server->mu_);
  server->total_body_bytes_ -= (*exchange)->charged;
  server->exchanges_.erase(*exchange);
  if (server->exchanges_.empty()) server->idle_.SignalAll();
}

void HttpServer::Impl::OnConnection(void* self, MHD_Connection* connection,
                                    void**,
                                    MHD_ConnectionNotificationCode code) {
  auto* server = static_cast<Impl*>(self);
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    server->SetDeadline(connection, server->RequestDeadline());
  } else {
    server->reaper_.Remove(connection);
  }
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { Stop(std::chrono::milliseconds(0)); }

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    const HostPort& address, Router router, const HttpServerOptions& options) {
  auto impl = std::make_unique<Impl>(std::move(router), options);
  TERN_RETURN_IF_ERROR(impl->Start(address));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::uint16_t HttpServer::port() const { return impl_->port(); }

void HttpServer::Stop(std::chrono::milliseconds patience) {
  impl_->Stop(patience);
}

}  // namespace tern::server
