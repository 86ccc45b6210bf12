// HttpApi: classification for those who only have curl.
//
//   curl --data-binary @shoe.png http://HOST:PORT/v1/models/shoes:classify
//
// POST /v1/models/{model}:classify                      body: one JPEG or PNG
// POST /v1/models/{model}/versions/{version}:classify   the same
//      ?top_k=N&logits=true&priority=N
// GET  /v1/models                                       what there is
//
// Answers are the JSON form of tern.v1.ClassifyResponse and ListModelsResponse,
// names as in the proto, fields with default values included. Errors are
// {"error": {"code", "status", "message", "details"}}: code is HTTP's, the rest
// what gRPC would carry.
//
// Thread-safe. Must outlive the HTTP server that calls it.

#ifndef TERN_SERVER_HTTP_API_H_
#define TERN_SERVER_HTTP_API_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/clock.h"
#include "server/http/router.h"
#include "server/rpc/server_call.h"
#include "server/serving/classifier.h"
#include "server/serving/model_manager.h"
#include "server/worker_pool.h"

namespace tern::server {

// 404 for NOT_FOUND and so on.
int HttpCode(absl::StatusCode code);
// The error's body; Retry-After where the status says when.
HttpResponse ErrorResponse(const absl::Status& status);

class HttpApi {
 public:
  // All must outlive this; `observer` may be null. A classification has
  // `timeout` from the moment its request is there.
  HttpApi(Classifier* classifier, const ModelManager* manager,
          CallObserver* observer, Nanos timeout);
  ~HttpApi();
  HttpApi(const HttpApi&) = delete;
  HttpApi& operator=(const HttpApi&) = delete;

  void Classify(const std::shared_ptr<HttpExchange>& exchange);
  void ListModels(const std::shared_ptr<HttpExchange>& exchange);

 private:
  void Answer(const std::shared_ptr<HttpExchange>& exchange,
              ClassifyReply reply);
  void Observe(const char* method, absl::StatusCode code, double seconds) const;

  Classifier* const classifier_;
  const ModelManager* const manager_;
  CallObserver* const observer_;
  const Nanos timeout_;
  // Writes JSON, so that no executor has to. Last: ends first.
  WorkerPool writer_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_HTTP_API_H_
