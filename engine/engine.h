// The engine's public face: a packed ternary model in, logits out.
//
//   TERN_ASSIGN_OR_RETURN(const KernelTable* kernels, SelectKernels("auto"));
//   TERN_ASSIGN_OR_RETURN(auto model, Model::Load(bytes, *kernels, {}));
//   ThreadPool pool(2);
//   Session session(&pool);
//   std::vector<float> logits(batch * model->classes());
//   TERN_RETURN_IF_ERROR(session.Run(*model, pixels, batch,
//                                    absl::MakeSpan(logits)));
//
// A Model is immutable and holds nothing but packed weights and the plan; any
// number of threads may share it. A Session belongs to one executor and holds
// everything that changes while running: activations and scratch, sized by the
// largest model and batch that it has run, shared by all models.
//
// Promise (NUMERICS.md): the logits of a picture are the same bits for every
// kernel table, batch size, position in the batch, thread count and machine.

#ifndef TERN_ENGINE_ENGINE_H_
#define TERN_ENGINE_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/thread_pool.h"
#include "engine/kernels/kernel_table.h"
#include "tern/model/v1/model.pb.h"

namespace tern {

struct LoadOptions {
  // Run the golden test of the model's card with the plan that will serve.
  // A model without a golden test fails to load while this is set.
  bool verify_golden = true;
  // Refuse models that cost more, before anything is allocated.
  std::uint64_t max_file_bytes = std::uint64_t{1} << 30;
  std::uint64_t max_macs_per_image = std::uint64_t{1} << 40;
  std::uint64_t max_activation_bytes = std::uint64_t{1} << 30;
  // Ternary layers take the kernel of this name ("direct", "winograd")
  // wherever it applies; empty: for each batch the one predicted to take the
  // least time.
  std::string conv_kernel;
};

// One step of a model's plan, for tools and logs.
struct StepInfo {
  std::string nodes;  // "conv1+pool1"
  // "direct", "winograd", "onednn_f32", "max_pool", ...; where that depends on
  // the batch, "direct 1, winograd 2-64".
  std::string kernel;
  std::size_t packed_bytes = 0;
};

class Plan;

class Model {
 public:
  // `file` is a whole .twn file, untrusted; not referenced after the call.
  // INVALID_ARGUMENT: not a model, or out of limits; DATA_LOSS: a checksum or
  // the golden test does not match. Both say where.
  static absl::StatusOr<std::shared_ptr<const Model>> Load(
      absl::Span<const std::uint8_t> file, const KernelTable& kernels,
      const LoadOptions& options);
  // Reads `path` first; NOT_FOUND where there is none.
  static absl::StatusOr<std::shared_ptr<const Model>> LoadFile(
      const std::string& path, const KernelTable& kernels,
      const LoadOptions& options);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // Height, width and channels of the pictures that Run takes (u8, HWC).
  const model::v1::Image& input() const;
  std::size_t input_bytes() const;
  int classes() const;
  // One for each class, or empty.
  const std::vector<std::string>& labels() const;
  const model::v1::Preprocessing& preprocessing() const;
  // Facts and metrics; without the golden test's data.
  const model::v1::Card& card() const;
  double softmax_temperature() const;
  // SHA-256 of the file, lower-case hex.
  const std::string& digest() const;
  const KernelTable& kernels() const;

  std::uint64_t macs_per_image() const;
  std::uint64_t file_bytes() const;
  // What the packed weights, biases and multipliers take in memory.
  std::uint64_t packed_bytes() const;
  // What the same network takes as float32.
  std::uint64_t float32_bytes() const;

  std::vector<StepInfo> steps() const;
  // For Session.
  const Plan& plan() const;

 private:
  struct Parts;
  explicit Model(std::unique_ptr<Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

// Thread-compatible: one Run at a time. `pool` must outlive the session.
class Session {
 public:
  explicit Session(ThreadPool* pool);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // `pixels`: batch x height x width x channels; `logits`: batch x classes.
  // INVALID_ARGUMENT where a size does not fit, RESOURCE_EXHAUSTED where memory
  // does not suffice. A large batch runs in pieces, so memory stays bounded.
  absl::Status Run(const Model& model, absl::Span<const std::uint8_t> pixels,
                   int batch, absl::Span<float> logits);

  // Memory held for activations, and for kernels' scratch.
  std::size_t arena_bytes() const;
  std::size_t scratch_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct ClassScore {
  int index = 0;
  double probability = 0;
  float logit = 0;
};

// The k most probable classes, most probable first, equal logits by index.
// Probabilities are softmax(logits / temperature) in double.
std::vector<ClassScore> TopK(absl::Span<const float> logits, int k,
                             double temperature);

}  // namespace tern

#endif  // TERN_ENGINE_ENGINE_H_
