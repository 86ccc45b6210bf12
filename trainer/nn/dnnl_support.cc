#include "trainer/nn/dnnl_support.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "engine/base/openmp.h"

namespace tern::trainer {

Shards::Shards(int count, int batch) : batch_(batch) {
  KeepOpenMpOnThisThread();
  for (int i = 0; i < count; ++i) {
    stream_.emplace_back(engine_);
    scratch_.emplace_back();
  }
}

void Shards::ReserveScratch(const dnnl::memory::desc& desc) {
  if (desc.get_size() <= scratch_bytes_) return;
  scratch_bytes_ = desc.get_size();
  const dnnl::memory::desc bytes({static_cast<std::int64_t>(scratch_bytes_)},
                                 dnnl::memory::data_type::u8,
                                 dnnl::memory::format_tag::a);
  for (dnnl::memory& memory : scratch_) memory = dnnl::memory(bytes, engine_);
}

void Kernel::Convert(int arg, Flow flow, const dnnl::memory::desc& given,
                     const dnnl::memory::desc& used) {
  if (given == used) return;
  const dnnl::engine& engine = shards_->engine();
  const bool input = flow == Flow::kInput;
  const dnnl::reorder::primitive_desc reorder(engine, input ? given : used,
                                              engine, input ? used : given,
                                              UserScratch());
  conversions_.push_back(
      {arg, flow, Kernel(reorder, shards_), MakePerShard(used, *shards_)});
}

void Kernel::Run(int shard, KernelArgs args) const {
  const auto s = static_cast<std::size_t>(shard);
  KernelArgs given;
  for (const Conversion& c : conversions_) {
    given[c.arg] = std::exchange(args.at(c.arg), c.used[s]);
    if (c.flow == Flow::kOutput) continue;
    c.reorder.Run(shard,
                  {{DNNL_ARG_FROM, given[c.arg]}, {DNNL_ARG_TO, c.used[s]}});
  }
  if (scratch_desc_.get_size() > 0) {
    args.emplace(DNNL_ARG_SCRATCHPAD,
                 dnnl::memory(scratch_desc_, shards_->engine(),
                              shards_->scratch(shard)));
  }
  primitive_.execute(shards_->stream(shard), args);
  for (const Conversion& c : conversions_) {
    if (c.flow == Flow::kInput) continue;
    c.reorder.Run(shard,
                  {{DNNL_ARG_FROM, c.used[s]}, {DNNL_ARG_TO, given[c.arg]}});
  }
}

dnnl::primitive_attr UserScratch() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

absl::Span<float> Floats(const dnnl::memory& memory) {
  return {static_cast<float*>(memory.get_data_handle()),
          memory.get_desc().get_size() / sizeof(float)};
}

std::vector<dnnl::memory> MakePerShard(const dnnl::memory::desc& desc,
                                       const Shards& shards) {
  std::vector<dnnl::memory> memories;
  for (int i = 0; i < shards.count(); ++i) {
    dnnl::memory memory(desc, shards.engine());
    auto* bytes = static_cast<std::uint8_t*>(memory.get_data_handle());
    std::fill_n(bytes, desc.get_size(), std::uint8_t{0});
    memories.push_back(std::move(memory));
  }
  return memories;
}

TensorSlot::TensorSlot(const dnnl::memory::desc& desc, const Shards& shards,
                       bool with_gradient)
    : desc_(desc), shards_(&shards), value_(MakePerShard(desc, shards)) {
  if (!with_gradient) return;
  for (dnnl::memory& memory : MakePerShard(desc, shards)) {
    gradient_.push_back({std::move(memory), {}, false, false});
  }
}

dnnl::memory TensorSlot::BeginGradient(int shard) {
  PerShard& mine = gradient_[static_cast<std::size_t>(shard)];
  mine.in_extra = mine.started;
  mine.started = true;
  if (!mine.in_extra) return mine.total;
  if (!mine.extra) mine.extra = dnnl::memory(desc_, shards_->engine());
  return mine.extra;
}

void TensorSlot::EndGradient(int shard) {
  PerShard& mine = gradient_[static_cast<std::size_t>(shard)];
  if (!mine.in_extra) return;
  const absl::Span<float> total = Floats(mine.total);
  const absl::Span<float> extra = Floats(mine.extra);
  for (std::size_t i = 0; i < total.size(); ++i) total[i] += extra[i];
}

const dnnl::memory& TensorSlot::gradient(int shard) {
  PerShard& mine = gradient_[static_cast<std::size_t>(shard)];
  if (!mine.started) {
    const absl::Span<float> total = Floats(mine.total);
    std::fill(total.begin(), total.end(), 0.0F);
    mine.started = true;
  }
  return mine.total;
}

void TensorSlot::ClearGradient(int shard) {
  gradient_[static_cast<std::size_t>(shard)].started = false;
}

}  // namespace tern::trainer
