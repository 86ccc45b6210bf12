#include "server/metrics.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"
#include "server/grpc_status.h"
#include "server/mutex.h"

namespace tern::server {
namespace {

using prometheus::ClientMetric;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Buckets = Histogram::BucketBoundaries;

struct Name {
  const char* name;
  const char* help;
};

// ---- The table ------------------------------------------------------------

constexpr Name kRequests{"tern_requests_total",
                         "Calls answered, by method and gRPC code."};
constexpr Name kRequestSeconds{"tern_request_seconds",
                               "Time from a call's arrival to its answer."};
constexpr Name kDecodeSeconds{
    "tern_decode_seconds",
    "Decoding of a request's pictures, wait for a thread included."};
constexpr Name kQueueSeconds{
    "tern_queue_seconds",
    "Wait of a request from decoded until its last batch started."};
constexpr Name kInferenceSeconds{"tern_inference_seconds",
                                 "Execution of one batch."};
constexpr Name kBatchSize{"tern_batch_size", "Pictures in an executed batch."};
constexpr Name kInferences{"tern_inferences_total", "Pictures classified."};
constexpr Name kExecutions{"tern_executions_total", "Batches executed."};
constexpr Name kDropped{
    "tern_dropped_requests_total",
    "Requests refused on arrival or dropped while waiting, by reason."};
constexpr Name kLoads{"tern_model_loads_total",
                      "Loads of model versions, by result."};
constexpr Name kLoadSeconds{
    "tern_model_load_seconds",
    "Time to load a version: reading, golden test, warm-up."};
constexpr Name kModelState{"tern_model_state",
                           "1 for the state that a version is in."};
constexpr Name kModelInfo{"tern_model_info",
                          "1 for each loaded version, with its digest."};
constexpr Name kQueueRequests{
    "tern_queue_requests", "Requests held for a version, waiting or running."};
constexpr Name kQueueBytes{"tern_queue_bytes", "Bytes of those requests."};
constexpr Name kFileBytes{"tern_model_file_bytes", "Size of the model file."};
constexpr Name kPackedBytes{"tern_model_packed_bytes",
                            "Memory of a loaded version's packed weights."};
constexpr Name kFloat32Bytes{
    "tern_model_float32_bytes",
    "What a loaded version's weights would take as float32."};
constexpr Name kArenaBytes{"tern_arena_bytes",
                           "Memory for activations, all executors."};
constexpr Name kScratchBytes{"tern_scratch_bytes",
                             "Memory for kernels' scratch, all executors."};
constexpr Name kResidentBytes{"tern_process_resident_bytes",
                              "Memory of the process that is in RAM."};
constexpr Name kThreads{"tern_compute_threads", "Threads that compute."};
constexpr Name kReady{"tern_ready", "1 while the server accepts requests."};
constexpr Name kBuildInfo{
    "tern_build_info",
    "Always 1; version, and the kernels chosen for the CPU."};

// From 10 us to 1.3 s in steps of 1.8, the ratio that other servers chose.
const Buckets& SecondsBuckets() {
  static const Buckets buckets = [] {
    Buckets made;
    double bound = 10e-6;
    for (int i = 0; i < 21; ++i, bound *= 1.8) made.push_back(bound);
    return made;
  }();
  return buckets;
}

const Buckets& LoadBuckets() {
  static const Buckets buckets = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3,
                                  1,     3,     10,   30,   100};
  return buckets;
}

const Buckets& BatchBuckets() {
  static const Buckets buckets = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
  return buckets;
}

// ---------------------------------------------------------------------------

template <typename BuilderFn>
auto& MakeFamily(BuilderFn build, const Name& name,
                 prometheus::Registry& registry) {
  return build().Name(name.name).Help(name.help).Register(registry);
}

double Seconds(Nanos duration) {
  return std::chrono::duration<double>(duration).count();
}

Labels ModelLabels(std::string_view model, std::uint64_t version) {
  return {{"model", std::string(model)}, {"version", absl::StrCat(version)}};
}

MetricFamily Gauge(const Name& name) {
  MetricFamily family;
  family.name = name.name;
  family.help = name.help;
  family.type = MetricType::Gauge;
  return family;
}

void AddValue(MetricFamily& family, const Labels& labels, double value) {
  ClientMetric metric;
  metric.gauge.value = value;
  for (const auto& [label, text] : labels)
    metric.label.push_back({label, text});
  family.metric.push_back(std::move(metric));
}

MetricFamily OneGauge(const Name& name, double value) {
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

class Metrics::Impl {
 public:
  explicit Impl(const BuildInfo& build) : build_(build) {}

  // A method's series, made at its first call.
  struct MethodSeries {
    std::array<std::atomic<Counter*>, 17> by_code{};
    Histogram* seconds = nullptr;
  };
  MethodSeries& Method(std::string_view method) ABSL_LOCKS_EXCLUDED(mu_);
  Counter& CodeCounter(MethodSeries& series, std::string_view method,
                       absl::StatusCode code);

  struct ModelSeries {
    Histogram* decode = nullptr;
    Histogram* queue = nullptr;
    Histogram* inference = nullptr;
    Histogram* batch_size = nullptr;
    Counter* inferences = nullptr;
    Counter* executions = nullptr;
    std::array<Counter*, kDropReasons> dropped{};
    int observers = 0;
    bool removed = false;
  };
  using ModelKey = std::pair<std::string, std::uint64_t>;
  ModelSeries* Acquire(const ModelKey& key) ABSL_LOCKS_EXCLUDED(mu_);
  void Release(const ModelKey& key) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(const ModelKey& key) ABSL_LOCKS_EXCLUDED(mu_);

  void OnLoaded(std::string_view model, Nanos duration, bool ok);
  std::string Serialize() const ABSL_LOCKS_EXCLUDED(source_mu_);
  void SetGaugeSource(std::function<GaugeValues()> source)
      ABSL_LOCKS_EXCLUDED(source_mu_);

 private:
  void MakeSeries(const ModelKey& key, ModelSeries& series);
  void Erase(const ModelKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const BuildInfo build_;
  prometheus::Registry registry_;
  Family<Counter>& requests_ =
      MakeFamily(prometheus::BuildCounter, kRequests, registry_);
  Family<Histogram>& request_seconds_ =
      MakeFamily(prometheus::BuildHistogram, kRequestSeconds, registry_);
  Family<Histogram>& decode_seconds_ =
      MakeFamily(prometheus::BuildHistogram, kDecodeSeconds, registry_);
  Family<Histogram>& queue_seconds_ =
      MakeFamily(prometheus::BuildHistogram, kQueueSeconds, registry_);
  Family<Histogram>& inference_seconds_ =
      MakeFamily(prometheus::BuildHistogram, kInferenceSeconds, registry_);
  Family<Histogram>& batch_size_ =
      MakeFamily(prometheus::BuildHistogram, kBatchSize, registry_);
  Family<Counter>& inferences_ =
      MakeFamily(prometheus::BuildCounter, kInferences, registry_);
  Family<Counter>& executions_ =
      MakeFamily(prometheus::BuildCounter, kExecutions, registry_);
  Family<Counter>& dropped_ =
      MakeFamily(prometheus::BuildCounter, kDropped, registry_);
  Family<Counter>& loads_ =
      MakeFamily(prometheus::BuildCounter, kLoads, registry_);
  Family<Histogram>& load_seconds_ =
      MakeFamily(prometheus::BuildHistogram, kLoadSeconds, registry_);

  mutable Mutex mu_;
  std::map<std::string, MethodSeries, std::less<>> methods_
      ABSL_GUARDED_BY(mu_);
  std::map<ModelKey, ModelSeries> models_ ABSL_GUARDED_BY(mu_);
  mutable Mutex source_mu_;
  std::function<GaugeValues()> gauge_source_ ABSL_GUARDED_BY(source_mu_);
};

Metrics::Impl::MethodSeries& Metrics::Impl::Method(std::string_view method) {
  MutexLock lock(&mu_);
  auto found = methods_.find(method);
  if (found == methods_.end()) {
    found = methods_.try_emplace(std::string(method)).first;
    found->second.seconds = &request_seconds_.Add(
        {{"method", std::string(method)}}, SecondsBuckets());
  }
  return found->second;
}

Counter& Metrics::Impl::CodeCounter(MethodSeries& series,
                                    std::string_view method,
                                    absl::StatusCode code) {
  const auto raw = static_cast<std::size_t>(code);
  const std::size_t index = raw < series.by_code.size() ? raw : 2;
  Counter* counter = series.by_code[index].load(std::memory_order_acquire);
  if (counter == nullptr) {
    // Adding the same labels twice gives the same counter.
    counter = &requests_.Add({{"method", std::string(method)},
                              {"code", std::string(CodeName(code))}});
    series.by_code[index].store(counter, std::memory_order_release);
  }
  return *counter;
}

void Metrics::Impl::MakeSeries(const ModelKey& key, ModelSeries& series) {
  const Labels labels = ModelLabels(key.first, key.second);
  series.decode = &decode_seconds_.Add(labels, SecondsBuckets());
  series.queue = &queue_seconds_.Add(labels, SecondsBuckets());
  series.inference = &inference_seconds_.Add(labels, SecondsBuckets());
  series.batch_size = &batch_size_.Add(labels, BatchBuckets());
  series.inferences = &inferences_.Add(labels);
  series.executions = &executions_.Add(labels);
  for (int i = 0; i < kDropReasons; ++i) {
    Labels with_reason = labels;
    with_reason["reason"] = DropReasonName(static_cast<DropReason>(i));
    series.dropped[static_cast<std::size_t>(i)] = &dropped_.Add(with_reason);
  }
}

Metrics::Impl::ModelSeries* Metrics::Impl::Acquire(const ModelKey& key) {
  MutexLock lock(&mu_);
  ModelSeries& series = models_[key];
  if (series.decode == nullptr) MakeSeries(key, series);
  series.removed = false;
  ++series.observers;
  return &series;
}

void Metrics::Impl::Release(const ModelKey& key) {
  MutexLock lock(&mu_);
  ModelSeries& series = models_.at(key);
  if (--series.observers == 0 && series.removed) Erase(key);
}

void Metrics::Impl::Remove(const ModelKey& key) {
  MutexLock lock(&mu_);
  const auto found = models_.find(key);
  if (found == models_.end()) return;
  found->second.removed = true;
  if (found->second.observers == 0) Erase(key);
}

void Metrics::Impl::Erase(const ModelKey& key) {
  const ModelSeries& series = models_.at(key);
  decode_seconds_.Remove(series.decode);
  queue_seconds_.Remove(series.queue);
  inference_seconds_.Remove(series.inference);
  batch_size_.Remove(series.batch_size);
  inferences_.Remove(series.inferences);
  executions_.Remove(series.executions);
  for (Counter* counter : series.dropped) dropped_.Remove(counter);
  models_.erase(key);
}

void Metrics::Impl::OnLoaded(std::string_view model, Nanos duration, bool ok) {
  loads_.Add({{"model", std::string(model)}, {"result", ok ? "ok" : "failed"}})
      .Increment();
  load_seconds_.Add({{"model", std::string(model)}}, LoadBuckets())
      .Observe(Seconds(duration));
}

void Metrics::Impl::SetGaugeSource(std::function<GaugeValues()> source) {
  MutexLock lock(&source_mu_);
  gauge_source_ = std::move(source);
}

std::string Metrics::Impl::Serialize() const {
  std::vector<MetricFamily> families = registry_.Collect();
  GaugeValues values;
  {
    // SetGaugeSource returns when no scrape uses the old source. A lock of its
    // own: the source takes locks under which mu_ is taken elsewhere.
    MutexLock lock(&source_mu_);
    if (gauge_source_) values = gauge_source_();
  }
  for (MetricFamily& family : ModelGauges(values.models)) {
    families.push_back(std::move(family));
  }
  families.push_back(
      OneGauge(kArenaBytes, static_cast<double>(values.memory.arena_bytes)));
  families.push_back(OneGauge(
      kScratchBytes, static_cast<double>(values.memory.scratch_bytes)));
  families.push_back(
      OneGauge(kResidentBytes, static_cast<double>(ResidentBytes())));
  families.push_back(OneGauge(kThreads, values.compute_threads));
  families.push_back(OneGauge(kReady, values.ready ? 1 : 0));
  MetricFamily build = Gauge(kBuildInfo);
  AddValue(build, {{"version", build_.version}, {"isa", build_.isa}}, 1);
  families.push_back(std::move(build));
  // A family without series is not an error, but its header is noise.
  std::erase_if(families, [](const MetricFamily& family) {
    return family.metric.empty();
  });
  return prometheus::TextSerializer().Serialize(families);
}

namespace {

// Feeds a version's series; holds them.
class SeriesObserver final : public ModelObserver {
 public:
  using Release = std::function<void()>;

  SeriesObserver(Histogram* decode, Histogram* queue, Histogram* inference,
                 Histogram* batch_size, Counter* inferences,
                 Counter* executions,
                 const std::array<Counter*, kDropReasons>& dropped,
                 Release release)
      : decode_(decode),
        queue_(queue),
        inference_(inference),
        batch_size_(batch_size),
        inferences_(inferences),
        executions_(executions),
        dropped_(dropped),
        release_(std::move(release)) {}
  ~SeriesObserver() override { release_(); }

  void Dropped(DropReason reason) override {
    dropped_[static_cast<std::size_t>(reason)]->Increment();
  }
  void Executed(int rows, Nanos duration) override {
    inference_->Observe(Seconds(duration));
    batch_size_->Observe(rows);
    inferences_->Increment(rows);
    executions_->Increment();
  }
  void Queued(Nanos duration) override { queue_->Observe(Seconds(duration)); }
  void Decoded(Nanos duration) override { decode_->Observe(Seconds(duration)); }

 private:
  Histogram* const decode_;
  Histogram* const queue_;
  Histogram* const inference_;
  Histogram* const batch_size_;
  Counter* const inferences_;
  Counter* const executions_;
  const std::array<Counter*, kDropReasons> dropped_;
  const Release release_;
};

}  // namespace

Metrics::Metrics(const BuildInfo& build)
    : impl_(std::make_unique<Impl>(build)) {}

Metrics::~Metrics() = default;

void Metrics::SetGaugeSource(std::function<GaugeValues()> source) {
  impl_->SetGaugeSource(std::move(source));
}

std::string Metrics::Serialize() const { return impl_->Serialize(); }

void Metrics::OnCallDone(std::string_view method, absl::StatusCode code,
                         double seconds) {
  Impl::MethodSeries& series = impl_->Method(method);
  impl_->CodeCounter(series, method, code).Increment();
  series.seconds->Observe(seconds);
}

std::unique_ptr<ModelObserver> Metrics::ForModel(std::string_view model,
                                                 std::uint64_t version) {
  const Impl::ModelKey key{std::string(model), version};
  const Impl::ModelSeries* series = impl_->Acquire(key);
  return std::make_unique<SeriesObserver>(
      series->decode, series->queue, series->inference, series->batch_size,
      series->inferences, series->executions, series->dropped,
      [impl = impl_.get(), key] { impl->Release(key); });
}

void Metrics::RemoveModel(std::string_view model, std::uint64_t version) {
  impl_->Remove({std::string(model), version});
}

void Metrics::OnLoaded(std::string_view model, Nanos duration, bool ok) {
  impl_->OnLoaded(model, duration, ok);
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
