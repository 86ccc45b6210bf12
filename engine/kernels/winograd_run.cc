#include <algorithm>
#include <array>
#include <cstring>

#include "engine/kernels/winograd.h"
#include "engine/kernels/winograd_kernels.h"
#include "engine/kernels/winograd_pieces.h"

namespace tern {
namespace winograd {
namespace {

// A thread's part in a call: what its tasks share, then tasks, each of them a
// range of tiles by a range of filter blocks.
class Worker {
 public:
  Worker(const Pieces& pieces, const ConvCall& call, const Blocking& blocking,
         std::byte* scratch)
      : pieces_(pieces),
        call_(call),
        g_(*call.geometry),
        blocking_(blocking),
        layout_(PlanScratch(pieces.profile, g_, blocking)),
        scratch_(scratch),
        packed_(MakePackedLayout(g_)),
        clamps_rounding_(ClampsAfterRounding(call)) {}

  void Begin() {
    auto* border = At<std::uint8_t>(layout_.border);
    if (call_.pad_value == nullptr)
      std::memset(border, 0, g_.in_c);
    else
      std::memcpy(border, call_.pad_value, g_.in_c);
    if (blocking_.resident) {
      for (int block = 0; block < packed_.blocks; ++block)
        TransformWeights(block, 0, packed_.groups);
    }
    if (SharesInputs(blocking_)) TransformInputs(0, blocking_.tiles);
  }

  void Run(int task) {
    const int filter_task = task % blocking_.filter_tasks;
    const std::int64_t tile_task = task / blocking_.filter_tasks;
    first_block_ = packed_.blocks * filter_task / blocking_.filter_tasks;
    end_block_ = packed_.blocks * (filter_task + 1) / blocking_.filter_tasks;
    const auto edge = [this](std::int64_t piece) {
      return static_cast<int>(blocking_.tiles * piece / blocking_.tile_tasks);
    };
    const int end = edge(tile_task + 1);
    for (int t = edge(tile_task); t < end; t += blocking_.tile_block)
      RunTiles(t, std::min(blocking_.tile_block, end - t));
  }

 private:
  template <typename T>
  T* At(std::size_t offset) const {
    return reinterpret_cast<T*>(scratch_ + offset);
  }

  std::int8_t* WeightsOf(int block) const {
    const int slot = blocking_.resident ? block : 0;
    return At<std::int8_t>(layout_.weights) + slot * layout_.weight_block_bytes;
  }

  void TransformWeights(int block, int first_group, int groups) {
    const int vectors = PackedVectors(g_, block);
    const std::ptrdiff_t group_bytes =
        std::ptrdiff_t{kPackedVectorBytes} * vectors;
    const PackedChannels packed = {
        call_.packed + packed_.block_bytes * block + group_bytes * first_group,
        group_bytes * packed_.groups, vectors, groups};
    pieces_.transform_weights(packed, WeightsOf(block), layout_.weight_plane);
  }

  void TransformInputs(int first, int count) {
    Tile* tiles = At<Tile>(layout_.tiles);
    ListTiles(blocking_, call_.batch, first, first + count, tiles);
    for (int t = 0; t < count; ++t) {
      const std::uint8_t* pixels[kPositions];
      FindPixels(call_, tiles[t], At<std::uint8_t>(layout_.border), pixels);
      pieces_.transform_input(
          pixels, tiles[t].rows, tiles[t].cols, g_.in_c,
          At<std::int16_t>(layout_.inputs) + t * layout_.input_row,
          layout_.input_plane);
    }
  }

  void RunTiles(int first, int count) {
    if (!SharesInputs(blocking_)) TransformInputs(first, count);
    const Tile* tiles = At<Tile>(layout_.tiles);
    ranges_ = FindRanges(tiles, count);
    for (int block = first_block_; block < end_block_; ++block) {
      MultiplyBlock(block);
      FinishBlock(block, tiles, count);
    }
  }

  void MultiplyBlock(int block) {
    const int chunk = blocking_.channel_chunk / kChannelGroup;
    for (int group = 0; group < packed_.groups; group += chunk) {
      const int groups = std::min(chunk, packed_.groups - group);
      if (!blocking_.resident) TransformWeights(block, group, groups);
      for (int e = 0; e < kPositions; ++e)
        MultiplyPosition(block, e, group, groups);
    }
  }

  void MultiplyPosition(int block, int e, int group, int groups) {
    const bool rows_of_4 = e / 6 == 4;
    const bool cols_of_4 = e % 6 == 4;
    const TileRange range =
        rows_of_4 ? (cols_of_4 ? ranges_.both_of_4 : ranges_.rows_of_4)
                  : (cols_of_4 ? ranges_.cols_of_4 : ranges_.all);
    if (range.begin == range.end) return;
    const int steps = std::min(4 * groups, packed_.steps - 4 * group);
    pieces_.multiply(
        At<std::int16_t>(layout_.inputs) + e * layout_.input_plane +
            range.begin * layout_.input_row + group * kChannelGroup,
        layout_.input_row, range.end - range.begin, steps,
        WeightsOf(block) + e * layout_.weight_plane,
        At<std::int16_t>(layout_.wide), group != 0,
        At<std::int32_t>(layout_.sums) + e * layout_.sum_plane +
            std::ptrdiff_t{range.begin} * kFilterBlock);
  }

  void FinishBlock(int block, const Tile* tiles, int count) {
    const int filter = block * kFilterBlock;
    FinishCall finish;
    finish.call = &call_;
    finish.first_filter = filter;
    finish.valid = std::min(kFilterBlock, g_.filters - filter);
    finish.clamps_rounding = clamps_rounding_;
    finish.sums = At<std::int32_t>(layout_.sums);
    finish.sum_plane = layout_.sum_plane;
    finish.outputs = At<std::int32_t>(layout_.outputs);
    pieces_.finish(finish, tiles, count);
  }

