// InferenceService: tern.v1.InferenceService on the Classifier.
//
// Handlers only translate: proto to ClassifyRequest, ClassifyReply to proto.
// They run on loop threads and never block; pictures are decoded and answers
// computed elsewhere.
//
// Thread-safe. Must outlive the loop that serves it.

#ifndef TERN_SERVER_INFERENCE_SERVICE_H_
#define TERN_SERVER_INFERENCE_SERVICE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/rpc/method_server.h"
#include "server/rpc/unary_call.h"
#include "server/serving/classifier.h"
#include "tern/v1/inference.grpc.pb.h"

namespace tern::server {

// The request's pictures refer to `proto`, which must outlive the call.
ClassifyRequest FromProto(const v1::ClassifyRequest& proto);
// A reply whose status is OK.
void ToProto(const ClassifyReply& reply, v1::ClassifyResponse* proto);

class InferenceService {
 public:
  explicit InferenceService(Classifier* classifier);
  InferenceService(const InferenceService&) = delete;
  InferenceService& operator=(const InferenceService&) = delete;

  // To register with the server's builder.
  grpc::Service* service() { return &service_; }
  // Serves from now on. After the server has started.
  void Serve(CompletionLoop* loop, CallObserver* observer);

 private:
  using Call = UnaryCall<v1::ClassifyRequest, v1::ClassifyResponse>;

  void Classify(const std::shared_ptr<Call>& call);

  Classifier* const classifier_;
  v1::InferenceService::AsyncService service_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_INFERENCE_SERVICE_H_
