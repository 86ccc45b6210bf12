// TrainRun: one training from first to last step.
//
//   TERN_ASSIGN_OR_RETURN(auto run, TrainRun::Create(options, &pool));
//   TERN_RETURN_IF_ERROR(run->Train(stop));
//   ... run->LoadBest(), then export or evaluate run->network() ...
//
// The same options give the same bits, whether or not the run was interrupted
// and resumed, and for any number of threads (on one CPU type: oneDNN chooses
// its kernels by the CPU). Thread-compatible.

#ifndef TERN_TRAINER_RUN_TRAIN_RUN_H_
#define TERN_TRAINER_RUN_TRAIN_RUN_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "trainer/data/batches.h"
#include "trainer/data/dataset.h"
#include "trainer/nn/loss.h"
#include "trainer/nn/network.h"
#include "trainer/optim/sgd.h"
#include "trainer/run/checkpoint.h"
#include "trainer/run/progress.h"
#include "trainer/run/train_options.h"

namespace tern::trainer {

class TrainRun {
 public:
  // Loads the training split and, with options.resume, the checkpoint, which
  // must be of the same options: FAILED_PRECONDITION names what differs.
  static absl::StatusOr<std::unique_ptr<TrainRun>> Create(
      const TrainOptions& options, ThreadPool* pool);
  // The same for pictures that are already in memory.
  static absl::StatusOr<std::unique_ptr<TrainRun>> Create(
      const TrainOptions& options, Dataset data, ThreadPool* pool);

  // Runs to the last epoch; a checkpoint is written after each. Once `stop`
  // is true, writes a checkpoint of where it stands and returns CANCELLED.
  // A loss that is not finite ends the run: the checkpoint stays as it was.
  absl::Status Train(const std::atomic<bool>& stop);

  // Takes the parameters of the best epoch on the validation split.
  absl::Status LoadBest();

  const TrainOptions& options() const { return options_; }
  const std::map<std::string, std::string>& description() const {
    return description_;
  }
  Network& network() { return *network_; }
  const Dataset& data() const { return data_; }
  const model::v1::InputQuantization& input() const { return input_; }
  const TrainValidationSplit& split() const { return split_; }
  const std::vector<EpochRecord>& history() const { return history_; }
  // Counted from 0.
  int best_epoch() const { return best_epoch_; }

 private:
  TrainRun(const TrainOptions& options, Dataset data, ThreadPool* pool);

  absl::Status Prepare();
  absl::Status Epoch(Progress& progress, const std::atomic<bool>& stop);
  absl::StatusOr<LossResult> Step(const std::vector<std::uint32_t>& order);
  absl::Status Shard(int shard, const std::vector<std::uint32_t>& order,
                     LossResult* result);
  absl::Status EndEpoch(Progress& progress);
  bool EpochIsEligible(int epoch) const;
  void SetActivationsFor(int epoch);
  absl::Status Save();
  absl::Status Restore(const Checkpoint& checkpoint);
  absl::Status CheckSameRun(const Checkpoint& checkpoint) const;
  // What a checkpoint fills, by its name there.
  std::map<std::string, absl::Span<float>> RestorableTensors();
  int StepsPerEpoch() const;

  const TrainOptions options_;
  ThreadPool* const pool_;
  Dataset data_;
  model::v1::InputQuantization input_;
  TrainValidationSplit split_;
  Augmentation augmentation_;
  std::map<std::string, std::string> description_;
  std::string graph_text_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Sgd> sgd_;

  int epoch_ = 0;
  int step_ = 0;
  double loss_sum_ = 0;
  std::int64_t correct_ = 0;
  std::vector<EpochRecord> history_;
  int best_epoch_ = -1;
  std::vector<CheckpointTensor> best_;
};

}  // namespace tern::trainer

#endif  // TERN_TRAINER_RUN_TRAIN_RUN_H_
