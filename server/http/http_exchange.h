// MhdExchange: one request on its way through libmicrohttpd. For
// http_server.cc.
//
// States: reading (its bytes arrive) -> handling (a handler has it, the
// connection sleeps) -> answered. Send may come from any thread at any time
// after the handler has started, also when the connection is gone.

#ifndef TERN_SERVER_HTTP_HTTP_EXCHANGE_H_
#define TERN_SERVER_HTTP_HTTP_EXCHANGE_H_

#include <microhttpd.h>

#include <cstddef>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "server/http/router.h"
#include "server/mutex.h"

namespace tern::server {

class MhdExchange : public std::enable_shared_from_this<MhdExchange> {
 public:
  MhdExchange(MHD_Connection* connection, HttpRequest request,
              HttpHandler handler);

  // Only on the connection's thread.
  HttpRequest& request() { return request_; }
  // Set where the answer is known before the body has come.
  std::optional<HttpResponse> early_response;
  // Bytes counted against the server's total.
  std::size_t charged = 0;

  // Runs the handler. True: the answer is there; false: the connection was
  // put to sleep and Send will wake it.
  bool Handle();
  // The answer, once; only after Handle has returned true or Send has woken
  // the connection.
  HttpResponse TakeResponse();
  bool started() const { return started_; }

  // The connection is gone: Send does nothing from now on.
  void Abandon();
  void Send(HttpResponse response);

 private:
  HttpRequest request_;
  const HttpHandler handler_;
  bool started_ = false;
  Mutex mu_;
  MHD_Connection* connection_ ABSL_GUARDED_BY(mu_);
  bool asleep_ ABSL_GUARDED_BY(mu_) = false;
  bool sent_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<HttpResponse> response_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tern::server

#endif  // TERN_SERVER_HTTP_HTTP_EXCHANGE_H_
