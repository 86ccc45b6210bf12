#include "server/metrics_gauges.h"

#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "prometheus/client_metric.h"
#include "prometheus/labels.h"
#include "prometheus/metric_type.h"
#include "server/metrics_table.h"

namespace tern::server {
namespace {

using prometheus::ClientMetric;
using prometheus::Labels;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Gauge(const MetricName& name) {
  MetricFamily family;
  family.name = name.name;
  family.help = name.help;
  family.type = MetricType::Gauge;
  return family;
}

void AddValue(MetricFamily& family, const Labels& labels, double value) {
  ClientMetric metric;
  metric.gauge.value = value;
  for (const auto& [label, text] : labels) {
    metric.label.push_back({label, text});
  }
  family.metric.push_back(std::move(metric));
}

MetricFamily OneGauge(const MetricName& name, double value) {
  MetricFamily family = Gauge(name);
  AddValue(family, {}, value);
  return family;
}

std::vector<MetricFamily> ModelGauges(
    const std::vector<VersionStatus>& models) {
  MetricFamily state = Gauge(kModelState);
  MetricFamily info = Gauge(kModelInfo);
  MetricFamily requests = Gauge(kQueueRequests);
  MetricFamily bytes = Gauge(kQueueBytes);
  MetricFamily file = Gauge(kFileBytes);
  MetricFamily packed = Gauge(kPackedBytes);
  MetricFamily float32 = Gauge(kFloat32Bytes);
  for (const VersionStatus& model : models) {
    const Labels labels = ModelLabels(model.model, model.version);
    for (const ModelState each :
         {ModelState::kUnloaded, ModelState::kLoading, ModelState::kReady,
          ModelState::kUnloading, ModelState::kFailed}) {
      Labels with_state = labels;
      with_state["state"] = ModelStateName(each);
      AddValue(state, with_state, each == model.state ? 1 : 0);
    }
    if (model.state != ModelState::kReady) continue;
    Labels with_digest = labels;
    with_digest["digest"] = model.digest;
    AddValue(info, with_digest, 1);
    AddValue(requests, labels, model.queue.requests);
    AddValue(bytes, labels, static_cast<double>(model.queue.bytes));
    AddValue(file, labels, static_cast<double>(model.file_bytes));
    AddValue(packed, labels, static_cast<double>(model.packed_bytes));
    AddValue(float32, labels, static_cast<double>(model.float32_bytes));
  }
  return {state, info, requests, bytes, file, packed, float32};
}

}  // namespace

Labels ModelLabels(std::string_view model, std::uint64_t version) {
  return {{"model", std::string(model)}, {"version", absl::StrCat(version)}};
}

std::vector<MetricFamily> GaugeFamilies(const GaugeValues& values,
                                        const BuildInfo& build) {
  std::vector<MetricFamily> families = ModelGauges(values.models);
  families.push_back(
      OneGauge(kArenaBytes, static_cast<double>(values.memory.arena_bytes)));
  families.push_back(OneGauge(
      kScratchBytes, static_cast<double>(values.memory.scratch_bytes)));
  families.push_back(
      OneGauge(kResidentBytes, static_cast<double>(ResidentBytes())));
  families.push_back(OneGauge(kThreads, values.compute_threads));
  families.push_back(OneGauge(kReady, values.ready ? 1 : 0));
  MetricFamily info = Gauge(kBuildInfo);
  AddValue(info, {{"version", build.version}, {"isa", build.isa}}, 1);
  families.push_back(std::move(info));
  return families;
}

std::size_t ResidentBytes() {
  // Second number of statm: resident pages.
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  if (!(statm >> total >> resident)) return 0;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace tern::server
