#include <algorithm>

#include "engine/kernels/winograd.h"

namespace tern::winograd {
namespace {

// Cycles of the pieces on a core that starts two 512-bit multiply-adds a
// cycle; other cores stretch all of them alike.
constexpr double kWeightUnit = 50;   // 64 weights' channel pairs
constexpr double kInputSlab = 110;   // a tile's 32 channels
constexpr double kOutputSlab = 100;  // a tile's 16 filters
constexpr double kTileBlock = 400;   // fixed costs of a tile block
constexpr double kCyclesPerNs = 4;

// Found best on cores with 1 MiB of L2; smaller ones only come out slower.
constexpr std::size_t kResidentBytes = 640 << 10;
constexpr int kResidentTiles = 24;
constexpr int kStreamedTiles = 128;
constexpr int kWholeChannels = 256;
constexpr int kChannelChunk = 128;
constexpr std::size_t kScratchBytes = 7 << 20;

int CeilDiv(int a, int b) { return (a + b - 1) / b; }

int PositionsAlong(Split split) { return 6 * split.fours + 5 * split.threes; }

}  // namespace

Blocking ChooseBlocking(const ConvGeometry& g, int batch, int threads) {
  Blocking b;
  b.rows = ChooseSplit(g.out_h);
  b.cols = ChooseSplit(g.out_w);
  b.tiles =
      batch * (b.rows.fours + b.rows.threes) * (b.cols.fours + b.cols.threes);
  const int filter_blocks = CeilDiv(g.filters, kFilterBlock);
  const int channels = CeilDiv(g.in_c, kChannelGroup) * kChannelGroup;
  if (threads > 1) {
    const int wanted = 2 * threads;
    b.tile_tasks = std::clamp(b.tiles / 24, 1, wanted);
    b.filter_tasks =
        std::clamp(CeilDiv(wanted, b.tile_tasks), 1, filter_blocks);
  }
  const int task_tiles = CeilDiv(b.tiles, b.tile_tasks);
  const int task_blocks = CeilDiv(filter_blocks, b.filter_tasks);
  const std::size_t whole =
      std::size_t{kPositions} * channels * kFilterBlock * task_blocks;
  b.resident = whole <= kResidentBytes && task_tiles > kResidentTiles;
  // Summing over all channels at once saves passes over the sums.
  b.channel_chunk = b.resident || channels <= kWholeChannels
                        ? channels
                        : std::min(channels, kChannelChunk);
  int limit = b.resident ? kResidentTiles : kStreamedTiles;
  do {
    b.tile_block = CeilDiv(task_tiles, CeilDiv(task_tiles, limit));
    limit /= 2;
  } while (limit >= 6 &&
           PlanScratch(g, b).total > kScratchBytes / std::max(1, threads));
  return b;
}

double PredictedNs(const ConvGeometry& g, int batch) {
  const Blocking b = ChooseBlocking(g, batch, 1);
  const int filter_blocks = CeilDiv(g.filters, kFilterBlock);
  const int channels = CeilDiv(g.in_c, kChannelGroup) * kChannelGroup;
  const int blocks = CeilDiv(b.tiles, b.tile_block);
  const double positions =
      1.0 * batch * PositionsAlong(b.rows) * PositionsAlong(b.cols);
  const double transforms = b.resident ? 1 : blocks;
  const double cycles = 1.05 * positions * channels * filter_blocks +
                        transforms * kWeightUnit * channels * filter_blocks +
                        kInputSlab * b.tiles * CeilDiv(channels, 32) +
                        kOutputSlab * b.tiles * 4.0 * filter_blocks +
                        kTileBlock * blocks;
  return cycles / kCyclesPerNs;
}

}  // namespace tern::winograd
