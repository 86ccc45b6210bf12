#include "server/rpc/server_call.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/grpc_status.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

// On the monotonic clock. gRPC has no infinite deadline here but a far one.
TimePoint DeadlineOf(const grpc::ServerContext& context) {
  const auto left = context.deadline() - std::chrono::system_clock::now();
  if (left >= std::chrono::hours(24 * 365)) return kNever;
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<Nanos>(left);
}

}  // namespace

ServerCall::ServerCall(std::string_view method, CompletionLoop* loop,
                       CallObserver* observer)
    : live_(loop), method_(method), observer_(observer) {}

std::string ServerCall::RequestId() const {
  const auto& metadata = context_.client_metadata();
  const auto found = metadata.find("x-request-id");
  if (found != metadata.end()) {
    return {found->second.data(), found->second.size()};
  }
  static std::atomic<std::uint64_t> next{1};
  return absl::StrCat(next.fetch_add(1, std::memory_order_relaxed));
}

double ServerCall::ElapsedSeconds() const {
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start_time_;
  return elapsed.count();
}

bool ServerCall::IsCancelled() const {
  MutexLock lock(&mu_);
  return cancelled_;
}

void ServerCall::OnCancel(std::function<void()> fn) {
  {
    MutexLock lock(&mu_);
    if (finished_) return;
    if (!cancelled_) {
      on_cancel_ = std::move(fn);
      return;
    }
  }
  fn();
}

void ServerCall::Finish(const absl::Status& status) {
  bool cancelled = false;
  std::function<void()> dropped;
  {
    MutexLock lock(&mu_);
    TERN_CHECK(!finished_);
    finished_ = true;
    cancelled = cancelled_;
    dropped.swap(on_cancel_);
  }
  const absl::StatusCode code =
      cancelled && status.ok() ? absl::StatusCode::kCancelled : status.code();
  if (observer_ != nullptr) {
    observer_->OnCallDone(method_, code, ElapsedSeconds());
  }
  if (const auto delay = RetryDelayOf(status)) {
    context_.AddTrailingMetadata(
        "grpc-retry-pushback-ms",
        absl::StrCat(
            std::chrono::ceil<std::chrono::milliseconds>(*delay).count()));
  }
  SendStatus(ToGrpcStatus(status));
}

bool ServerCall::Begin() {
  under_way_ = loop()->BeginCall();
  return under_way_;
}

void* ServerCall::ArmAccept(std::function<void(bool ok)> accepted) {
  context_.AsyncNotifyWhenDone(
      done_tag_.Arm([self = shared_from_this()](bool) { self->HandleDone(); }));
  return accept_tag_.Arm(
      [self = shared_from_this(), accepted = std::move(accepted)](bool ok) {
        if (ok) {
          self->start_time_ = std::chrono::steady_clock::now();
          self->deadline_ = DeadlineOf(self->context_);
        } else {
          // gRPC reports no end of a call that never began.
          self->done_tag_.Disarm();
        }
        accepted(ok);
      });
}

void* ServerCall::ArmFinish() {
  return finish_tag_.Arm([self = shared_from_this()](bool) {
    if (self->under_way_) self->loop()->EndCall();
  });
}

void ServerCall::HandleDone() {
  if (!context_.IsCancelled()) return;
  std::function<void()> on_cancel;
  {
    MutexLock lock(&mu_);
    cancelled_ = true;
    if (!finished_) on_cancel.swap(on_cancel_);
  }
  if (on_cancel) on_cancel();
}

}  // namespace tern::server