  const Pieces& pieces_;
  const ConvCall& call_;
  const ConvGeometry& g_;
  const Blocking& blocking_;
  const ScratchLayout layout_;
  std::byte* const scratch_;
  const PackedLayout packed_;
  const bool clamps_rounding_;
  // Of the task.
  int first_block_ = 0;
  int end_block_ = 0;
  PositionRanges ranges_{};
};

// ChooseBlocking, which takes microseconds, for every task that asks again.
template <const Pieces& kPieces>
Blocking BlockingOf(const ConvGeometry& geometry, int batch, int threads) {
  struct Entry {
    ConvGeometry geometry;
    int batch, threads;
    Blocking blocking;
  };
  thread_local std::array<Entry, 64> memo{};
  const unsigned hash =
      (((static_cast<unsigned>(geometry.out_h) * 31 + geometry.in_c) * 31 +
        geometry.filters) *
           31 +
       batch) *
          31 +
      threads;
  Entry& entry = memo[hash * 2654435761U >> 26];
  if (entry.batch != batch || entry.threads != threads ||
      entry.geometry != geometry) {
    entry = {geometry, batch, threads,
             ChooseBlocking(kPieces.profile, geometry, batch, threads)};
  }
  return entry.blocking;
}

template <const Pieces& kPieces>
int Tasks(const ConvGeometry& geometry, int batch, int threads) {
  const Blocking b = BlockingOf<kPieces>(geometry, batch, threads);
  return b.tile_tasks * b.filter_tasks;
}

template <const Pieces& kPieces>
std::size_t ScratchBytes(const ConvGeometry& geometry, int batch, int threads) {
  return PlanScratch(kPieces.profile, geometry,
                     BlockingOf<kPieces>(geometry, batch, threads))
      .total;
}

template <const Pieces& kPieces>
void Begin(const ConvCall& call, int threads, std::byte* scratch) {
  BeginTasks(kPieces, call,
             BlockingOf<kPieces>(*call.geometry, call.batch, threads), scratch);
}

template <const Pieces& kPieces>
void Run(const ConvCall& call, int threads, int task, std::byte* scratch) {
  RunTask(kPieces, call,
          BlockingOf<kPieces>(*call.geometry, call.batch, threads), task,
          scratch);
}

template <const Pieces& kPieces>
double PredictedNs(const ConvGeometry& geometry, int batch) {
  return winograd::PredictedNs(kPieces.profile, geometry, batch);
}

template <const Pieces& kPieces>
constexpr ConvKernel MakeKernel() {
  return {"winograd",
          Applies,
          FusesMaxPool,
          PackedBytes,
          PackWeights,
          Tasks<kPieces>,
          ScratchBytes<kPieces>,
          Begin<kPieces>,
          Run<kPieces>,
          PredictedNs<kPieces>};
}

// Blocks were found best on AMD's cores with 1 MiB of L2: larger ones need
// fewer transforms but live in the outer cache, where other processes disturb
// them. Cycles are of a core that starts two 512-bit multiply-adds a cycle;
// other cores stretch all of them about alike.
constexpr Profile kNarrow = {.keeps_wide = false,
                             .resident_tiles = 24,
                             .streamed_tiles = 32,
                             .resident_bytes = 1280 << 10,
                             .whole_channels = 256,
                             .product = 1.04,
                             .weight_unit = 65,
                             .widen_unit = 0,
                             .input_slab = 180,
                             .output_block = 550,
                             .tile_block = 400,
                             .cycles_per_ns = 4};

// Of Intel's cores with 2 MiB of L2.
constexpr Profile kWide = {.keeps_wide = true,
                           .resident_tiles = 48,
                           .streamed_tiles = 32,
                           .resident_bytes = 2560 << 10,
                           .whole_channels = 128,
                           .product = 1.1,
                           .weight_unit = 160,
                           .widen_unit = 80,
                           .input_slab = 220,
                           .output_block = 600,
                           .tile_block = 400,
                           .cycles_per_ns = 2.9};

}  // namespace

#if defined(__x86_64__)
const Pieces kPiecesAvx512Vnni = {kNarrow, TransformInputAvx512Vnni,
                                  TransformWeightsAvx512Vnni,
                                  MultiplyAvx512Vnni, FinishAvx512Vnni};
const Pieces kPiecesAvx512VnniWide = {kWide, TransformInputAvx512Vnni,
                                      TransformWeightsAvx512Vnni,
                                      MultiplyAvx512VnniWide, FinishAvx512Vnni};
const Pieces kPiecesAvx2 = {kNarrow, TransformInputAvx2, TransformWeightsAvx2,
                            MultiplyAvx2, FinishAvx2};
#endif

void BeginTasks(const Pieces& pieces, const ConvCall& call,
                const Blocking& blocking, std::byte* scratch) {
  Worker(pieces, call, blocking, scratch).Begin();
}

void RunTask(const Pieces& pieces, const ConvCall& call,
             const Blocking& blocking, int task, std::byte* scratch) {
  Worker(pieces, call, blocking, scratch).Run(task);
}

}  // namespace winograd

#if defined(__x86_64__)
const ConvKernel kWinogradAvx512Vnni =
    winograd::MakeKernel<winograd::kPiecesAvx512Vnni>();
const ConvKernel kWinogradAvx512VnniWide =
    winograd::MakeKernel<winograd::kPiecesAvx512VnniWide>();
const ConvKernel kWinogradAvx2 = winograd::MakeKernel<winograd::kPiecesAvx2>();
#endif

}  // namespace tern
