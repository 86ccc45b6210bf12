// Direct convolution with vpdpbusd (direct.h has the layout) where the
// processor unpacks weights no faster than it multiplies: they are unpacked to
// bytes once for all tiles of a chunk. Register tile: 6 pixels x 64 filters, 24
// accumulators.
//
// The k-loop is cut into parts of a few groups of each tap, whose weights stay
// in the first-level cache; from part to part sums wait in memory.

#include <immintrin.h>

#include "engine/kernels/direct.h"
#include "engine/kernels/direct_tile_avx512vnni.h"

namespace tern {
namespace {

// Unpacked weights of a part, where one group of each tap is less.
constexpr int kPartBytes = 24 << 10;
constexpr int kVectorBytes = 64;
constexpr int kGroupBytes = 4 * 4 * kVectorBytes;  // of 64 filters
constexpr int kTileSums = kDirectTilePixels * kDirectBlockFilters;

// Groups of a part, and how many parts there are.
struct Cut {
  int groups, parts;
};

Cut CutOf(const DirectLayout& layout) {
  const int most = kPartBytes / kGroupBytes / layout.taps;
  const int parts =
      most > 1 ? (layout.groups + most - 1) / most : layout.groups;
  return {(layout.groups + parts - 1) / parts, parts};
}

// A part of the k-loop.
struct Part {
  std::ptrdiff_t offset;  // in a run
  int steps;
  const std::uint8_t* weights;  // [tap][step][vector][64 bytes]
  std::size_t tap_bytes;
  bool first, last;
};

// A matrix for vgf2p8affineqb that turns the code in bits 2 step, 2 step + 1
// of a byte into a weight: all bits are the code's upper one, but the lowest is
// the sum of both.
constexpr long long DecodeMatrix(int step) {
  return (0x0302020202020202LL) << (2 * step);
}

// One vector of codes to four steps, `stride` apart. Permuting and the products
// of matrices have a port each.
TERN_ALWAYS_INLINE void UnpackVector(const std::uint8_t* codes,
                                     std::size_t stride, std::uint8_t* to) {
  const __m512i first = _mm512_set1_epi32(0x00FF0100);
  const __m512i second =
      _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x01010101, -1, 0));
  const __m512i p = _mm512_load_si512(codes);
  _mm512_store_si512(to, _mm512_permutexvar_epi8(p, first));
  _mm512_store_si512(to + stride, _mm512_permutexvar_epi8(p, second));
  _mm512_store_si512(
      to + 2 * stride,
      _mm512_gf2p8affine_epi64_epi8(p, _mm512_set1_epi64(DecodeMatrix(2)), 0));
  _mm512_store_si512(
      to + 3 * stride,
      _mm512_gf2p8affine_epi64_epi8(p, _mm512_set1_epi64(DecodeMatrix(3)), 0));
}

// `groups` groups of each tap; `codes` are the first ones.
void UnpackPart(const DirectLayout& layout, const std::uint8_t* codes,
                int groups, int vectors, std::uint8_t* to) {
  const std::size_t bytes = std::size_t{kVectorBytes} * vectors;
  for (int tap = 0; tap < layout.taps; ++tap) {
    const std::uint8_t* from = codes;
    for (int g = 0; g < groups; ++g) {
      for (int v = 0; v < vectors; ++v) {
        UnpackVector(from, bytes, to + kVectorBytes * v);
        from += kVectorBytes;
      }
      to += 4 * bytes;
    }
    codes += bytes * layout.groups;
  }
}

template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void AddTap(__m512i (&acc)[kPixels][kVectors],
                               const DirectTap& tap, const Part& part) {
  const std::uint8_t* pixel[kPixels];
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) pixel[m] = tap.pixel[m] + part.offset;
  const std::uint8_t* weights = part.weights + tap.tap * part.tap_bytes;
  std::ptrdiff_t offset = 0;
  for (int i = part.steps; i > 0; --i) {
    __m512i w[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      w[v] = _mm512_load_si512(weights + kVectorBytes * v);
    }
#pragma GCC unroll 6
    for (int m = 0; m < kPixels; ++m) {
      const __m512i x = Broadcast(pixel[m] + offset);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) MultiplyAdd(acc[m][v], x, w[v]);
    }
    weights += kVectorBytes * kVectors;
    offset += 4;
  }
}

template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void ReadSums(const std::int32_t* sums,
                                 __m512i (&acc)[kPixels][kVectors]) {
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      acc[m][v] = sums == nullptr ? _mm512_setzero_si512()
                                  : _mm512_load_si512(sums + 64 * m + 16 * v);
    }
  }
}

// `tiles` tiles of kPixels pixels, whose outputs follow each other.
template <int kPixels, int kVectors>
__attribute__((noinline)) void MultiplyTiles(const DirectTile* tile, int tiles,
                                             const Part& part, TileOutput out) {
  for (; tiles > 0; --tiles, ++tile) {
    __m512i acc[kPixels][kVectors];
    if (part.first) {
      ReadSums<kPixels, kVectors>(nullptr, acc);
    } else {
      ReadSums<kPixels, kVectors>(out.sums, acc);
    }
    const DirectTap* const end = tile->taps + tile->count;
    for (const DirectTap* tap = tile->taps; tap != end; ++tap) {
      AddTap<kPixels, kVectors>(acc, *tap, part);
    }
    switch (part.last ? out.kind : TileKind::kSums) {
      case TileKind::kSums:
        WriteSums<kPixels, kVectors>(acc, out.sums);
        break;
      case TileKind::kU8:
        WriteTileU8<kPixels, kVectors>(acc, out);
        break;
      case TileKind::kS16:
        WriteTileS16<kPixels, kVectors>(acc, out);
        break;
    }
    out.sums += kTileSums;
    out.output += kPixels * out.pixel_bytes;
  }
}

