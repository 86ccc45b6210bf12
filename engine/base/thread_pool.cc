#include "engine/base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/base/cgroup.h"
#include "engine/base/openmp.h"
#include "engine/base/status_macros.h"

namespace tern {
namespace {

// As long as it takes to wake a thread up: long enough to bridge the gaps
// between the layers of a network, short enough not to steal a CPU from whoever
// else may use it.
constexpr std::chrono::microseconds kSpin{50};

void Relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until done() or until kSpin has passed without busy(); returns done().
template <typename Done, typename Busy>
bool SpinUntil(Done done, Busy busy) {
  auto now = std::chrono::steady_clock::now();
  auto deadline = now + kSpin;
  for (; now < deadline; now = std::chrono::steady_clock::now()) {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      Relax();
    }
    if (busy()) deadline = now + kSpin;
  }
  return done();
}

}  // namespace

// A job is published as one word, state_ = generation << 32 | indices left.
// Taking an index is a compare-and-swap on it, so a helper that wakes up late
// can never take one from a job that it did not look at: the generation has
// moved on. fn_ and size_ change only while no index is left.
class ThreadPool::Impl {
 public:
  explicit Impl(int threads) {
    for (int i = 1; i < threads; ++i) {
      helpers_.emplace_back([this, i] { Help(i); });
    }
  }

  ~Impl() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_.store(true);
    }
    wake_.notify_all();
    for (std::thread& helper : helpers_) helper.join();
  }

  using Function = absl::FunctionRef<void(std::size_t, int)>;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }

  void Run(std::size_t n, Function fn) {
    TERN_CHECK(n <= UINT32_MAX);
    fn_.store(&fn, std::memory_order_relaxed);
    size_.store(n, std::memory_order_relaxed);
    finished_.store(0, std::memory_order_relaxed);
    const std::uint64_t generation = (state_.load() >> 32) + 1;
    state_.store(generation << 32 | n);
    if (sleepers_.load() > 0) {
      { const std::lock_guard<std::mutex> lock(mutex_); }
      wake_.notify_all();
    }
    Work(0);
    while (!SpinUntil([this] { return AllFinished(); }, [] { return false; }))
      std::this_thread::yield();
  }

 private:
  static std::uint32_t Left(std::uint64_t state) {
    return static_cast<std::uint32_t>(state);
  }

  bool HasWork() const { return Left(state_.load()) > 0; }

  bool AllFinished() const {
    return finished_.load(std::memory_order_acquire) ==
           size_.load(std::memory_order_relaxed);
  }

  // Runs indices of the current job until none is left.
  void Work(int slot) {
    std::size_t done = 0;
    std::uint64_t state = state_.load(std::memory_order_acquire);
    while (Left(state) > 0) {
      const auto* fn = fn_.load(std::memory_order_relaxed);
      const std::size_t size = size_.load(std::memory_order_relaxed);
      const std::size_t index = size - Left(state);
      if (!state_.compare_exchange_weak(state, state - 1,
                                        std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
        continue;
      }
      (*fn)(index, slot);
      ++done;
      state = state_.load(std::memory_order_acquire);
      // The job can only end after this thread has reported its share.
      if (Left(state) == 0) break;
    }
    if (done > 0) finished_.fetch_add(done, std::memory_order_release);
  }

  void Help(int slot) {
    KeepOpenMpOnThisThread();
    while (!stop_.load()) {
      // While others work on a job, the next one is near.
      if (SpinUntil([this] { return HasWork() || stop_.load(); },
                    [this] { return !AllFinished(); })) {
        Work(slot);
        continue;
      }
      std::unique_lock<std::mutex> lock(mutex_);
      // Sequentially consistent with Run: either it sees this sleeper, or this
      // thread sees its job.
      sleepers_.fetch_add(1);
      wake_.wait(lock, [this] { return HasWork() || stop_.load(); });
      sleepers_.fetch_sub(1);
    }
  }

  alignas(64) std::atomic<std::uint64_t> state_{0};
  alignas(64) std::atomic<std::size_t> finished_{0};
  alignas(64) std::atomic<const Function*> fn_{nullptr};
  std::atomic<std::size_t> size_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> helpers_;
};

ThreadPool::ThreadPool(int threads)
    : impl_(std::make_unique<Impl>(std::max(threads, 1))) {}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return impl_->threads(); }

void ThreadPool::ParallelFor(std::size_t n,
                             absl::FunctionRef<void(std::size_t)> fn) {
  ParallelForSlots(n, [fn](std::size_t i, int) { fn(i); });
}

void ThreadPool::ParallelForSlots(
    std::size_t n, absl::FunctionRef<void(std::size_t, int)> fn) {
  KeepOpenMpOnThisThread();
  if (n <= 1 || threads() == 1) {
    for (std::size_t i = 0; i < n; ++i) fn(i, 0);
    return;
  }
  impl_->Run(n, fn);
}

int UsableCpus() {
  cpu_set_t set;
  int cpus = 1;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    cpus = CPU_COUNT(&set);
  } else {
    // More CPUs than a cpu_set_t has room for.
    cpus = static_cast<int>(std::thread::hardware_concurrency());
  }
  if (const std::optional<double> limit = CgroupCpuLimit()) {
    cpus = std::min(cpus, static_cast<int>(std::floor(*limit)));
  }
  return std::max(cpus, 1);
}

}  // namespace tern
