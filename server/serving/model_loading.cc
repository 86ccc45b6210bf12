#include "server/serving/model_loading.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/status_macros.h"
#include "engine/base/thread_pool.h"

namespace tern::server {
namespace {

// Pictures in a measured batch: what they share is shared by then.
constexpr int kBatch = 8;
constexpr int kRuns = 3;
// A model this slow is measured by its first run alone.
constexpr Nanos kSlow = std::chrono::milliseconds(200);

// Processor time of this thread: unlike the clock on the wall it does not
// count what else the machine does meanwhile.
Nanos ThreadTime() {
  timespec time = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + Nanos(time.tv_nsec);
}

absl::StatusOr<Nanos> TimeOf(const Model& model, Session& session, int batch) {
  const std::vector<std::uint8_t> pixels(batch * model.input_bytes());
  std::vector<float> logits(static_cast<std::size_t>(batch) * model.classes());
  const Nanos start = ThreadTime();
  TERN_RETURN_IF_ERROR(
      session.Run(model, pixels, batch, absl::MakeSpan(logits)));
  return (ThreadTime() - start) / batch;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> ReadModel(
    const std::string& path, const KernelTable& kernels,
    const LoadOptions& options) {
  auto model = Model::LoadFile(path, kernels, options);
  if (model.ok()) return model;
  const std::string message(model.status().message());
  return absl::Status(model.status().code(),
                      absl::StripPrefix(message, absl::StrCat(path, ": ")));
}

absl::StatusOr<Nanos> WarmUp(const Model& model, int max_batch) {
  ThreadPool pool(1);
  Session session(&pool);
  TERN_ASSIGN_OR_RETURN(Nanos best, TimeOf(model, session, 1));
  for (int run = 0; run < kRuns && best < kSlow; ++run) {
    TERN_ASSIGN_OR_RETURN(const Nanos time,
                          TimeOf(model, session, std::min(kBatch, max_batch)));
    best = std::min(best, time);
  }
  return best;
}

}  // namespace tern::server
