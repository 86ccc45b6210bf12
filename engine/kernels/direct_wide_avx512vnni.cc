// Direct convolution with vpdpbusd (direct.h has the layout) for processors
// that unpack weights no faster than they multiply. A chunk's first tile
// unpacks them and leaves them behind as bytes for the other tiles. Register
// tile: 6 pixels x 64 filters, 24 accumulators.
//
// The k-loop is cut into parts of some groups of each tap, whose weights stay
// in the first-level cache; from part to part sums wait in memory.

#include <immintrin.h>

#include "engine/kernels/direct.h"
#include "engine/kernels/direct_tile_avx512vnni.h"
#include "engine/kernels/direct_unpack_avx512vnni.h"

namespace tern {
namespace {

constexpr int kVectorBytes = 64;
// Unpacked weights of a part, at most.
constexpr int kPartBytes = 24 << 10;
// How far ahead codes are asked for. The processor alone does not: between two
// parts it sees none.
constexpr int kCodesAhead = 2 << 10;
constexpr int kTileSums = kDirectTilePixels * kPackedBlockFilters;

// Sets of accumulators that steps take in turn, so that there are enough sums
// to hide a multiplication's latency.
constexpr int Sets(int pixels, int vectors) {
  return pixels * vectors <= 4 ? 4 : pixels * vectors <= 9 ? 2 : 1;
}

// A part of the k-loop. Strides are in bytes, from one tap or group to the
// next.
struct Part {
  std::size_t first_tap, end_tap;
  int taps;               // of all parts
  std::ptrdiff_t offset;  // in a run
  int groups, steps;
  const std::uint8_t* codes;
  std::size_t codes_tap;
  std::uint8_t* weights;  // [tap][group][4 steps][vector][64 bytes]
  std::size_t weights_tap, weights_group;
  bool first, last;
};

template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void Step(__m512i (&acc)[kPixels][kVectors],
                             const std::uint8_t* const (&pixel)[kPixels],
                             std::ptrdiff_t offset,
                             const __m512i (&w)[kVectors]) {
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    const __m512i x = Broadcast(pixel[m] + offset);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) MultiplyAdd(acc[m][v], x, w[v]);
  }
}

template <int kVectors>
TERN_ALWAYS_INLINE void LoadWeights(const std::uint8_t* from,
                                    __m512i (&w)[kVectors]) {
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    w[v] = _mm512_load_si512(from + kVectorBytes * v);
  }
}

// Where a tap's runs are; those of the tap after the next come into the cache.
template <int kPixels>
TERN_ALWAYS_INLINE void LoadRuns(const DirectTap& tap, std::ptrdiff_t offset,
                                 const std::uint8_t* (&pixel)[kPixels]) {
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    __builtin_prefetch((&tap)[kDirectTapsAhead].pixel[m] + offset);
  }
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) pixel[m] = tap.pixel[m];
}

// What one tap adds.
template <int kSets, int kPixels, int kVectors>
TERN_ALWAYS_INLINE void AddTap(__m512i (&acc)[kSets][kPixels][kVectors],
                               const DirectTap& tap, const Part& part) {
  const std::uint8_t* pixel[kPixels];
  LoadRuns<kPixels>(tap, part.offset, pixel);
  const std::uint8_t* weights =
      part.weights + (tap.tap - part.first_tap) * part.weights_tap;
  std::ptrdiff_t offset = part.offset;
  __m512i w[kVectors];
  for (int i = part.steps / kSets; i > 0; --i) {
#pragma GCC unroll 4
    for (int set = 0; set < kSets; ++set) {
      LoadWeights<kVectors>(weights + kVectorBytes * kVectors * set, w);
      Step<kPixels, kVectors>(acc[set], pixel, offset + 4 * set, w);
    }
    weights += kVectorBytes * kVectors * kSets;
    offset += 4 * kSets;
  }
  for (int i = part.steps % kSets; i > 0; --i) {
    LoadWeights<kVectors>(weights, w);
    Step<kPixels, kVectors>(acc[0], pixel, offset, w);
    weights += kVectorBytes * kVectors;
    offset += 4;
  }
}

