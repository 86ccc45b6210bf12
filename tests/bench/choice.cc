#include <algorithm>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "engine/ops/product.h"
#include "tests/bench/parts.h"
#include "tests/bench/tern_runner.h"

namespace tern::bench {
namespace {

struct KernelResult {
  double predicted = 0;  // seconds
  Statistics measured;
};

// In the order of `kernels`.
std::vector<KernelResult> Measure(const Options& options,
                                  const std::vector<const ConvKernel*>& kernels,
                                  const ConvGeometry& geometry, int batch) {
  std::vector<Contender> contenders;
  for (const ConvKernel* kernel : kernels) {
    auto layer = std::make_shared<TernLayer>(*options.kernels, geometry, batch,
                                             kernel->name);
    contenders.push_back(TimeCalls([layer] { layer->Run(); }));
  }
  const auto statistics = RunInterleaved(contenders, options.rounds);
  std::vector<KernelResult> results;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    results.push_back(
        {kernels[i]->predicted_ns(geometry, batch) / 1e9, statistics[i]});
  }
  return results;
}

// Prints a row; returns the chosen kernel's time over the best one's.
double PrintChoice(const NamedLayer& layer, int batch,
                   const std::vector<const ConvKernel*>& kernels,
                   const std::vector<KernelResult>& results) {
  const auto chosen = std::min_element(
      results.begin(), results.end(),
      [](const auto& a, const auto& b) { return a.predicted < b.predicted; });
  double best = results[0].measured.median;
  std::printf("%-9s %-6s %3d", layer.network.c_str(), layer.name.c_str(),
              batch);
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    const KernelResult& r = results[i];
    best = std::min(best, r.measured.median);
    std::printf("  %-9s %8.4f %8.4f", std::string(kernels[i]->name).c_str(),
                r.predicted * 1e3, r.measured.median * 1e3);
  }
  const double loss = chosen->measured.median / best;
  std::printf("  %-9s %.3f\n",
              std::string(kernels[chosen - results.begin()]->name).c_str(),
              loss);
  std::fflush(stdout);
  return loss;
}

}  // namespace

absl::Status RunChoice(const Options& options, Report* report) {
  std::printf(
      "\nChoice of kernels, one thread: predicted and measured ms of each, the "
      "chosen one and its time over the best's.\n");
  double worst = 1;
  for (const Network& network : options.networks) {
    for (const NamedLayer& layer : LayersOf(network)) {
      const std::vector<std::int8_t> codes(
          static_cast<std::size_t>(layer.geometry.kernel_h) *
              layer.geometry.kernel_w * layer.geometry.in_c *
              layer.geometry.filters,
          0);
      const auto kernels =
          ConvKernelsFor(*options.kernels, layer.geometry, codes.data(), "");
      if (kernels.size() == 1) continue;
      for (const int batch : options.batches) {
        const std::string name =
            absl::StrCat("choice/", network.name, "/", layer.name, "/b", batch);
        if (name.find(options.filter) == std::string::npos) continue;
        const auto results = Measure(options, kernels, layer.geometry, batch);
        const double loss = PrintChoice(layer, batch, kernels, results);
        report->AddNumber(name, "ratio", loss);
        worst = std::max(worst, loss);
      }
    }
  }
  std::printf("  at worst %.3f x the best kernel's time\n", worst);
  return absl::OkStatus();
}

}  // namespace tern::bench
