// Direct convolution with the tile registers of AMX (amx_strip.h says what they
// load). 32 pixels times a panel of 32 filters: four registers of sums, two of
// input, two of weights, each of which meets two others.
//
// A block's weights are unpacked while the first pixels are multiplied, a few
// steps before they are needed, and stay for the other pixels in scratch that
// fits the second-level cache. What becomes of the sums (the epilogue) is made
// while the next ones are multiplied: neither waits for the tile multiplier.

#include <immintrin.h>

#include "engine/kernels/amx_strip.h"
#include "engine/kernels/direct.h"
#include "engine/kernels/direct_tile_avx512vnni.h"
#include "engine/kernels/direct_unpack_avx512vnni.h"
#include "engine/kernels/kernels.h"

namespace tern {
namespace {

using amx::kPanelFilters;
using amx::kStepWeights;
using amx::kTileBytes;
using amx::kTileGroups;
using amx::kTileRows;

constexpr int kVectorBytes = 64;
// What is multiplied by a block together; and its sums, with a row more
// (Outputs).
constexpr int kUnitPixels = 2 * kTileRows;
constexpr int kUnitSums = (kUnitPixels + 1) * kPackedBlockFilters;
// How many steps weights are unpacked before they are loaded: loads of tiles
// wait until the stores have reached the cache.
constexpr int kStepsAhead = 2;
// Steps of weights that are not kept.
constexpr int kRingSteps = 4;
// How far ahead codes are asked for.
constexpr int kCodesAhead = 4 << 10;

void ConfigureTiles() {
  static constexpr amx::TileConfig kConfig;
  asm volatile("ldtilecfg %0" : : "m"(kConfig));
}

// A thread that leaves them in use would have the operating system save 8 KiB
// at each switch.
void ReleaseTiles() { asm volatile("tilerelease"); }

// The compiler does not know the registers; these stay where they stand. Sums
// are in 0..3, of tile t and filters v in 2 t + v; input in 4 + t, weights in
// 6 + v.
template <int kTile>
TERN_ALWAYS_INLINE void LoadTile(const std::uint8_t* from, std::size_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2"
               :
               : "r"(from), "r"(stride), "i"(kTile)
               : "memory");
}

// For what is read from the second-level cache and would take the place of
// something better in the first.
template <int kTile>
TERN_ALWAYS_INLINE void StreamTile(const std::uint8_t* from,
                                   std::size_t stride) {
  asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2"
               :
               : "r"(from), "r"(stride), "i"(kTile)
               : "memory");
}

template <int kTile>
TERN_ALWAYS_INLINE void StoreTile(std::int32_t* to) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)"
               :
               : "r"(to), "r"(sizeof(std::int32_t) * kPackedBlockFilters),
                 "i"(kTile)
               : "memory");
}

template <int kTile, int kFilters>
TERN_ALWAYS_INLINE void MultiplyTiles() {
  asm volatile("tdpbusd %%tmm%c0, %%tmm%c1, %%tmm%c2"
               :
               : "i"(6 + kFilters), "i"(4 + kTile), "i"(2 * kTile + kFilters));
}

TERN_ALWAYS_INLINE void ClearSums() {
  asm volatile(
      "tilezero %tmm0\n\ttilezero %tmm1\n\ttilezero %tmm2\n\ttilezero %tmm3");
}

// What stays the same during a task.
struct Task {
  DirectTask direct;
  amx::Layout layout;
  const amx::Step* steps;
  const TileOutput* outputs;  // of all blocks
  std::uint8_t* weights;
};

// Some blocks of filters.
struct Blocks {
  int first, end;
};

// Unpacks the weights of blocks, panels one after the other, in each of them
// [step][2 tiles of 16 filters][16 x 4 run bytes][16 filters x 4].
class Unpacker {
 public:
  // Nothing to unpack.
  Unpacker() = default;
  Unpacker(const Task& task, Blocks blocks, bool keep)
      : task_(&task),
        block_(blocks.first),
        end_block_(blocks.end),
        slot_mask_(keep ? ~std::size_t{0} : kRingSteps - 1) {
    to_ = task.weights;
    SetCodes();
    for (int i = 0; i < kStepsAhead; ++i) Next(to_);
  }