// The same, and unpacks the tap's weights for the other tiles.
template <int kSets, int kPixels, int kVectors>
TERN_ALWAYS_INLINE void UnpackTap(__m512i (&acc)[kSets][kPixels][kVectors],
                                  const DirectTap& tap, const Part& part) {
  const std::uint8_t* pixel[kPixels];
  LoadRuns<kPixels>(tap, part.offset, pixel);
  const std::uint8_t* codes = part.codes + tap.tap * part.codes_tap;
  std::uint8_t* weights =
      part.weights + (tap.tap - part.first_tap) * part.weights_tap;
  const std::size_t weights_group = part.weights_group;
  std::ptrdiff_t offset = part.offset;
  for (int i = part.groups; i > 0; --i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      __builtin_prefetch(codes + kVectorBytes * v + kCodesAhead);
    }
#pragma GCC unroll 4
    for (int step = 0; step < 4; ++step) {
      __m512i w[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        w[v] = UnpackCodes(_mm512_load_si512(codes + kVectorBytes * v), step);
        _mm512_store_si512(weights + kVectorBytes * (kVectors * step + v),
                           w[v]);
      }
      // Codes are loaded anew for each step: there are no registers for them.
      asm("" : "+r"(codes));
      Step<kPixels, kVectors>(acc[step % kSets], pixel, offset + 4 * step, w);
    }
    codes += kVectorBytes * kVectors;
    weights += weights_group;
    offset += 16;
  }
}

template <int kSets, int kPixels, int kVectors>
TERN_ALWAYS_INLINE void StartSums(const Part& part, const std::int32_t* sums,
                                  __m512i (&acc)[kSets][kPixels][kVectors]) {
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
      for (int set = 0; set < kSets; ++set) {
        acc[set][m][v] = _mm512_setzero_si512();
      }
    }
  }
  if (part.first) return;
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      acc[0][m][v] = _mm512_load_si512(sums + 64 * m + 16 * v);
    }
  }
}

template <int kSets, int kPixels, int kVectors>
TERN_ALWAYS_INLINE void JoinSets(__m512i (&acc)[kSets][kPixels][kVectors]) {
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
      for (int set = 1; set < kSets; ++set) {
        acc[0][m][v] = _mm512_add_epi32(acc[0][m][v], acc[set][m][v]);
      }
    }
  }
}

// The tile's first tap that is not before the part. It has all but a few.
inline const DirectTap* FirstTap(const DirectTile& tile, const Part& part) {
  const DirectTap* const end = tile.taps + tile.count;
  const int first = static_cast<int>(part.first_tap);
  const int left_out = part.taps - tile.count;
  const DirectTap* tap = tile.taps + (first > left_out ? first - left_out : 0);
  while (tap != end && tap->tap < part.first_tap) ++tap;
  return tap;
}

// `tiles` tiles of kPixels pixels, whose outputs follow each other. The first
// one unpacks where asked to.
template <int kPixels, int kVectors>
__attribute__((noinline)) void MultiplyTiles(const DirectTile* tile, int tiles,
                                             const Part& of, bool unpack,
                                             TileOutput out) {
  constexpr int kSets = Sets(kPixels, kVectors);
  // Stores of bytes may alias anything but locals.
  const Part part = of;
  for (; tiles > 0; --tiles, ++tile) {
    __m512i acc[kSets][kPixels][kVectors];
    StartSums<kSets, kPixels, kVectors>(part, out.sums, acc);
    const DirectTap* const end = tile->taps + tile->count;
    for (const DirectTap* tap = FirstTap(*tile, part);
         tap != end && tap->tap < part.end_tap; ++tap) {
      if (unpack) {
        UnpackTap<kSets, kPixels, kVectors>(acc, *tap, part);
      } else {
        AddTap<kSets, kPixels, kVectors>(acc, *tap, part);
      }
    }
    unpack = false;
    JoinSets<kSets, kPixels, kVectors>(acc);
    switch (part.last ? out.kind : TileKind::kSums) {
      case TileKind::kSums:
        WriteSums<kPixels, kVectors>(acc[0], out.sums);
        break;
      case TileKind::kU8:
        WriteTileU8<kPixels, kVectors>(acc[0], out);
        break;
      case TileKind::kS16:
        WriteTileS16<kPixels, kVectors>(acc[0], out);
        break;
    }
    out.sums += kTileSums;
    out.output += kPixels * out.pixel_bytes;
  }
}

using MultiplyFunction = void (*)(const DirectTile*, int, const Part&, bool,
                                  TileOutput);

struct Tiles {
  template <int kPixels, int kVectors>
  static constexpr MultiplyFunction kFunction =
      MultiplyTiles<kPixels, kVectors>;
};

// All tiles of a chunk; `out` is of its first pixel.
void RunPart(const DirectChunk& chunk, int vectors, const Part& part,
             TileOutput out) {
  int pixel = chunk.first;
  for (const DirectTile* tile = chunk.tile; pixel < chunk.end;) {
    const int tiles = SameSizeTiles(chunk, tile, pixel);
    ChooseTile<Tiles>(tile->pixels, vectors)(tile, tiles, part,
                                             tile == chunk.tile, out);
    out.sums += kTileSums * tiles;
    const int pixels = tiles * tile->pixels;
    out.output += out.pixel_bytes * pixels;
    pixel += pixels;
    tile += tiles;
  }
}

