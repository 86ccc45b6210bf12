// Accuracy of logits, and logits of a whole data set.

#ifndef TERN_TRAINER_RUN_EVALUATION_H_
#define TERN_TRAINER_RUN_EVALUATION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/thread_pool.h"
#include "engine/engine.h"
#include "tern/model/v1/model.pb.h"
#include "trainer/data/dataset.h"
#include "trainer/nn/network.h"

namespace tern::trainer {

struct Accuracy {
  std::size_t images = 0;
  std::size_t top1 = 0;  // pictures whose label has the largest logit
  std::size_t top5 = 0;  // ... one of the five largest
  double loss_sum = 0;   // cross-entropy

  double top1_rate() const;
  double top5_rate() const;
  double mean_loss() const;
};

// `logits`: labels.size() x classes. Of equal logits the first class counts
// as larger, as in TopK of the engine.
Accuracy MeasureAccuracy(absl::Span<const float> logits,
                         absl::Span<const std::uint8_t> labels);

// Pictures whose largest logit is of the same class in both.
std::size_t CountAgreement(absl::Span<const float> a, absl::Span<const float> b,
                           std::size_t classes);

// Logits of the data set's pictures at `indices`, image-major, by floating
// point. The result does not depend on the number of threads.
absl::StatusOr<std::vector<float>> NetworkLogits(
    Network& network, const Dataset& data,
    absl::Span<const std::uint32_t> indices,
    const model::v1::InputQuantization& quantization, ThreadPool& pool);

// Logits of all pictures by the engine, `batch` at a time. `progress` is
// called with the number of pictures done.
absl::StatusOr<std::vector<float>> EngineLogits(
    const Model& model, const Dataset& data, int batch, ThreadPool& pool,
    absl::FunctionRef<void(std::size_t)> progress);

// INVALID_ARGUMENT where pictures or labels do not fit; says both sides.
absl::Status CheckDataFits(const Dataset& data, const model::v1::Image& input,
                           int classes);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_RUN_EVALUATION_H_
