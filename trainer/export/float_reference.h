// Float reference: a model file's weights computed with float activations,
// the setting of the paper, to compare with the engine's integers. Also the
// file's integers emulated in floating point. Pure functions, thread-safe.

#ifndef TERN_TRAINER_EXPORT_FLOAT_REFERENCE_H_
#define TERN_TRAINER_EXPORT_FLOAT_REFERENCE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/model/model_file.h"
#include "tern/model/v1/model.pb.h"
#include "trainer/nn/network.h"

namespace tern::trainer {

struct FloatReference {
  // Of form kFolded, activations float until SetActivations(kU8).
  std::unique_ptr<Network> network;
  // How its pictures are normalised.
  model::v1::InputQuantization input;
};

absl::StatusOr<FloatReference> MakeFloatReference(const ModelFile& file,
                                                  int shards, int shard_batch);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_EXPORT_FLOAT_REFERENCE_H_
