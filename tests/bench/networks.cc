#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/engine.h"
#include "tests/bench/contenders.h"
#include "tests/bench/parts.h"
#include "tests/bench/tern_runner.h"

namespace tern::bench {
namespace {

constexpr const char* kWho[] = {"tern", "onednn_int8_direct",
                                "onednn_int8_winograd", "onednn_f32"};

Statistics InMs(const Statistics& seconds) {
  return {seconds.median * 1e3, seconds.min * 1e3, seconds.spread};
}

std::string Name(const Network& network, int batch, const std::string& who) {
  return absl::StrCat(network.name, "/b", batch, "/", who);
}

absl::Status RunNetwork(const Network& network, int batch,
                        const Options& options, Report* report) {
  std::vector<Contender> contenders = {options.peak->seconds_per_giga_mac};
  for (const char* who : kWho) {
    TERN_ASSIGN_OR_RETURN(
        Contender contender,
        MakeNetworkContender(network, who, batch, *options.kernels));
    contenders.push_back(std::move(contender));
  }
  const auto statistics = RunInterleaved(contenders, options.rounds);
  const double tern = statistics[1].median;
  const double bound = 1e-9 * static_cast<double>(network.shapes.macs) * batch *
                       statistics[0].median;
  std::printf("%-9s %3d  %8.3f (%.3f)", network.name.c_str(), batch, tern * 1e3,
              statistics[1].min * 1e3);
  for (int i = 1; i < 4; ++i)
    std::printf("  %8.3f %6.3f", statistics[1 + i].median * 1e3,
                tern / statistics[1 + i].median);
  std::printf("  %8.3f %6.3f  %4.0f%%\n", bound * 1e3, tern / bound,
              100 * statistics[1].spread);
  std::fflush(stdout);
  for (int i = 0; i < 4; ++i)
    report->Add(Name(network, batch, kWho[i]), "ms", InMs(statistics[1 + i]));
  report->AddNumber(Name(network, batch, "int8_bound"), "ms", bound * 1e3);
  return absl::OkStatus();
}

}  // namespace

void RunPeak(const Options& options, Report* report) {
  const Statistics s = RunInterleaved({options.peak->seconds_per_giga_mac},
                                      10 * options.rounds)[0];
  const Statistics rate = {1 / s.median, 1 / s.min, s.spread};
  std::printf("Peak of %s, one core: %.0f GMAC/s (best %.0f)\n",
              options.peak->instruction, rate.median, rate.min);
  report->Add("peak/int8", "GMAC/s", rate);
}

absl::Status RunNetworks(const Options& options, Report* report) {
  std::printf(
      "\nNetworks, one thread, ms: ours, median (min); peers, median and our "
      "time over theirs;\n'bound' is all multiply-accumulates at the int8 "
      "peak.\n%-9s %3s  %17s  %15s  %15s  %15s  %15s  %s\n",
      "network", "n", "tern", "int8 direct", "int8 Winograd", "f32", "bound",
      "spread");
  for (const Network& network : options.networks) {
    for (const int batch : options.batches) {
      if (Name(network, batch, "").find(options.filter) == std::string::npos)
        continue;
      TERN_RETURN_IF_ERROR(RunNetwork(network, batch, options, report));
    }
  }
  return absl::OkStatus();
}

absl::Status RunAvx2(const Options& options, Report* report) {
  TERN_ASSIGN_OR_RETURN(const KernelTable* avx2, SelectKernels("avx2"));
  TERN_ASSIGN_OR_RETURN(
      const auto child,
      Child::Start(options.networks_folder, "ONEDNN_MAX_CPU_ISA", "AVX2"));
  std::printf("\nAVX2: ours (table avx2) and oneDNN int8 limited to AVX2\n");
  for (const Network& network : options.networks) {
    for (const int batch : options.batches) {
      if (Name(network, batch, "").find(options.filter) == std::string::npos)
        continue;
      TERN_ASSIGN_OR_RETURN(
          const Contender tern,
          MakeNetworkContender(network, "tern", batch, *avx2));
      const std::string request =
          absl::StrCat(network.name, " ", batch, " onednn_int8_direct");
      absl::Status failure;
      const Contender peer = [&]() -> double {
        const auto seconds = child->Run(request);
        if (!seconds.ok()) failure = seconds.status();
        return seconds.ok() ? *seconds : 1;
      };
      const auto s = RunInterleaved({tern, peer}, options.rounds);
      TERN_RETURN_IF_ERROR(failure);
      std::printf("%-9s %3d  %8.3f ms  %8.3f ms  ratio %.3f\n",
                  network.name.c_str(), batch, s[0].median * 1e3,
                  s[1].median * 1e3, s[0].median / s[1].median);
      report->Add(Name(network, batch, "tern_avx2"), "ms", InMs(s[0]));
      report->Add(Name(network, batch, "onednn_int8_direct_avx2"), "ms",
                  InMs(s[1]));
    }
  }
  return absl::OkStatus();
}

absl::Status RunMemory(const Options& options, Report* report) {
  std::printf("\nMemory, bytes\n%-9s %12s %12s %7s %12s %7s %12s %12s\n",
              "network", "packed", "float32", "ratio", "file", "ratio",
              "arena b8", "scratch b8");
  for (const Network& network : options.networks) {
    TERN_ASSIGN_OR_RETURN(const auto model,
                          MakeModel(network, *options.kernels));
    TernNetwork runner(model, 8, 1);
    runner.Run();
    const auto packed = static_cast<double>(model->packed_bytes());
    const auto floats = static_cast<double>(model->float32_bytes());
    const auto file = static_cast<double>(model->file_bytes());
    const auto arena = static_cast<double>(runner.session().arena_bytes());
    const auto scratch = static_cast<double>(runner.session().scratch_bytes());
    std::printf("%-9s %12.0f %12.0f %7.2f %12.0f %7.2f %12.0f %12.0f\n",
                network.name.c_str(), packed, floats, floats / packed, file,
                floats / file, arena, scratch);
    const std::string name = network.name + "/memory/";
    report->AddNumber(name + "packed", "bytes", packed);
    report->AddNumber(name + "float32", "bytes", floats);
    report->AddNumber(name + "file", "bytes", file);
    report->AddNumber(name + "arena_b8", "bytes", arena);
    report->AddNumber(name + "scratch_b8", "bytes", scratch);
  }
  return absl::OkStatus();
}

}  // namespace tern::bench
