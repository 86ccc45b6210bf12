// Checkpoint: everything a training run needs to go on, in one file.
//
//   8 bytes   "TERNCKP1"
//   8 bytes   length of the JSON text, little-endian
//   JSON      run (options by name), epoch, step, ..., tensors
//   floats    little-endian, the tensors in the order of the JSON's list
//   32 bytes  SHA-256 of all before
//
// A checkpoint belongs to the machine's owner, not to strangers; still, the
// reader trusts nothing: a damaged file is an error, never a crash.
// Pure functions, thread-safe.

#ifndef TERN_TRAINER_RUN_CHECKPOINT_H_
#define TERN_TRAINER_RUN_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tern::trainer {

struct CheckpointTensor {
  std::string name;
  std::vector<float> values;
};

struct EpochRecord {
  double train_loss = 0;
  double train_top1 = 0;
  double validation_loss = 0;
  double validation_top1 = 0;
};

struct Checkpoint {
  // Options that the result depends on.
  std::map<std::string, std::string> run;
  // The network in text format.
  std::string graph;
  // Where to go on: steps of `epoch` that are done.
  int epoch = 0;
  int step = 0;
  // Of the steps done in `epoch`.
  double loss_sum = 0;
  std::int64_t correct = 0;
  std::vector<EpochRecord> history;
  // -1: no epoch was eligible yet.
  int best_epoch = -1;
  // "state/...", "velocity/...", and with a best epoch "best/...".
  std::vector<CheckpointTensor> tensors;
};

std::string EncodeCheckpoint(const Checkpoint& checkpoint);

// INVALID_ARGUMENT: not a checkpoint; DATA_LOSS: damaged.
absl::StatusOr<Checkpoint> DecodeCheckpoint(
    absl::Span<const std::uint8_t> bytes);

// The same from and to files; messages name the path. Writing is atomic.
absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path);
absl::Status WriteCheckpoint(const std::string& path,
                             const Checkpoint& checkpoint);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_RUN_CHECKPOINT_H_
