#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/bench/onednn_network.h"
#include "tests/bench/parts.h"
#include "tests/bench/tern_runner.h"

namespace tern::bench {
namespace {

constexpr Peer kPeers[] = {Peer::kInt8Direct, Peer::kInt8Winograd, Peer::kF32};

struct Geomean {
  double log_sum = 0;
  int count = 0;
  double smallest = 1e9;
  void Add(double x) {
    log_sum += std::log(x);
    ++count;
    smallest = std::min(smallest, x);
  }
  void Print(const char* what, int batch) const {
    if (count == 0) return;
    std::printf(
        "  %s, batch %d: %.3f x the peak (geometric mean of %d, least %.3f)\n",
        what, batch, std::exp(log_sum / count), count, smallest);
  }
};

struct LayerResult {
  std::string kernel;
  Statistics peak, tern;  // seconds
  std::optional<Statistics> peer[3];
};

LayerResult Measure(const NamedLayer& layer, int batch,
                    const Options& options) {
  LayerResult result;
  auto ours =
      std::make_shared<TernLayer>(*options.kernels, layer.geometry, batch);
  result.kernel = ours->kernel();
  std::vector<Contender> contenders = {options.peak->seconds_per_giga_mac,
                                       TimeCalls([ours] { ours->Run(); })};
  std::vector<int> slots;
  for (int p = 0; p < 3; ++p) {
    auto peer =
        OneDnnNetwork::Build({PeerNodeOf(layer.geometry)}, batch, kPeers[p]);
    // Where oneDNN lacks an implementation there is no such peer; and where
    // it has no Winograd, the direct one would be measured twice.
    if (!peer.ok()) continue;
    if (kPeers[p] == Peer::kInt8Winograd &&
        (*peer)->implementation().find("wino") == std::string::npos)
      continue;
    std::shared_ptr<OneDnnNetwork> shared = *std::move(peer);
    contenders.push_back(TimeCalls([shared] { shared->Run(); }));
    slots.push_back(p);
  }
  const auto statistics = RunInterleaved(contenders, options.rounds);
  result.peak = statistics[0];
  result.tern = statistics[1];
  for (std::size_t i = 0; i < slots.size(); ++i)
    result.peer[slots[i]] = statistics[2 + i];
  return result;
}

Statistics InMs(const Statistics& seconds) {
  return {seconds.median * 1e3, seconds.min * 1e3, seconds.spread};
}

void PrintRow(const NamedLayer& layer, int batch, const LayerResult& r) {
  const double gmacs = layer.macs * batch / 1e9;
  const double executed = layer.executed_macs * batch / 1e9;
  std::printf("%-9s %-6s %3d  %-9s %8.4f %6.0f %6.3f %6.3f",
              layer.network.c_str(), layer.name.c_str(), batch,
              r.kernel.c_str(), r.tern.median * 1e3, gmacs / r.tern.median,
              gmacs * r.peak.median / r.tern.median,
              executed * r.peak.median / r.tern.median);
  for (const auto& peer : r.peer) {
    if (peer)
      std::printf("  %6.0f %6.3f", gmacs / peer->median,
                  r.tern.median / peer->median);
    else
      std::printf("  %6s %6s", "-", "-");
  }
  std::printf("  %4.0f%%\n", 100 * r.tern.spread);
  std::fflush(stdout);
}

void AddToReport(const std::string& name, const LayerResult& r,
                 Report* report) {
  report->Add(name + "/tern", "ms", InMs(r.tern));
  for (int p = 0; p < 3; ++p) {
    if (r.peer[p])
      report->Add(absl::StrCat(name, "/", std::string(PeerName(kPeers[p]))),
                  "ms", InMs(*r.peer[p]));
  }
}

bool Is3x3Stride1(const ConvGeometry& g) {
  return g.kernel_h == 3 && g.kernel_w == 3 && g.stride_h == 1 &&
         g.stride_w == 1 && g.in_c >= 64;
}

void CheckPeer(const NamedLayer& layer, int batch, const LayerResult& r,
               const Peak& peak, Report* report) {
  if (layer.network != "vgg7" || layer.name != "c2" || batch != 8) return;
  if (!r.peer[0]) {
    report->Invalidate("oneDNN has no int8 convolution for c2");
    return;
  }
  const double share =
      layer.macs * batch / 1e9 * r.peak.median / r.peer[0]->median;
  if (share < peak.weakest_peer) {
    report->Invalidate(absl::StrCat(
        "oneDNN's int8 c2 at batch 8 reaches only ", share,
        " of the measured peak; a sound run has at least ", peak.weakest_peer));
  }
}

}  // namespace

absl::Status RunLayers(const Options& options, Report* report) {
  std::printf(
      "\nLayers, one thread, medians. GMAC/s count padding taps; 'peak' is "
      "ours "
      "over the peak, 'exec' the same\nwithout padding taps; each peer: its "
      "GMAC/s and our time over its time.\n"
      "%-9s %-6s %3s  %-9s %8s %6s %6s %6s  %13s  %13s  %13s  %s\n",
      "network", "layer", "n", "kernel", "ms", "GMAC/s", "peak", "exec",
      "int8 direct", "int8 Winograd", "f32", "spread");
  for (const Network& network : options.networks) {
    for (const int batch : options.batches) {
      Geomean winograd;
      Geomean direct;
      for (const NamedLayer& layer : LayersOf(network)) {
        const std::string name =
            absl::StrCat("layer/", network.name, "/", layer.name, "/b", batch);
        if (name.find(options.filter) == std::string::npos) continue;
        const LayerResult r = Measure(layer, batch, options);
        PrintRow(layer, batch, r);
        AddToReport(name, r, report);
        CheckPeer(layer, batch, r, *options.peak, report);
        const double ratio = batch / 1e9 * r.peak.median / r.tern.median;
        if (Is3x3Stride1(layer.geometry))
          winograd.Add(layer.macs * ratio);
        else if (layer.geometry.in_c >= 64)
          direct.Add(layer.executed_macs * ratio);
      }
      winograd.Print("3x3 stride 1", batch);
      direct.Print("other layers with 64 channels or more, executed taps",
                   batch);
    }
  }
  return absl::OkStatus();
}

}  // namespace tern::bench
