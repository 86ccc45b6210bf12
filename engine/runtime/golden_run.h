// Running the golden pictures through a plan; see golden.h for what is hashed.

#ifndef TERN_ENGINE_RUNTIME_GOLDEN_RUN_H_
#define TERN_ENGINE_RUNTIME_GOLDEN_RUN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/runtime/plan.h"

namespace tern {

struct GoldenRun {
  // One for each node; 0 where the plan does not materialise its output.
  std::vector<std::uint64_t> node_hash;
  std::vector<float> logits;
};

absl::StatusOr<GoldenRun> RunGolden(const Plan& plan,
                                    const model::v1::Golden& golden,
                                    std::size_t classes);

// INVALID_ARGUMENT where there is no golden test, DATA_LOSS where the plan
// does not reproduce it, on every combination of kernels that batches of some
// size run on; names the first node that differs. `header` is a checked one.
absl::Status VerifyGolden(const Plan& plan, const model::v1::Header& header,
                          std::size_t classes);

}  // namespace tern

#endif  // TERN_ENGINE_RUNTIME_GOLDEN_RUN_H_
