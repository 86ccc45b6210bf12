#include "server/http/http_exchange.h"

#include <utility>

namespace tern::server {
namespace {

// What a handler holds: an exchange that answers 500 when it is dropped.
class HandlerExchange final : public HttpExchange {
 public:
  explicit HandlerExchange(std::shared_ptr<MhdExchange> exchange)
      : exchange_(std::move(exchange)) {}
  ~HandlerExchange() override {
    if (!sent_) {
      exchange_->Send(
          ErrorResponse(500, "INTERNAL", "the handler gave no answer"));
    }
  }
  const HttpRequest& request() const override { return exchange_->request(); }
  void Send(HttpResponse response) override {
    sent_ = true;
    exchange_->Send(std::move(response));
  }

 private:
  const std::shared_ptr<MhdExchange> exchange_;
  bool sent_ = false;
};

}  // namespace

MhdExchange::MhdExchange(MHD_Connection* connection, HttpRequest request,
                         HttpHandler handler)
    : request_(std::move(request)),
      handler_(std::move(handler)),
      connection_(connection) {}

bool MhdExchange::Handle() {
  started_ = true;
  handler_(std::make_shared<HandlerExchange>(shared_from_this()));
  MutexLock lock(&mu_);
  if (response_) return true;
  MHD_suspend_connection(connection_);
  asleep_ = true;
  return false;
}

HttpResponse MhdExchange::TakeResponse() {
  MutexLock lock(&mu_);
  HttpResponse response = *std::move(response_);
  response_.reset();
  return response;
}

void MhdExchange::Abandon() {
  MutexLock lock(&mu_);
  connection_ = nullptr;
}

void MhdExchange::Send(HttpResponse response) {
  MutexLock lock(&mu_);
  if (connection_ == nullptr || sent_) return;
  sent_ = true;
  response_ = std::move(response);
  if (asleep_) {
    asleep_ = false;
    MHD_resume_connection(connection_);
  }
}

}  // namespace tern::server
