// Progress of a training run on standard error: a bar that is redrawn on a
// terminal, a line for each epoch elsewhere. Thread-compatible.

#ifndef TERN_TRAINER_RUN_PROGRESS_H_
#define TERN_TRAINER_RUN_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "trainer/run/checkpoint.h"

namespace tern::trainer {

class Progress {
 public:
  // Counts from `first_epoch` for the speed and the time left.
  Progress(int epochs, int steps_per_epoch, int batch);

  void BeginEpoch(int epoch, int first_step);
  // After each step; draws at most ten times a second.
  void Step(int step, double mean_loss, double top1);
  // `note` follows the line ("best so far").
  void EndEpoch(const EpochRecord& record, const std::string& note);

 private:
  using Clock = std::chrono::steady_clock;

  void Draw(int step, double mean_loss, double top1);
  double SecondsLeft(int steps_done_now) const;

  const int epochs_;
  const int steps_per_epoch_;
  const int batch_;
  const bool terminal_;
  int epoch_ = 0;
  int first_step_ = 0;
  std::int64_t steps_done_ = 0;
  double seconds_done_ = 0;
  Clock::time_point epoch_start_;
  Clock::time_point drawn_;
};

}  // namespace tern::trainer

#endif  // TERN_TRAINER_RUN_PROGRESS_H_
