#include "server/batching/model_observer.h"

namespace tern::server {

const char* DropReasonName(DropReason reason) {
  switch (reason) {
    case DropReason::kQueueRequests:
      return "queue_requests";
    case DropReason::kQueueBytes:
      return "queue_bytes";
    case DropReason::kPredictedLate:
      return "predicted_late";
    case DropReason::kExpired:
      return "expired";
    case DropReason::kCancelled:
      return "cancelled";
    case DropReason::kDraining:
      return "draining";
  }
  return "unknown";
}

}  // namespace tern::server
