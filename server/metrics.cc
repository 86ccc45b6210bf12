#include "server/metrics.h"

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"
#include "server/grpc_status.h"
#include "server/metrics_gauges.h"
#include "server/metrics_table.h"
#include "server/mutex.h"

namespace tern::server {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::MetricFamily;

double Seconds(Nanos duration) {
  return std::chrono::duration<double>(duration).count();
}

// The counters and histograms of one model version.
struct ModelSeries {
  Histogram* decode = nullptr;
  Histogram* queue = nullptr;
  Histogram* inference = nullptr;
  Histogram* batch_size = nullptr;
  Counter* inferences = nullptr;
  Counter* executions = nullptr;
  std::array<Counter*, kDropReasons> dropped{};
  // They go when nobody observes and the version is gone.
  int observers = 0;
  bool removed = false;
};

class SeriesObserver final : public ModelObserver {
 public:
  // `release` gives the series back.
  SeriesObserver(const ModelSeries* series, std::function<void()> release)
      : series_(*series), release_(std::move(release)) {}
  ~SeriesObserver() override { release_(); }

  void Dropped(DropReason reason) override {
    series_.dropped[static_cast<std::size_t>(reason)]->Increment();
  }
  void Executed(int rows, Nanos duration) override {
    series_.inference->Observe(Seconds(duration));
    series_.batch_size->Observe(rows);
    series_.inferences->Increment(rows);
    series_.executions->Increment();
  }
  void Queued(Nanos duration) override {
    series_.queue->Observe(Seconds(duration));
  }
  void Decoded(Nanos duration) override {
    series_.decode->Observe(Seconds(duration));
  }

 private:
  const ModelSeries& series_;
  const std::function<void()> release_;
};

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
  Family<Counter>& Counters(const MetricName& name) {
    return prometheus::BuildCounter().Name(name.name).Help(name.help).Register(
        registry_);
  }
  Family<Histogram>& Histograms(const MetricName& name) {
    return prometheus::BuildHistogram()
        .Name(name.name)
        .Help(name.help)
        .Register(registry_);
  }

  const BuildInfo build_;
  prometheus::Registry registry_;
  Family<Counter>& requests_ = Counters(kRequests);
  Family<Histogram>& request_seconds_ = Histograms(kRequestSeconds);
  Family<Histogram>& decode_seconds_ = Histograms(kDecodeSeconds);
  Family<Histogram>& queue_seconds_ = Histograms(kQueueSeconds);
  Family<Histogram>& inference_seconds_ = Histograms(kInferenceSeconds);
  Family<Histogram>& batch_size_ = Histograms(kBatchSize);
  Family<Counter>& inferences_ = Counters(kInferences);
  Family<Counter>& executions_ = Counters(kExecutions);
  Family<Counter>& dropped_ = Counters(kDropped);
  Family<Counter>& loads_ = Counters(kLoads);
  Family<Histogram>& load_seconds_ = Histograms(kLoadSeconds);

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

ModelSeries* Metrics::Impl::Acquire(const ModelKey& key) {
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
  for (MetricFamily& family : GaugeFamilies(values, build_)) {
    families.push_back(std::move(family));
  }
  // A family without series is not an error, but its header is noise.
  std::erase_if(families, [](const MetricFamily& family) {
    return family.metric.empty();
  });
  return prometheus::TextSerializer().Serialize(families);
}

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
  return std::make_unique<SeriesObserver>(
      impl_->Acquire(key), [impl = impl_.get(), key] { impl->Release(key); });
}

void Metrics::RemoveModel(std::string_view model, std::uint64_t version) {
  impl_->Remove({std::string(model), version});
}

void Metrics::OnLoaded(std::string_view model, Nanos duration, bool ok) {
  impl_->OnLoaded(model, duration, ok);
}

}  // namespace tern::server
