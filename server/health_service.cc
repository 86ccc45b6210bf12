#include "server/health_service.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tern::server {

// One Watch stream. Sends the latest state; states that came and went while a
// write was under way are skipped, as the protocol allows.
class HealthService::Watcher
    : public std::enable_shared_from_this<HealthService::Watcher> {
 public:
  explicit Watcher(std::shared_ptr<WatchCall> call) : call_(std::move(call)) {}

  const std::string& name() const { return call_->request().service(); }
  WatchCall& call() { return *call_; }

  void Tell(Status status) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    wanted_ = status;
    Advance();
  }

  void End(absl::Status status) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    if (!end_) end_ = std::move(status);
    Advance();
  }

 private:
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || finished_) return;
    if (wanted_ && wanted_ != sent_) {
      sent_ = wanted_;
      writing_ = true;
      Response response;
      response.set_status(*wanted_);
      call_->Write(response, [self = shared_from_this()](bool ok) {
        self->OnWritten(ok);
      });
    } else if (end_) {
      finished_ = true;
      call_->Finish(*end_);
    }
  }

  void OnWritten(bool ok) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    writing_ = false;
    if (!ok) {
      wanted_ = sent_;
      if (!end_) end_ = absl::CancelledError("the watcher is gone");
    }
    Advance();
  }

  const std::shared_ptr<WatchCall> call_;
  Mutex mu_;
  std::optional<Status> wanted_ ABSL_GUARDED_BY(mu_);
  std::optional<Status> sent_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

HealthService::HealthService() = default;
HealthService::~HealthService() = default;

void HealthService::Serve(CompletionLoop* loop, CallObserver* observer) {
  ServeMethod<CheckCall>(
      {.name = "Health.Check",
       .loop = loop,
       .observer = observer,
       .while_draining = true},
      [this](auto... args) { service_.RequestCheck(args...); },
      [this](const std::shared_ptr<CheckCall>& call) { Check(call); });
  ServeMethod<WatchCall>(
      {.name = "Health.Watch",
       .loop = loop,
       .observer = observer,
       .while_draining = true},
      [this](auto... args) { service_.RequestWatch(args...); },
      [this](const std::shared_ptr<WatchCall>& call) { Watch(call); });
}

HealthService::Status HealthService::StatusOf(const std::string& name) const {
  const auto when_serving = [&](bool good) {
    return serving_ && good ? Response::SERVING : Response::NOT_SERVING;
  };
  if (name.empty() || name == "tern.v1.InferenceService" ||
      name == "tern.v1.RepositoryService") {
    return when_serving(true);
  }
  const auto found = models_.find(name);
  if (found == models_.end()) return Response::SERVICE_UNKNOWN;
  bool any_ready = false;
  for (const auto& [version, ready] : found->second) any_ready |= ready;
  return when_serving(any_ready);
}

void HealthService::Check(const std::shared_ptr<CheckCall>& call) {
  const std::string& name = call->request().service();
  Status status{};
  {
    MutexLock lock(&mu_);
    status = StatusOf(name);
  }
  if (status == Response::SERVICE_UNKNOWN) {
    call->Finish(absl::NotFoundError(
        absl::StrCat("service: no service or model '", name, "'")));
    return;
  }
  call->response()->set_status(status);
  call->Finish(absl::OkStatus());
}

void HealthService::Watch(const std::shared_ptr<WatchCall>& call) {
  auto watcher = std::make_shared<Watcher>(call);
  {
    MutexLock lock(&mu_);
    watcher->Tell(StatusOf(watcher->name()));
    if (!ended_) {
      watchers_.insert(watcher);
    } else {
      watcher->End(absl::UnavailableError("the server is shutting down"));
    }
  }
  // Not under the lock: it may run at once.
  call->OnCancel([this, watcher] {
    {
      MutexLock lock(&mu_);
      watchers_.erase(watcher);
    }
    watcher->End(absl::CancelledError("the watcher is gone"));
  });
}

void HealthService::TellWatchers() {
  for (const auto& watcher : watchers_) {
    watcher->Tell(StatusOf(watcher->name()));
  }
}

void HealthService::SetServing(bool serving) {
  MutexLock lock(&mu_);
  serving_ = serving;
  TellWatchers();
}

void HealthService::SetModelReady(std::string_view model, std::uint64_t version,
                                  bool ready) {
  MutexLock lock(&mu_);
  models_[std::string(model)][version] = ready;
  TellWatchers();
}

void HealthService::RemoveModel(std::string_view model, std::uint64_t version) {
  MutexLock lock(&mu_);
  const auto found = models_.find(model);
  if (found == models_.end()) return;
  found->second.erase(version);
  if (found->second.empty()) models_.erase(found);
  TellWatchers();
}

void HealthService::EndWatches() {
  MutexLock lock(&mu_);
  ended_ = true;
  for (const auto& watcher : watchers_) {
    watcher->End(absl::UnavailableError("the server is shutting down"));
  }
  watchers_.clear();
}

}  // namespace tern::server
