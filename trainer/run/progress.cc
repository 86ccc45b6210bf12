#include "trainer/run/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "absl/strings/str_format.h"

namespace tern::trainer {
namespace {

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string Minutes(double seconds) {
  const long whole = std::lround(seconds);
  return absl::StrFormat("%d:%02d", whole / 60, whole % 60);
}

}  // namespace

Progress::Progress(int epochs, int steps_per_epoch, int batch)
    : epochs_(epochs),
      steps_per_epoch_(steps_per_epoch),
      batch_(batch),
      terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::BeginEpoch(int epoch, int first_step) {
  epoch_ = epoch;
  first_step_ = first_step;
  epoch_start_ = Clock::now();
}

double Progress::SecondsLeft(int steps_done_now) const {
  const double seconds = seconds_done_ + Seconds(Clock::now() - epoch_start_);
  const auto done = static_cast<double>(steps_done_ + steps_done_now);
  const double left = static_cast<double>(epochs_ - epoch_) * steps_per_epoch_ -
                      first_step_ - steps_done_now;
  return done > 0 ? seconds / done * left : 0;
}

void Progress::Step(int step, double mean_loss, double top1) {
  if (!terminal_ || Clock::now() - drawn_ < std::chrono::milliseconds(100)) {
    return;
  }
  drawn_ = Clock::now();
  Draw(step, mean_loss, top1);
}

void Progress::Draw(int step, double mean_loss, double top1) {
  constexpr int kWidth = 24;
  const int filled = kWidth * step / steps_per_epoch_;
  const int here = step - first_step_;
  const double seconds = Seconds(Clock::now() - epoch_start_);
  absl::FPrintF(stderr,
                "\r\033[Kepoch %d/%d [%s%s] %5.0f images/s  loss %.4f  "
                "accuracy %.2f %%  ETA %s",
                epoch_ + 1, epochs_, std::string(filled, '#'),
                std::string(kWidth - filled, '.'),
                seconds > 0 ? here * batch_ / seconds : 0.0, mean_loss,
                top1 * 100, Minutes(SecondsLeft(here)));
  std::fflush(stderr);
}

void Progress::EndEpoch(const EpochRecord& record, const std::string& note) {
  const double seconds = Seconds(Clock::now() - epoch_start_);
  const int here = steps_per_epoch_ - first_step_;
  steps_done_ += here;
  seconds_done_ += seconds;
  first_step_ = 0;
  epoch_start_ = Clock::now();
  ++epoch_;
  absl::FPrintF(stderr,
                "%sepoch %d/%d  %5.0f images/s  loss %.4f  accuracy %.2f %%  "
                "validation %.2f %%  ETA %s%s\n",
                terminal_ ? "\r\033[K" : "", epoch_, epochs_,
                seconds > 0 ? here * batch_ / seconds : 0.0, record.train_loss,
                record.train_top1 * 100, record.validation_top1 * 100,
                Minutes(SecondsLeft(0)), note);
}

}  // namespace tern::trainer
