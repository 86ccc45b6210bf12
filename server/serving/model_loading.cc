#include "server/serving/model_loading.h"

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

absl::StatusOr<Nanos> TimeOf(const Model& model, Session& session, int batch) {
  const std::vector<std::uint8_t> pixels(batch * model.input_bytes());
  std::vector<float> logits(static_cast<std::size_t>(batch) * model.classes());
  const auto start = std::chrono::steady_clock::now();
  TERN_RETURN_IF_ERROR(
      session.Run(model, pixels, batch, absl::MakeSpan(logits)));
  return Nanos(std::chrono::steady_clock::now() - start) / batch;
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

absl::StatusOr<Nanos> WarmUp(const Model& model, int threads, int max_batch) {
  ThreadPool pool(threads);
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
