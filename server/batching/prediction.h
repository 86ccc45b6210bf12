// When work will be done, by the predicted costs. Pure, thread-safe.

#ifndef TERN_SERVER_BATCHING_PREDICTION_H_
#define TERN_SERVER_BATCHING_PREDICTION_H_

#include <vector>

#include "server/clock.h"

namespace tern::server {

// How long until some executor is free after `work` has been done by all.
// `busy`: what each executor still has to run; negative counts as nothing.
//
// Work flows to whichever executor is free first, like water into a vessel
// whose floor is `busy`: the answer is the water's level.
Nanos TimeToFree(std::vector<Nanos> busy, Nanos work);

}  // namespace tern::server

#endif  // TERN_SERVER_BATCHING_PREDICTION_H_