  std::size_t slot_mask() const { return slot_mask_; }

  // Where the next step's weights belong.
  std::uint8_t* to() const { return to_; }

  // Unpacks them.
  void Next(std::uint8_t* to) {
    if (block_ == end_block_) return;
    const amx::Step& step = task_->steps[step_];
    to_ = task_->weights + (++slot_ & slot_mask_) * kStepWeights;
    const std::uint8_t* codes =
        codes_ + group_bytes_ * static_cast<std::size_t>(step.first_group);
    for (int group = 0; group < kTileGroups; ++group) {
      for (int v = 0; v < 2; ++v) {
        __builtin_prefetch(codes + kVectorBytes * v + kCodesAhead);
        UnpackVector(group < step.groups && v < vectors_
                         ? codes + kVectorBytes * v
                         : kNoCodes,
                     to + kTileRows * kTileBytes * v + 4 * kTileBytes * group);
      }
      codes += group_bytes_;
    }
    Advance();
  }

 private:
  alignas(64) static constexpr std::uint8_t kNoCodes[kVectorBytes] = {};

  static TERN_ALWAYS_INLINE void UnpackVector(const std::uint8_t* from,
                                              std::uint8_t* to) {
    const __m512i codes = _mm512_load_si512(from);
#pragma GCC unroll 4
    for (int step = 0; step < 4; ++step) {
      _mm512_store_si512(to + kVectorBytes * step, UnpackCodes(codes, step));
    }
  }

  void SetCodes() {
    const int vectors = PackedVectors(task_->layout.g, block_);
    group_bytes_ = std::size_t{kVectorBytes} * vectors;
    vectors_ = vectors - 2 * panel_;
    codes_ = task_->direct.call->packed +
             task_->layout.direct.block_bytes * block_ +
             2 * kVectorBytes * panel_;
  }

  void Advance() {
    if (++step_ < task_->layout.steps) return;
    step_ = 0;
    if (2 * ++panel_ >= PackedVectors(task_->layout.g, block_)) {
      panel_ = 0;
      if (++block_ == end_block_) return;
    }
    SetCodes();
  }

  const Task* task_ = nullptr;
  int block_ = 0, end_block_ = 0, panel_ = 0, step_ = 0;
  std::size_t slot_ = 0;
  std::uint8_t* to_ = nullptr;
  std::size_t slot_mask_ = ~std::size_t{0};
  int vectors_ = 0;  // of the block, from the panel's first on
  std::size_t group_bytes_ = 0;
  const std::uint8_t* codes_ = nullptr;
};

// Sums on their way to the output. Rows of no pixel are written as well, to
// where nobody reads, and so are rows behind the last one: a mispredicted
// branch would hold up the multiplications.
class Outputs {
 public:
  Outputs(const Task& task, std::int32_t* sums)
      : task_(task), sums_(sums), out_(task.outputs[0]) {
    out_.sums = sums;
    for (std::uint8_t*& to : to_) to = nowhere_;
    for (std::int32_t& pixel : pixel_) pixel = -1;
  }

  // Where the next sums belong.
  std::int32_t* next_sums() { return sums_ + kUnitSums * (1 - which_); }

  // Those sums are complete: `tiles` tiles times a block. All before them must
  // have been written.
  void Add(const amx::Tile* tile, int tiles, int block) {
    which_ = 1 - which_;
    row_ = 0;
    out_ = task_.outputs[block];
    out_.sums = sums_ + kUnitSums * which_;
    first_filter_ = kPackedBlockFilters * static_cast<std::size_t>(block);
    for (int t = 0; t < tiles; ++t) SetRows(tile[t].pixel, kTileRows * t);
    if (tiles == 1) SetRows(kNoPixels, kTileRows);
  }

  // Where the next row belongs.
  std::uint8_t* to() const { return to_[row_]; }

  // Writes the next `rows` rows, the first of them to `to`.
  TERN_ALWAYS_INLINE void Write(int rows, std::uint8_t* to) {
    if (out_.kind != TileKind::kU8) [[unlikely]]
      return WriteOthers(rows, to);
    // Stores of bytes may alias anything but locals.
    TileOutput out = out_;
    int row = row_;
    for (; rows > 0; --rows) {
      const std::int32_t* const sums = out.sums + kPackedBlockFilters * row;
      row += row < kUnitPixels;
      out.output = to;
      to = to_[row];
      __m512i acc[1][4];
      LoadSums(sums, acc);
      WriteTileU8<1, 4>(acc, out);
    }
    row_ = row;
  }