using MultiplyFunction = void (*)(const DirectTile*, int, const Part&,
                                  TileOutput);

template <int kPixels>
MultiplyFunction ChooseVectors(int vectors) {
  switch (vectors) {
    case 1:
      return MultiplyTiles<kPixels, 1>;
    case 2:
      return MultiplyTiles<kPixels, 2>;
    case 3:
      return MultiplyTiles<kPixels, 3>;
    default:
      return MultiplyTiles<kPixels, 4>;
  }
}

MultiplyFunction Choose(int pixels, int vectors) {
  switch (pixels) {
    case 1:
      return ChooseVectors<1>(vectors);
    case 2:
      return ChooseVectors<2>(vectors);
    case 3:
      return ChooseVectors<3>(vectors);
    case 4:
      return ChooseVectors<4>(vectors);
    case 5:
      return ChooseVectors<5>(vectors);
    default:
      return ChooseVectors<6>(vectors);
  }
}

// All tiles of a chunk; `out` is of its first pixel.
void RunPart(const DirectChunk& chunk, int vectors, const Part& part,
             TileOutput out) {
  int pixel = chunk.first;
  for (const DirectTile* tile = chunk.tile; pixel < chunk.end;) {
    const int tiles = SameSizeTiles(chunk, tile, pixel);
    Choose(tile->pixels, vectors)(tile, tiles, part, out);
    out.sums += kTileSums * tiles;
    const int pixels = tiles * tile->pixels;
    out.output += out.pixel_bytes * pixels;
    pixel += pixels;
    tile += tiles;
  }
}

// Scratch in a task's own part of it.
constexpr std::size_t SumsBytes(int tiles) {
  return sizeof(std::int32_t) * kTileSums * static_cast<std::size_t>(tiles);
}

void RunBlock(const DirectTask& task, const DirectChunk& chunk, int block) {
  const DirectLayout& layout = task.layout;
  const int filters = task.g->filters;
  const int k = block * kDirectBlockFilters;
  const int count = Smaller(filters - k, kDirectBlockFilters);
  const int vectors = (count + 15) / 16;
  TileOutput out = OutputOf(task, block, task.unpacked);
  out.sums = reinterpret_cast<std::int32_t*>(task.unpacked + kFactorBytes);
  std::uint8_t* weights =
      task.unpacked + kFactorBytes + SumsBytes(layout.chunk_tiles);
  if (out.kind != TileKind::kSums) {
    out.output = static_cast<std::uint8_t*>(task.call->output) +
                 chunk.first * out.pixel_bytes + out.pixel_bytes / filters * k;
  }
  const Cut cut = CutOf(layout);
  const std::size_t group_bytes = std::size_t{kVectorBytes} * vectors;
  const std::uint8_t* codes = task.call->packed + layout.block_bytes * block;
  for (int from = 0; from < layout.groups; from += cut.groups) {
    const int groups = Smaller(cut.groups, layout.groups - from);
    UnpackPart(layout, codes + group_bytes * from, groups, vectors, weights);
    const Part part = {16 * from, Smaller(4 * groups, layout.steps - 4 * from),
                       weights,   4 * group_bytes * groups,
                       from == 0, from + groups == layout.groups};
    RunPart(chunk, vectors, part, out);
  }
  if (out.kind != TileKind::kSums) return;
  int pixel = chunk.first;
  for (const DirectTile* tile = chunk.tile; pixel < chunk.end; ++tile) {
    WriteTile(task, out.sums, pixel, tile->pixels, k, count);
    out.sums += kTileSums;
    pixel += tile->pixels;
  }
}

constexpr DirectMicroKernels kMicroKernels = {
    FillDirectTapsAvx512Vnni, GatherWindowsAvx512Vnni, RunBlock};

DirectLayout LayoutOf(const ConvGeometry& g, int batch, int threads) {
  const DirectLayout layout = MakeDirectLayout(g, batch, threads);
  return MakeDirectLayout(
      g, batch, threads,
      kFactorBytes + SumsBytes(layout.chunk_tiles) +
          std::size_t{kGroupBytes} * layout.taps * CutOf(layout).groups);
}

std::size_t ScratchBytes(const ConvGeometry& g, int batch, int threads) {
  return LayoutOf(g, batch, threads).scratch_bytes;
}

void Run(const ConvCall& call, int threads, int task, std::byte* scratch) {
  RunDirect(call, LayoutOf(*call.geometry, call.batch, threads), task, scratch,
            kMicroKernels);
}

// Two vpdpbusd a cycle, unpacking for each chunk, and the epilogue; fitted on
// an Emerald Rapids core at 2.85 GHz.
double PredictedNs(const ConvGeometry& g, int batch) {
  const DirectLayout layout = MakeDirectLayout(g, batch, 1);
  const int tiles =
      (batch * g.out_h * g.out_w + kDirectTilePixels - 1) / kDirectTilePixels;
  const int vectors = (g.filters + 15) / 16;
  const double k_loop = 3.0 * layout.taps * layout.steps * vectors;
  const double gathering =
      layout.gathers ? 30 + 2.5 * kDirectTilePixels * g.kernel_h : 0;
  return tiles * (1.03 * k_loop + 14 * vectors + 4 * layout.taps + gathering) /
         2.85;
}

}  // namespace

extern const ConvKernel kDirectAvx512VnniWide = {
    "direct",   DirectApplies, DirectFusesMaxPool, DirectPackedBytes,
    DirectPack, DirectTasks,   ScratchBytes,       BeginNothing,
    Run,        PredictedNs};

}  // namespace tern
