// ServeMethod: keeps calls of one method posted until the server shuts down.
//
//   ServeMethod<UnaryCall<ClassifyRequest, ClassifyResponse>>(
//       {"InferenceService.Classify", &loop, &metrics},
//       [&](auto... args) { service.RequestClassify(args...); },
//       [&](auto call) { call->Finish(Answer(call->request())); });
//
// The handler runs on a loop thread and must not block. Whatever the two
// functions refer to must outlive the loop.

#ifndef TERN_SERVER_RPC_METHOD_SERVER_H_
#define TERN_SERVER_RPC_METHOD_SERVER_H_

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "server/rpc/server_call.h"

namespace tern::server {

struct MethodSpec {
  // "Service.Method", a literal.
  std::string_view name;
  CompletionLoop* loop = nullptr;
  // May be null. Outlives the loop.
  CallObserver* observer = nullptr;
  // Calls that wait for a client at any time: how many may arrive together
  // before one waits for a loop thread.
  int posted = 4;
  // Answer also while the server drains: for health. Such calls are not waited
  // for.
  bool while_draining = false;
};

// Call: UnaryCall, ReaderCall or WriterCall.
template <typename Call>
class MethodServer : public std::enable_shared_from_this<MethodServer<Call>> {
 public:
  using Handler = std::function<void(std::shared_ptr<Call>)>;

  MethodServer(const MethodSpec& spec, typename Call::RequestFn request_fn,
               Handler handler)
      : spec_(spec),
        request_fn_(std::move(request_fn)),
        handler_(std::move(handler)) {}

  void Post() {
    auto call = std::make_shared<Call>(spec_.name, spec_.loop, spec_.observer);
    // The tag holds the call, so `raw` is valid when it runs.
    void* tag = call->ArmAccept(
        [self = this->shared_from_this(), raw = call.get()](bool ok) {
          if (!ok) return;
          self->Post();
          self->Handle(std::static_pointer_cast<Call>(raw->shared_from_this()));
        });
    call->Await(request_fn_, tag);
  }

 private:
  void Handle(std::shared_ptr<Call> call) const {
    if (spec_.while_draining || call->Begin()) {
      handler_(std::move(call));
    } else {
      call->Finish(absl::UnavailableError("the server is shutting down"));
    }
  }

  const MethodSpec spec_;
  const typename Call::RequestFn request_fn_;
  const Handler handler_;
};

template <typename Call>
void ServeMethod(const MethodSpec& spec, typename Call::RequestFn request_fn,
                 typename MethodServer<Call>::Handler handler) {
  const auto server = std::make_shared<MethodServer<Call>>(
      spec, std::move(request_fn), std::move(handler));
  for (int i = 0; i < spec.posted; ++i) server->Post();
}

}  // namespace tern::server

#endif  // TERN_SERVER_RPC_METHOD_SERVER_H_