 private:
  alignas(64) static constexpr std::int32_t kNoPixels[kTileRows] = {
      -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

  // The rows of a tile, from `row` on, belong to these pixels.
  void SetRows(const std::int32_t* pixel, int row) {
    _mm512_storeu_si512(pixel_ + row, _mm512_loadu_si512(pixel));
    for (int i = 0; i < kTileRows; i += 8) {
      const __m512i p = _mm512_cvtepi32_epi64(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pixel + i)));
      const __m512i offset = _mm512_mul_epi32(
          p, _mm512_set1_epi64(static_cast<std::int64_t>(out_.pixel_bytes)));
      const auto base = reinterpret_cast<std::intptr_t>(out_.output);
      const auto nowhere = reinterpret_cast<std::intptr_t>(nowhere_);
      _mm512_storeu_si512(
          to_ + row + i,
          _mm512_mask_mov_epi64(
              _mm512_add_epi64(offset, _mm512_set1_epi64(base)),
              _mm512_movepi64_mask(p), _mm512_set1_epi64(nowhere)));
    }
  }

  static TERN_ALWAYS_INLINE void LoadSums(const std::int32_t* sums,
                                          __m512i (&acc)[1][4]) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) acc[0][v] = _mm512_load_si512(sums + 16 * v);
  }

  // Any epilogue.
  __attribute__((noinline)) void WriteOthers(int rows, std::uint8_t* to) {
    const Epilogue& e = task_.direct.call->epilogue;
    const auto filters = static_cast<std::size_t>(task_.layout.g.filters);
    const TileOutput out = out_;
    int row = row_;
    for (; rows > 0; --rows) {
      const std::int32_t* const sums = out.sums + kPackedBlockFilters * row;
      // A row of no pixel has some other pixel's residual.
      const int pixel = pixel_[row] < 0 ? 0 : pixel_[row];
      row += row < kUnitPixels;
      std::uint8_t* const next = to_[row];
      WriteAny(e, out, sums,
               filters * static_cast<std::size_t>(pixel) + first_filter_, to);
      to = next;
    }
    row_ = row;
  }

  const Task& task_;
  std::int32_t* sums_;
  TileOutput out_;
  std::size_t first_filter_ = 0;
  int which_ = 0;
  int row_ = 0;
  std::uint8_t* to_[kUnitPixels + 1];
  std::int32_t pixel_[kUnitPixels + 1];
  alignas(64) std::uint8_t nowhere_[sizeof(float) * kPackedBlockFilters];
};

// What is done while tiles are multiplied.
struct Meanwhile {
  Unpacker unpacker;
  Outputs outputs;
};

// Weights that have just been unpacked are in the first-level cache.
template <bool kUnpack, int kTile>
TERN_ALWAYS_INLINE void LoadWeights(const std::uint8_t* from) {
  if constexpr (kUnpack) {
    LoadTile<kTile>(from, kTileBytes);
  } else {
    StreamTile<kTile>(from, kTileBytes);
  }
}