// Sums of all tiles of a chunk, in the scratch behind the factors; the weights
// follow.
constexpr std::size_t SumsBytes(const DirectLayout& layout) {
  return sizeof(std::int32_t) * kTileSums *
         static_cast<std::size_t>(layout.chunk_tiles);
}

// The size of the fewest equal pieces of at most `most`.
int Split(int all, int most) {
  const int pieces = (all + most - 1) / most;
  return (all + pieces - 1) / pieces;
}

// All parts of the k-loop: sums or outputs of the chunk. Weights that one tile
// alone needs are not kept, so that one part will do.
void Multiply(const DirectTask& task, const DirectChunk& chunk, int block,
              int vectors, const TileOutput& out) {
  const DirectLayout& layout = task.layout;
  const bool keep = chunk.end - chunk.first > kDirectTilePixels;
  const std::size_t group = std::size_t{kVectorBytes} * vectors;
  const int most = kPartBytes / (4 * kVectorBytes * vectors);
  const int groups = keep ? Split(layout.groups, most) : layout.groups;
  const int taps = keep ? Split(layout.taps, most / groups) : layout.taps;
  const std::uint8_t* codes = task.call->packed + layout.block_bytes * block;
  std::uint8_t* weights = task.own + kFactorBytes + SumsBytes(layout);
  for (int tap = 0; tap < layout.taps; tap += taps) {
    for (int from = 0; from < layout.groups; from += groups) {
      const int end = Smaller(from + groups, layout.groups);
      Part part;
      part.first_tap = static_cast<std::size_t>(tap);
      part.end_tap = part.first_tap + static_cast<std::size_t>(taps);
      part.taps = layout.taps;
      part.offset = std::ptrdiff_t{16} * from;
      part.groups = end - from;
      part.steps = Smaller(4 * end, layout.steps) - 4 * from;
      part.codes = codes + group * from;
      part.codes_tap = group * layout.groups;
      part.weights = weights;
      part.weights_tap = keep ? 4 * group * part.groups : 0;
      part.weights_group = keep ? 4 * group : 0;
      part.first = tap == 0 && from == 0;
      part.last = tap + taps >= layout.taps && end == layout.groups;
      RunPart(chunk, vectors, part, out);
    }
  }
}

void RunBlock(const DirectTask& task, const DirectChunk& chunk, int block) {
  const int filters = task.g->filters;
  const int k = block * kPackedBlockFilters;
  const int count = Smaller(filters - k, kPackedBlockFilters);
  TileOutput out = OutputOf(task, block, task.own);
  out.sums = reinterpret_cast<std::int32_t*>(task.own + kFactorBytes);
  out.output = static_cast<std::uint8_t*>(task.call->output) +
               chunk.first * out.pixel_bytes + out.pixel_bytes / filters * k;
  Multiply(task, chunk, block, (count + 15) / 16, out);
  if (out.kind != TileKind::kSums) return;
  int pixel = chunk.first;
  for (const DirectTile* tile = chunk.tile; pixel < chunk.end; ++tile) {
    WriteTile(task, out, block, pixel, tile->pixels);
    out.sums += kTileSums;
    out.output += out.pixel_bytes * tile->pixels;
    pixel += tile->pixels;
  }
}

std::size_t TaskBytes(const DirectLayout& layout) {
  return kFactorBytes + SumsBytes(layout) + kPartBytes;
}

// Two vpdpbusd or unpacked vectors a cycle, the epilogue, and what begins with
// each tap and block; fitted on an Emerald Rapids core at 2.85 GHz.
double PredictedNs(const ConvGeometry& g, int batch) {
  const DirectLayout layout = MakeDirectLayout(g, batch, 1);
  const int vectors = (g.filters + 15) / 16;
  const int pixels = batch * g.out_h * g.out_w;
  const int chunk = layout.chunk_tiles * kDirectTilePixels;
  const int chunks = (pixels + chunk - 1) / chunk;
  const double k_loop = 0.5 * layout.taps * layout.steps * vectors;
  const double epilogue = (2.5 + 0.25 * layout.taps) * vectors;
  const double gathering = layout.gathers ? 20 : 0;
  return ((1.02 * pixels + chunks) * k_loop + pixels * (epilogue + gathering) +
          300 * chunks * layout.blocks) /
         2.85;
}

}  // namespace

const DirectMicroKernels kDirectMicroKernelsAvx512VnniWide = {
    FillDirectTapsAvx512Vnni,
    GatherWindowsAvx512Vnni,
    RunBlock,
    TaskBytes,
    true,
    PredictedNs};

}  // namespace tern
