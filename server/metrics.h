// Metrics: every number that the server exports. Names, help and buckets stand
// in one table, metrics_table.h; units are base units (seconds, bytes).
//
// Counters and histograms are fed as things happen, through series that are
// looked up once (a lookup costs twenty times an increment). Gauges are read
// when a scrape asks for them, so nothing that is gone is exported. Never a
// prometheus Summary: 5 microseconds an observation.
//
// Thread-safe. Must outlive everything that observes through it.

#ifndef TERN_SERVER_METRICS_H_
#define TERN_SERVER_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/batching/model_observer.h"
#include "server/rpc/server_call.h"
#include "server/serving/executor_pool.h"
#include "server/serving/model_manager.h"

namespace tern::server {

struct BuildInfo {
  std::string version;
  std::string isa;
};

// What gauges show, as it is now.
struct GaugeValues {
  bool ready = false;
  std::vector<VersionStatus> models;
  ExecutorMemory memory;
  int compute_threads = 0;
};

class Metrics final : public CallObserver {
 public:
  explicit Metrics(const BuildInfo& build);
  ~Metrics() override;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Called by each scrape, until it is replaced; null: no such gauges.
  void SetGaugeSource(std::function<GaugeValues()> source);

  // The text exposition format, version 0.0.4.
  std::string Serialize() const;

  // CallObserver.
  void OnCallDone(std::string_view method, absl::StatusCode code,
                  double seconds) override;

  // For the requests of one version. The series live until RemoveModel and the
  // last observer has gone; must not outlive this object.
  std::unique_ptr<ModelObserver> ForModel(std::string_view model,
                                          std::uint64_t version);
  void RemoveModel(std::string_view model, std::uint64_t version);
  void OnLoaded(std::string_view model, Nanos duration, bool ok);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Bytes of this process in RAM; 0 where the system does not say.
std::size_t ResidentBytes();

}  // namespace tern::server

#endif  // TERN_SERVER_METRICS_H_