// One or two tiles times a panel, whose weights begin at slot `slot`. Writes
// `rows` rows of outputs in each step.
template <int kTiles, bool kUnpack>
__attribute__((noinline)) void MultiplyPanel(const Task& task,
                                             const amx::Tile* tile,
                                             std::size_t slot, int rows,
                                             Meanwhile& meanwhile,
                                             std::int32_t* sums) {
  const std::uint8_t* const first = tile[0].input;
  const std::uint8_t* const second = tile[kTiles - 1].input;
  const std::size_t stride = task.layout.position_bytes;
  const std::size_t mask =
      kUnpack ? meanwhile.unpacker.slot_mask() : ~std::size_t{0};
  ClearSums();
  const amx::Step* step = task.steps;
  for (int i = task.layout.steps; i > 0; --i, ++step, ++slot) {
    // Tiles are loaded only when the addresses of all stores before them are
    // known. So these are read early.
    std::uint8_t* output_to = meanwhile.outputs.to();
    std::uint8_t* weights_to = meanwhile.unpacker.to();
    asm volatile("" : "+r"(output_to), "+r"(weights_to));
    const std::uint8_t* weights = task.weights + (slot & mask) * kStepWeights;
    LoadWeights<kUnpack, 6>(weights);
    LoadTile<4>(first + step->offset, stride);
    LoadWeights<kUnpack, 7>(weights + kTileRows * kTileBytes);
    if constexpr (kTiles == 2) LoadTile<5>(second + step->offset, stride);
    MultiplyTiles<0, 0>();
    MultiplyTiles<0, 1>();
    if constexpr (kTiles == 2) {
      MultiplyTiles<1, 0>();
      MultiplyTiles<1, 1>();
    }
    if constexpr (kUnpack) meanwhile.unpacker.Next(weights_to);
    meanwhile.outputs.Write(rows, output_to);
  }
  StoreTile<0>(sums);
  StoreTile<1>(sums + 16);
  if constexpr (kTiles == 2) {
    StoreTile<2>(sums + kTileRows * kPackedBlockFilters);
    StoreTile<3>(sums + kTileRows * kPackedBlockFilters + 16);
  }
}

// One or two tiles times blocks whose weights are in scratch, or will be.
template <int kTiles, bool kUnpack>
void MultiplyBlocks(const Task& task, const amx::Tile* tile, Blocks blocks,
                    Meanwhile& meanwhile) {
  std::size_t slot = 0;
  const int steps = task.layout.steps;
  for (int block = blocks.first; block < blocks.end; ++block) {
    const int panels = (PackedVectors(task.layout.g, block) + 1) / 2;
    const int rows = (kUnitPixels + steps * panels - 1) / (steps * panels);
    std::int32_t* sums = meanwhile.outputs.next_sums();
    for (int panel = 0; panel < panels; ++panel) {
      MultiplyPanel<kTiles, kUnpack>(task, tile, slot, rows, meanwhile,
                                     sums + kPanelFilters * panel);
      slot += static_cast<std::size_t>(steps);
    }
    meanwhile.outputs.Add(tile, kTiles, block);
  }
}

// All tiles of a strip times blocks. Weights that are neither `unpacked` yet
// nor kept are unpacked for each pair of tiles.
void MultiplyStrip(const Task& task, const amx::Tile* tile, int tiles,
                   Blocks blocks, bool keep, bool unpacked,
                   Meanwhile& meanwhile) {
  for (; tiles > 0; tiles -= 2, tile += 2) {
    if (!unpacked) {
      meanwhile.unpacker = Unpacker(task, blocks, keep);
      (tiles > 1 ? MultiplyBlocks<2, true>
                 : MultiplyBlocks<1, true>)(task, tile, blocks, meanwhile);
      unpacked = keep;
    } else {
      (tiles > 1 ? MultiplyBlocks<2, false>
                 : MultiplyBlocks<1, false>)(task, tile, blocks, meanwhile);
    }
  }
}

// A task's scratch.
struct Scratch {
  std::size_t steps, tiles, outputs, factors, sums, pad, weights, strip, bytes;
};

