// The one table of what the server exports: names, help, buckets. Base units:
// seconds and bytes. For metrics*.cc.

#ifndef TERN_SERVER_METRICS_TABLE_H_
#define TERN_SERVER_METRICS_TABLE_H_

#include "prometheus/histogram.h"

namespace tern::server {

struct MetricName {
  const char* name;
  const char* help;
};

inline constexpr MetricName kRequests{
    "tern_requests_total", "Calls answered, by method and gRPC code."};
inline constexpr MetricName kRequestSeconds{
    "tern_request_seconds", "Time from a call's arrival to its answer."};
inline constexpr MetricName kDecodeSeconds{
    "tern_decode_seconds",
    "Decoding of a request's pictures, wait for a thread included."};
inline constexpr MetricName kQueueSeconds{
    "tern_queue_seconds",
    "Wait of a request from decoded until its last batch started."};
inline constexpr MetricName kInferenceSeconds{"tern_inference_seconds",
                                              "Execution of one batch."};
inline constexpr MetricName kBatchSize{"tern_batch_size",
                                       "Pictures in an executed batch."};
inline constexpr MetricName kInferences{"tern_inferences_total",
                                        "Pictures classified."};
inline constexpr MetricName kExecutions{"tern_executions_total",
                                        "Batches executed."};
inline constexpr MetricName kDropped{
    "tern_dropped_requests_total",
    "Requests refused on arrival or dropped while waiting, by reason."};
inline constexpr MetricName kLoads{"tern_model_loads_total",
                                   "Loads of model versions, by result."};
inline constexpr MetricName kLoadSeconds{
    "tern_model_load_seconds",
    "Time to load a version: reading, golden test, warm-up."};
inline constexpr MetricName kModelState{
    "tern_model_state", "1 for the state that a version is in."};
inline constexpr MetricName kModelInfo{
    "tern_model_info", "1 for each loaded version, with its digest."};
inline constexpr MetricName kQueueRequests{
    "tern_queue_requests", "Requests held for a version, waiting or running."};
inline constexpr MetricName kQueueBytes{"tern_queue_bytes",
                                        "Bytes of those requests."};
inline constexpr MetricName kFileBytes{"tern_model_file_bytes",
                                       "Size of the model file."};
inline constexpr MetricName kPackedBytes{
    "tern_model_packed_bytes", "Memory of a loaded version's packed weights."};
inline constexpr MetricName kFloat32Bytes{
    "tern_model_float32_bytes",
    "What a loaded version's weights would take as float32."};
inline constexpr MetricName kArenaBytes{
    "tern_arena_bytes", "Memory for activations, all executors."};
inline constexpr MetricName kScratchBytes{
    "tern_scratch_bytes", "Memory for kernels' scratch, all executors."};
inline constexpr MetricName kResidentBytes{
    "tern_process_resident_bytes", "Memory of the process that is in RAM."};
inline constexpr MetricName kThreads{"tern_compute_threads",
                                     "Threads that compute."};
inline constexpr MetricName kReady{"tern_ready",
                                   "1 while the server accepts requests."};
inline constexpr MetricName kBuildInfo{
    "tern_build_info",
    "Always 1; version, and the kernels chosen for the CPU."};

// From 10 us to 1 s, four a decade, rounded: each bound is printed in every
// series of every scrape.
inline const prometheus::Histogram::BucketBoundaries& SecondsBuckets() {
  static const prometheus::Histogram::BucketBoundaries buckets = {
      10e-6,  18e-6, 32e-6,  56e-6,  100e-6, 180e-6, 320e-6,
      560e-6, 1e-3,  1.8e-3, 3.2e-3, 5.6e-3, 10e-3,  18e-3,
      32e-3,  56e-3, 0.1,    0.18,   0.32,   0.56,   1};
  return buckets;
}

inline const prometheus::Histogram::BucketBoundaries& LoadBuckets() {
  static const prometheus::Histogram::BucketBoundaries buckets = {
      0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100};
  return buckets;
}

inline const prometheus::Histogram::BucketBoundaries& BatchBuckets() {
  static const prometheus::Histogram::BucketBoundaries buckets = {
      1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
  return buckets;
}

}  // namespace tern::server

#endif  // TERN_SERVER_METRICS_TABLE_H_
