#include <algorithm>

#include "engine/kernels/winograd.h"

namespace tern::winograd {
namespace {

// A thread that does its share in one piece waits for the other's delays.
constexpr double kOnePieceRisk = 0.05;
constexpr int kMaxPieces = 6;  // of a thread

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

// Whether transformed weights of all filters should stay in scratch: there has
// to be room, and more than one tile block for a thread.
bool KeepsWeights(const Profile& profile, const ConvGeometry& g, int threads,
                  const Blocking& b) {
  const std::size_t bytes =
      std::size_t{kPositions} * Channels(g) * kFilterBlock * FilterBlocks(g);
  return b.filter_tasks == 1 &&
         bytes <=
             std::min(profile.resident_bytes, kScratchBytes / threads / 2) &&
         CeilDiv(b.tiles, threads) > profile.resident_tiles;
}

// Cuts the tiles and channels of one task.
void CutTask(const Profile& profile, const ConvGeometry& g, int threads,
             Blocking* b) {
  const int channels = Channels(g);
  const int tiles = CeilDiv(b->tiles, b->tile_tasks);
  b->resident = KeepsWeights(profile, g, threads, *b);
  // Summing over all channels at once saves passes over the sums.
  b->channel_chunk = b->resident || channels <= profile.whole_channels
                         ? channels
                         : std::min(channels, kChannelChunk);
  int limit = b->resident ? profile.resident_tiles : profile.streamed_tiles;
  do {
    b->tile_block = CeilDiv(tiles, CeilDiv(tiles, limit));
    limit /= 2;
  } while (limit >= 6 &&
           PlanScratch(profile, g, *b).total > kScratchBytes / threads);
}

// Of a call whose tasks share the threads evenly.
double CallCycles(const Profile& profile, const ConvGeometry& g,
                  const Blocking& b, int batch, int threads) {
  const int pieces = CeilDiv(b.tile_tasks * b.filter_tasks, threads);
  const int tiles = CeilDiv(b.tiles, b.tile_tasks);
  const int filter_blocks = CeilDiv(FilterBlocks(g), b.filter_tasks);
  const int tile_blocks = CeilDiv(tiles, b.tile_block);
  const int channels = Channels(g);
  const double positions = 1.0 * batch * PositionsAlong(b.rows) *
                           PositionsAlong(b.cols) * tiles / b.tiles;
  const double weights = profile.weight_unit * channels;
  const double inputs = profile.input_slab * CeilDiv(channels, 32);
  double shared = 0;
  double task = profile.product * positions * channels * filter_blocks +
                profile.output_block * tiles * filter_blocks +
                profile.widen_unit * channels * filter_blocks * tile_blocks +
                profile.tile_block * tile_blocks;
  if (b.resident)
    shared += weights * FilterBlocks(g);
  else
    task += weights * filter_blocks * tile_blocks;
  if (SharesInputs(b))
    shared += inputs * tiles;
  else
    task += inputs * tiles;
  return shared + pieces * task;
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
  double least = CallCycles(profile, g, best, batch, threads);
  for (int pieces = 1; pieces <= kMaxPieces; ++pieces) {
    const int tasks = pieces * threads;
    const double risk = 1 + kOnePieceRisk / pieces;
    for (int f = 1; f <= std::min(tasks, FilterBlocks(g)); ++f) {
      if (tasks % f != 0 || tasks / f > best.tiles) continue;
      Blocking b = best;
      b.tile_tasks = tasks / f;
      b.filter_tasks = f;
      CutTask(profile, g, threads, &b);
      const double cycles = risk * CallCycles(profile, g, b, batch, threads);
      if (cycles >= least) continue;
      least = cycles;
      best = b;
    }
  }
  return best;
}

double PredictedNs(const Profile& profile, const ConvGeometry& g, int batch) {
  return CallCycles(profile, g, ChooseBlocking(profile, g, batch, 1), batch,
                    1) /
         profile.cycles_per_ns;
}

}  // namespace tern::winograd
