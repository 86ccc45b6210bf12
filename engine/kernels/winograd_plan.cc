#include <algorithm>

#include "engine/kernels/winograd.h"

namespace tern::winograd {
namespace {

// A thread that does its share in one piece waits for the other's delays.
constexpr double kOnePieceRisk = 0.01;

constexpr int kChannelChunk = 128;
constexpr std::size_t kScratchBytes = 7 << 20;

int CeilDiv(int a, int b) { return (a + b - 1) / b; }

int PositionsAlong(Split split) { return 6 * split.fours + 5 * split.threes; }

int FilterBlocks(const ConvGeometry& g) {
  return CeilDiv(g.filters, kFilterBlock);
}

int Channels(const ConvGeometry& g) {
  return CeilDiv(g.in_c, kChannelGroup) * kChannelGroup;
}

// Cuts the tiles and channels of one task.
void CutTask(const Profile& profile, const ConvGeometry& g, int threads,
             Blocking* b) {
  const int channels = Channels(g);
  const int tiles = CeilDiv(b->tiles, b->tile_tasks);
  const int blocks = CeilDiv(FilterBlocks(g), b->filter_tasks);
  const std::size_t whole =
      std::size_t{kPositions} * channels * kFilterBlock * blocks;
  const std::size_t room = kScratchBytes / threads;
  b->resident = whole <= std::min(profile.resident_bytes, room / 2) &&
                tiles > profile.resident_tiles;
  // Summing over all channels at once saves passes over the sums.
  b->channel_chunk = b->resident || channels <= profile.whole_channels
                         ? channels
                         : std::min(channels, kChannelChunk);
  int limit = b->resident ? profile.resident_tiles : profile.streamed_tiles;
  do {
    b->tile_block = CeilDiv(tiles, CeilDiv(tiles, limit));
    limit /= 2;
  } while (limit >= 6 && PlanScratch(profile, g, *b).total > room);
}

// Of one task, on average.
double TaskCycles(const Profile& profile, const ConvGeometry& g,
                  const Blocking& b, int batch) {
  const double share = 1.0 / (b.tile_tasks * b.filter_tasks);
  const double positions =
      1.0 * batch * PositionsAlong(b.rows) * PositionsAlong(b.cols);
  const double tiles = 1.0 * b.tiles / b.tile_tasks;
  const double filter_blocks = 1.0 * FilterBlocks(g) / b.filter_tasks;
  const int tile_blocks = CeilDiv(CeilDiv(b.tiles, b.tile_tasks), b.tile_block);
  const int channels = Channels(g);
  return profile.product * positions * channels * FilterBlocks(g) * share +
         profile.weight_unit * channels * filter_blocks *
             (b.resident ? 1 : tile_blocks) +
         profile.input_slab * tiles * CeilDiv(channels, 32) +
         profile.output_block * tiles * filter_blocks +
         profile.tile_block * tile_blocks;
}

}  // namespace

Blocking ChooseBlocking(const Profile& profile, const ConvGeometry& g,
                        int batch, int threads) {
  Blocking best;
  best.rows = ChooseSplit(g.out_h);
  best.cols = ChooseSplit(g.out_w);
  best.tiles = batch * (best.rows.fours + best.rows.threes) *
               (best.cols.fours + best.cols.threes);
  CutTask(profile, g, threads, &best);
  if (threads == 1) return best;
  double least = TaskCycles(profile, g, best, batch);
  for (int pieces = 1; pieces <= 3; ++pieces) {
    const int tasks = pieces * threads;
    const double risk = 1 + kOnePieceRisk / pieces;
    for (int f = 1; f <= std::min(tasks, FilterBlocks(g)); ++f) {
      if (tasks % f != 0 || tasks / f > best.tiles) continue;
      Blocking b = best;
      b.tile_tasks = tasks / f;
      b.filter_tasks = f;
      CutTask(profile, g, threads, &b);
      const double cycles = pieces * risk * TaskCycles(profile, g, b, batch);
      if (cycles >= least) continue;
      least = cycles;
      best = b;
    }
  }
  return best;
}

double PredictedNs(const Profile& profile, const ConvGeometry& g, int batch) {
  return TaskCycles(profile, g, ChooseBlocking(profile, g, batch, 1), batch) /
         profile.cycles_per_ns;
}

}  // namespace tern::winograd