std::size_t RoundUp64(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

Scratch MakeScratch(const amx::Layout& layout) {
  Scratch at = {};
  const auto take = [&at](std::size_t bytes) {
    const std::size_t offset = at.bytes;
    at.bytes += RoundUp64(bytes);
    return offset;
  };
  const auto blocks = static_cast<std::size_t>(layout.direct.blocks);
  at.steps = take(sizeof(amx::Step) * layout.steps);
  at.tiles = take(sizeof(amx::Tile) * layout.max_tiles);
  at.outputs = take(sizeof(TileOutput) * blocks);
  at.factors = take(kFactorBytes * blocks);
  at.sums = take(2 * sizeof(std::int32_t) * kUnitSums);
  at.pad = take(DirectPadBytes(layout.direct));
  at.weights = take(layout.kept_blocks == 0
                        ? std::size_t{kRingSteps} * kStepWeights
                        : layout.block_weights *
                              static_cast<std::size_t>(layout.kept_blocks));
  at.strip = take(layout.strip_bytes);
  return at;
}

Task MakeTask(const ConvCall& call, const amx::Layout& layout,
              const Scratch& at, std::byte* scratch) {
  const ConvGeometry& g = *call.geometry;
  auto* bytes = reinterpret_cast<std::uint8_t*>(scratch);
  Task task = {};
  task.layout = layout;
  task.direct.call = &call;
  task.direct.g = &g;
  task.direct.layout = layout.direct;
  task.direct.row_bytes = std::ptrdiff_t{1} * g.in_w * g.in_c;
  task.direct.image_bytes = task.direct.row_bytes * g.in_h;
  task.direct.pad = bytes + at.pad;
  FillDirectPad(task.direct);
  auto* steps = reinterpret_cast<amx::Step*>(bytes + at.steps);
  amx::FillSteps(layout, steps);
  task.steps = steps;
  auto* outputs = reinterpret_cast<TileOutput*>(bytes + at.outputs);
  for (int block = 0; block < layout.direct.blocks; ++block) {
    outputs[block] =
        OutputOf(task.direct, block, bytes + at.factors + kFactorBytes * block);
    outputs[block].output =
        static_cast<std::uint8_t*>(call.output) +
        outputs[block].pixel_bytes / g.filters * kPackedBlockFilters * block;
  }
  task.outputs = outputs;
  task.weights = bytes + at.weights;
  return task;
}

void Run(const ConvCall& call, int threads, int index, std::byte* scratch) {
  const amx::Layout layout =
      amx::MakeLayout(*call.geometry, call.batch, threads);
  const Scratch at = MakeScratch(layout);
  Task task = MakeTask(call, layout, at, scratch);
  auto* bytes = reinterpret_cast<std::uint8_t*>(scratch);
  auto* tiles = reinterpret_cast<amx::Tile*>(bytes + at.tiles);
  const DirectLayout& direct = layout.direct;
  const std::int64_t piece = index / direct.block_pieces;
  const int block_piece = index % direct.block_pieces;
  const Blocks blocks = {
      direct.blocks * block_piece / direct.block_pieces,
      direct.blocks * (block_piece + 1) / direct.block_pieces};
  const std::int64_t all = std::int64_t{1} * layout.batch * layout.g.out_h;
  amx::Rows rows = {static_cast<int>(all * piece / direct.pixel_pieces),
                    static_cast<int>(all * (piece + 1) / direct.pixel_pieces)};
  ConfigureTiles();
  Meanwhile meanwhile = {
      {}, {task, reinterpret_cast<std::int32_t*>(bytes + at.sums)}};
  // So many blocks are multiplied by one strip after the other.
  const int together = layout.kept_blocks > 0 ? layout.kept_blocks : 1;
  bool unpacked = false;
  while (rows.first < rows.end) {
    const int count =
        amx::FillStrip(layout, task.direct, rows, bytes + at.strip, tiles);
    // What a single pair of tiles needs is better off in the first-level cache.
    const bool keep =
        layout.kept_blocks > 0 && (count > 2 || rows.first < rows.end);
    for (int first = blocks.first; first < blocks.end; first += together) {
      const Blocks some = {first, Smaller(first + together, blocks.end)};
      MultiplyStrip(task, tiles, count, some, keep, unpacked, meanwhile);
    }
    unpacked = keep && layout.kept_blocks >= blocks.end - blocks.first;
  }
  meanwhile.outputs.Write(kUnitPixels, meanwhile.outputs.to());
  ReleaseTiles();
}

std::size_t ScratchBytes(const ConvGeometry& g, int batch, int threads) {
  return MakeScratch(amx::MakeLayout(g, batch, threads)).bytes;
}

int Tasks(const ConvGeometry& g, int batch, int threads) {
  const DirectLayout direct = amx::MakeLayout(g, batch, threads).direct;
  return direct.pixel_pieces * direct.block_pieces;
}

double PredictedNs(const ConvGeometry& g, int batch) {
  const amx::Cost cost = amx::CostOf(amx::MakeLayout(g, batch, 1));
  return 300 + cost.multiply + cost.unpack + cost.copy;
}

}  // namespace

const ConvKernel kDirectAmx = {
    "direct_amx", DirectApplies, DirectFusesMaxPool, PackedBytes, PackWeights,
    Tasks,        ScratchBytes,  BeginNothing,       Run,         PredictedNs};

}  // namespace tern
