#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "tests/bench/parts.h"
#include "tests/bench/tern_runner.h"

namespace tern::bench {
namespace {

constexpr int kBatch = 8;

double WallTimeOf(const std::function<void()>& call, int calls) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) call();
  const std::chrono::duration<double> taken =
      std::chrono::steady_clock::now() - begin;
  return taken.count();
}

// Seconds until both threads have made `calls` calls each.
double TimeOfTwo(const std::function<void()>& first,
                 const std::function<void()>& second, int calls) {
  const auto begin = std::chrono::steady_clock::now();
  std::thread other([&] {
    for (int i = 0; i < calls; ++i) second();
  });
  for (int i = 0; i < calls; ++i) first();
  other.join();
  const std::chrono::duration<double> taken =
      std::chrono::steady_clock::now() - begin;
  return taken.count();
}

absl::Status RunOne(const Network& network, const Options& options,
                    Report* report) {
  TERN_ASSIGN_OR_RETURN(const auto model, MakeModel(network, *options.kernels));
  const auto one = std::make_shared<TernNetwork>(model, kBatch, 1);
  const auto other = std::make_shared<TernNetwork>(model, kBatch, 1);
  const auto two_threads = std::make_shared<TernNetwork>(model, kBatch, 2);
  constexpr int kPeakCalls = 30;
  const auto peak = [&] { options.peak->seconds_per_giga_mac(); };
  const std::vector<Contender> contenders = {
      [&] { return WallTimeOf(peak, kPeakCalls); },
      [&] { return TimeOfTwo(peak, peak, kPeakCalls); },
      [&] { return WallTimeOf([&] { one->Run(); }, 2) / 2; },
      [&] { return WallTimeOf([&] { two_threads->Run(); }, 2) / 2; },
      [&] {
        return TimeOfTwo([&] { one->Run(); }, [&] { other->Run(); }, 2) / 2;
      }};
  const auto s = RunInterleaved(contenders, options.rounds);
  const double peak_scaling = 2 * s[0].median / s[1].median;
  const double threads_scaling = s[2].median / s[3].median;
  const double sessions_scaling = 2 * s[2].median / s[4].median;
  std::printf("%-9s %7.3f  %7.3f %6.3f  %7.3f %6.3f\n", network.name.c_str(),
              peak_scaling, threads_scaling, threads_scaling / peak_scaling,
              sessions_scaling, sessions_scaling / peak_scaling);
  const std::string name =
      absl::StrCat(network.name, "/b", kBatch, "/two_cores/");
  report->AddNumber(name + "peak", "ratio", peak_scaling);
  report->AddNumber(name + "two_threads", "ratio", threads_scaling);
  report->AddNumber(name + "two_sessions", "ratio", sessions_scaling);
  return absl::OkStatus();
}

}  // namespace

absl::Status RunScaling(const Options& options, Report* report) {
  if (UsableCpus() < 2) {
    return absl::FailedPreconditionError(
        "scaling needs two CPUs; this process may use one");
  }
  std::printf(
      "\nTwo cores, batch 8: speed-up over one, and its share of the peak "
      "loop's\n%-9s %7s  %14s  %14s\n",
      "network", "peak", "two threads", "two sessions");
  for (const Network& network : options.networks) {
    if (!network.name.starts_with("vgg7") &&
        !network.name.starts_with("resnet18"))
      continue;
    TERN_RETURN_IF_ERROR(RunOne(network, options, report));
  }
  return absl::OkStatus();
}

}  // namespace tern::bench
