// ModelObserver: what happens to the requests of one loaded model version,
// told as it happens. Metrics implement it; one object for each loaded
// version, so that an implementation looks its series up once.
//
// Thread-safe, must not block and must not call back into the server. Some
// calls come under the batcher's lock.

#ifndef TERN_SERVER_BATCHING_MODEL_OBSERVER_H_
#define TERN_SERVER_BATCHING_MODEL_OBSERVER_H_

#include "server/clock.h"

namespace tern::server {

// Why a request did not run.
enum class DropReason {
  // Refused on arrival, RESOURCE_EXHAUSTED.
  kQueueRequests,  // too many requests wait
  kQueueBytes,     // too many bytes wait
  // Refused on arrival, DEADLINE_EXCEEDED: predicted not to make it.
  kPredictedLate,
  // Dropped while waiting.
  kExpired,    // DEADLINE_EXCEEDED
  kCancelled,  // CANCELLED
  // Refused or dropped by shutdown, UNAVAILABLE.
  kDraining,
};
inline constexpr int kDropReasons = 6;

// For metric labels: "queue_requests", "queue_bytes", "predicted_late",
// "expired", "cancelled", "draining".
const char* DropReasonName(DropReason reason);

class ModelObserver {
 public:
  virtual ~ModelObserver() = default;

  // One request refused or dropped.
  virtual void Dropped(DropReason reason) = 0;
  // One batch ran: its pictures and the time it took.
  virtual void Executed(int rows, Nanos duration) = 0;
  // One request's wait, from ready to run until its last batch started.
  virtual void Queued(Nanos duration) = 0;
  // One request's pictures were decoded; wall time, waiting for a decoding
  // thread included. Not called for requests of raw pixels only.
  virtual void Decoded(Nanos duration) = 0;
};

}  // namespace tern::server

#endif  // TERN_SERVER_BATCHING_MODEL_OBSERVER_H_
