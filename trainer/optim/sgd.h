// Stochastic gradient descent with momentum, and learning-rate schedules.

#ifndef TERN_TRAINER_OPTIM_SGD_H_
#define TERN_TRAINER_OPTIM_SGD_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/thread_pool.h"
#include "trainer/nn/op.h"

namespace tern::trainer {

struct SgdOptions {
  double momentum = 0.9;
  // L2, on parameters that decay.
  double weight_decay = 1e-4;
};

// v = momentum * v + gradient + weight_decay * w;  w -= rate * v.
// Thread-compatible.
class Sgd {
 public:
  // `parameters` must outlive the optimiser and keep their sizes.
  Sgd(std::vector<Parameter*> parameters, const SgdOptions& options);

  // The result does not depend on the number of threads.
  void Step(double rate, ThreadPool& pool);

  // One for each parameter, in order; kept by checkpoints.
  std::vector<absl::Span<float>> Velocities();

 private:
  const SgdOptions options_;
  std::vector<Parameter*> parameters_;
  std::vector<std::vector<float>> velocity_;
};

enum class Schedule : std::uint8_t { kConstant, kStep, kCosine };

// "constant", "step" or "cosine".
absl::StatusOr<Schedule> ParseSchedule(std::string_view text);

struct RateOptions {
  Schedule schedule = Schedule::kCosine;
  double rate = 0.1;
  // The rate grows linearly from nothing over these epochs.
  double warmup_epochs = 1;
};

// Rate at `progress` of `epochs`, in [0, epochs), which counts epochs, with
// fractions. kStep divides the rate by 10 at 60 % and again at 85 % of the
// epochs; kCosine falls to 0 (Loshchilov, Hutter, arXiv 1608.03983, without
// restarts).
double LearningRate(const RateOptions& options, int epochs, double progress);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_OPTIM_SGD_H_
