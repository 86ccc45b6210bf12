#include "server/serving/executor_pool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "engine/base/status_macros.h"
#include "engine/base/thread_pool.h"

namespace tern::server {
namespace {

// Whether the pictures lie one after the other, so that no copy is needed.
bool PixelsAreAdjacent(absl::Span<const Row> rows) {
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const auto& before = rows[i - 1].pixels;
    if (rows[i].pixels.data() != before.data() + before.size()) return false;
  }
  return true;
}

bool LogitsAreAdjacent(absl::Span<const Row> rows) {
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const auto& before = rows[i - 1].logits;
    if (rows[i].logits.data() != before.data() + before.size()) return false;
  }
  return true;
}

}  // namespace

struct ExecutorPool::Executor {
  explicit Executor(int threads) : pool(threads), session(&pool) {}

  ThreadPool pool;
  Session session;
  std::vector<std::uint8_t> pixels;
  std::vector<float> logits;
  // What the session held after its last run, for other threads to read.
  std::atomic<std::size_t> arena_bytes{0};
  std::atomic<std::size_t> scratch_bytes{0};
};

ExecutorPool::ExecutorPool(int executors, int threads) : threads_(threads) {
  TERN_CHECK(executors >= 1 && threads >= 1);
  for (int i = 0; i < executors; ++i) {
    executors_.push_back(std::make_unique<Executor>(threads));
  }
}

ExecutorPool::~ExecutorPool() = default;

absl::Status ExecutorPool::Run(int executor, const Model& model,
                               absl::Span<const Row> rows) {
  Executor& e = *executors_[executor];
  const int batch = static_cast<int>(rows.size());
  const std::size_t picture = model.input_bytes();
  const std::size_t classes = model.classes();
  absl::Span<const std::uint8_t> pixels(rows[0].pixels.data(),
                                        rows.size() * picture);
  if (!PixelsAreAdjacent(rows)) {
    e.pixels.resize(std::max(e.pixels.size(), pixels.size()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::memcpy(&e.pixels[i * picture], rows[i].pixels.data(), picture);
    }
    pixels = {e.pixels.data(), pixels.size()};
  }
  absl::Span<float> logits(rows[0].logits.data(), rows.size() * classes);
  const bool scatter = !LogitsAreAdjacent(rows);
  if (scatter) {
    e.logits.resize(std::max(e.logits.size(), logits.size()));
    logits = {e.logits.data(), logits.size()};
  }
  absl::Status status = e.session.Run(model, pixels, batch, logits);
  e.arena_bytes = e.session.arena_bytes();
  e.scratch_bytes = e.session.scratch_bytes();
  if (scatter && status.ok()) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::memcpy(rows[i].logits.data(), &logits[i * classes],
                  classes * sizeof(float));
    }
  }
  return status;
}

ExecutorMemory ExecutorPool::memory() const {
  ExecutorMemory total;
  for (const auto& executor : executors_) {
    total.arena_bytes += executor->arena_bytes;
    total.scratch_bytes += executor->scratch_bytes;
  }
  return total;
}

}  // namespace tern::server
