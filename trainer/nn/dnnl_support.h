// What all layers need from oneDNN: an engine, a stream and scratch memory
// for each shard, and tensors that exist once for each shard.
//
// A shard is the part of a batch that one task computes, forward and backward,
// on one thread: its own activations and gradients, shared weights. oneDNN
// runs single-threaded inside it, so the numbers depend on the number of
// shards and never on the number of threads.
//
// Only trainer/nn includes oneDNN. dnnl::error may be thrown by everything
// here; Network turns it into a Status. Functions with a shard argument may
// run at the same time for different shards.

#ifndef TERN_TRAINER_NN_DNNL_SUPPORT_H_
#define TERN_TRAINER_NN_DNNL_SUPPORT_H_

#include <cstddef>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "absl/strings/match.h"
#include "absl/types/span.h"

namespace tern::trainer {

class Shards {
 public:
  // Sets the calling thread to one OpenMP thread, before any primitive is
  // made: oneDNN fixes the number of threads at creation.
  Shards(int count, int batch);

  int count() const { return static_cast<int>(stream_.size()); }
  // Pictures in a shard.
  int batch() const { return batch_; }
  const dnnl::engine& engine() const { return engine_; }
  dnnl::stream& stream(int shard) {
    return stream_[static_cast<std::size_t>(shard)];
  }

  // Makes sure that every shard has this much scratch memory.
  void ReserveScratch(const dnnl::memory::desc& desc);
  void* scratch(int shard) {
    return scratch_[static_cast<std::size_t>(shard)].get_data_handle();
  }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  int batch_;
  std::vector<dnnl::stream> stream_;
  std::vector<dnnl::memory> scratch_;
  std::size_t scratch_bytes_ = 0;
};

using KernelArgs = std::unordered_map<int, dnnl::memory>;

// Whether all that oneDNN has for a primitive is its plain loops, which take a
// hundred times as long as its other implementations.
template <typename PrimitiveDesc>
bool IsPlainLoops(const PrimitiveDesc& desc) {
  return absl::StartsWith(desc.impl_info_str(), "ref");
}

// A primitive that every shard may run, with that shard's scratch memory.
class Kernel {
 public:
  Kernel() = default;
  template <typename PrimitiveDesc>
  Kernel(const PrimitiveDesc& desc, Shards* shards)
      : primitive_(desc.get()),
        scratch_desc_(desc.scratchpad_desc()),
        shards_(shards) {
    shards->ReserveScratch(scratch_desc_);
  }

  // Callers pass the argument in the layout `given`, the primitive has it in
  // `used`: where they differ, Run copies inputs before the primitive and
  // outputs after it.
  enum class Flow { kInput, kOutput };
  void Convert(int arg, Flow flow, const dnnl::memory::desc& given,
               const dnnl::memory::desc& used);

  void Run(int shard, KernelArgs args) const;

 private:
  struct Conversion;

  std::vector<Conversion> conversions_;
  dnnl::primitive primitive_;
  dnnl::memory::desc scratch_desc_;
  Shards* shards_ = nullptr;
};

struct Kernel::Conversion {
  int arg;
  Flow flow;
  Kernel reorder;
  std::vector<dnnl::memory> used;  // for each shard
};

// Attributes of every primitive: scratch memory comes from us.
dnnl::primitive_attr UserScratch();

// The floats of a tensor, padding of blocked layouts included.
absl::Span<float> Floats(const dnnl::memory& memory);

// One zeroed memory for each shard.
std::vector<dnnl::memory> MakePerShard(const dnnl::memory::desc& desc,
                                       const Shards& shards);

// An activation tensor of the network and its gradient, for each shard.
class TensorSlot {
 public:
  TensorSlot(const dnnl::memory::desc& desc, const Shards& shards,
             bool with_gradient);

  const dnnl::memory::desc& desc() const { return desc_; }
  const dnnl::memory& value(int shard) const {
    return value_[static_cast<std::size_t>(shard)];
  }

  // False where nothing before the tensor learns.
  bool has_gradient() const { return !gradient_.empty(); }

  // The gradient. The tensor's readers run backward one after the other: the
  // first writes it, later ones write elsewhere and are added.
  //   memory = slot.BeginGradient(shard); ... write it all ...
  //   slot.EndGradient(shard);
  dnnl::memory BeginGradient(int shard);
  void EndGradient(int shard);
  // Complete once all readers ran; zeros where there was none.
  const dnnl::memory& gradient(int shard);
  // Before each backward pass.
  void ClearGradient(int shard);

 private:
  struct PerShard {
    dnnl::memory total;
    dnnl::memory extra;  // made when a second reader writes
    bool started = false;
    bool in_extra = false;
  };
  dnnl::memory::desc desc_;
  const Shards* shards_;
  std::vector<dnnl::memory> value_;
  std::vector<PerShard> gradient_;
};

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NN_DNNL_SUPPORT_H_
