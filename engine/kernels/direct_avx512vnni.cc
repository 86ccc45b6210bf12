// Direct convolution from 2-bit weights with vpdpbusd (direct.h has the
// layout). Register tile: 6 pixels x 64 filters, 24 accumulators. One 64-byte
// load of codes serves four steps; (p >> 2s) & 3 indexes a table of bytes.

#include <immintrin.h>

#include "engine/kernels/direct.h"
#include "engine/kernels/direct_tile_avx512vnni.h"

namespace tern {
namespace {

TERN_ALWAYS_INLINE __m512i Unpack(const std::uint8_t* codes, int step) {
  const __m512i table = _mm512_set1_epi32(0x00FF0100);
  static constexpr std::uint32_t kMask = 0x03030303;
  __m512i p = _mm512_load_si512(codes);
  if (step > 0) p = _mm512_srli_epi16(p, 2 * static_cast<unsigned>(step));
  asm volatile("vpandd %1%{1to16%}, %0, %0" : "+v"(p) : "m"(kMask));
  return _mm512_shuffle_epi8(table, p);
}

template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void Step(__m512i (&acc)[kPixels][kVectors],
                             const std::uint8_t* group,
                             const std::uint8_t* const (&pixel)[kPixels],
                             std::ptrdiff_t offset, int step) {
  __m512i w[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    w[v] = Unpack(group + 64 * v, step);
  }
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) {
    const __m512i x = Broadcast(pixel[m] + offset + 4 * step);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      MultiplyAdd(acc[m][v], x, w[v]);
    }
  }
}

// What one tap adds; `w` are its weights. Meanwhile the runs of the tap after
// the next come into the cache: the strides of a convolution are too much for
// the processor to foresee. Beside few filters that would take too long.
template <int kPixels, int kVectors>
TERN_ALWAYS_INLINE void AddTap(__m512i (&acc)[kPixels][kVectors],
                               const DirectTap& tap, int steps,
                               const std::uint8_t* w) {
  const std::uint8_t* pixel[kPixels];
#pragma GCC unroll 6
  for (int m = 0; m < kPixels; ++m) pixel[m] = tap.pixel[m];
  std::ptrdiff_t offset = 0;
  for (int i = steps / 4; i > 0; --i) {
#pragma GCC unroll 6
    for (int m = 0; m < kPixels && kVectors > 2; ++m) {
      __builtin_prefetch((&tap)[kDirectTapsAhead].pixel[m] + offset);
    }
    // Each step loads the weights anew: kept from step to step they would
    // push vectors to the stack.
    Step<kPixels, kVectors>(acc, w, pixel, offset, 0);
    asm("" : "+r"(w));
    Step<kPixels, kVectors>(acc, w, pixel, offset, 1);
    asm("" : "+r"(w));
    Step<kPixels, kVectors>(acc, w, pixel, offset, 2);
    asm("" : "+r"(w));
    Step<kPixels, kVectors>(acc, w, pixel, offset, 3);
    w += 64 * kVectors;
    offset += 16;
  }
  const int rest = steps % 4;
  if (rest > 0) Step<kPixels, kVectors>(acc, w, pixel, offset, 0);
  asm("" : "+r"(w));
  if (rest > 1) Step<kPixels, kVectors>(acc, w, pixel, offset, 1);
  asm("" : "+r"(w));
  if (rest > 2) Step<kPixels, kVectors>(acc, w, pixel, offset, 2);
}

// `tiles` tiles of kPixels pixels, whose outputs follow each other. With few
// channels a call for each tile would cost a tenth of the time.
template <int kPixels, int kVectors>
__attribute__((noinline)) void MultiplyTiles(const DirectTile* tile, int tiles,
                                             int steps,
                                             const std::uint8_t* weights,
                                             TileOutput out) {
  const std::size_t tap_bytes =
      static_cast<std::size_t>((steps + 3) / 4) * 64 * kVectors;
  for (; tiles > 0; --tiles, ++tile) {
    __m512i acc[kPixels][kVectors];
#pragma GCC unroll 6
    for (int m = 0; m < kPixels; ++m) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[m][v] = _mm512_setzero_si512();
    }
#pragma GCC unroll 6
    for (int m = kPixels; m < 2 * kPixels; ++m) {
      __builtin_prefetch(out.output + m * out.pixel_bytes, 1);
    }
    const DirectTap* const end = tile->taps + tile->count;
    for (const DirectTap* tap = tile->taps; tap != end; ++tap) {
      AddTap<kPixels, kVectors>(acc, *tap, steps,
                                weights + tap->tap * tap_bytes);
    }
    switch (out.kind) {
      case TileKind::kSums:
        return WriteSums<kPixels, kVectors>(acc, out.sums);
      case TileKind::kU8:
        WriteTileU8<kPixels, kVectors>(acc, out);
        break;
      case TileKind::kS16:
        WriteTileS16<kPixels, kVectors>(acc, out);
        break;
    }
    out.output += kPixels * out.pixel_bytes;
  }
}

using MultiplyFunction = void (*)(const DirectTile*, int, int,
                                  const std::uint8_t*, TileOutput);

struct Tiles {
  template <int kPixels, int kVectors>
  static constexpr MultiplyFunction kFunction =
      MultiplyTiles<kPixels, kVectors>;
};

void RunBlock(const DirectTask& task, const DirectChunk& chunk, int block) {
  const int filters = task.g->filters;
  const int k = block * kPackedBlockFilters;
  const int count = Smaller(filters - k, kPackedBlockFilters);
  const int vectors = (count + 15) / 16;
  const std::uint8_t* weights =
      task.call->packed + task.layout.block_bytes * block;
  TileOutput out = OutputOf(task, block, task.own);
  out.sums = task.sums;
  const bool sums = out.kind == TileKind::kSums;
  const std::size_t element = out.pixel_bytes / filters;
  int pixel = chunk.first;
  for (const DirectTile* tile = chunk.tile; pixel < chunk.end;) {
    // There is room for the sums of one tile.
    const int tiles = sums ? 1 : SameSizeTiles(chunk, tile, pixel);
    out.output = static_cast<std::uint8_t*>(task.call->output) +
                 (static_cast<std::size_t>(pixel) * filters + k) * element;
    ChooseTile<Tiles>(tile->pixels, vectors)(tile, tiles, task.layout.steps,
                                             weights, out);
    if (sums) WriteTile(task, out, block, pixel, tile->pixels);
    pixel += tiles * tile->pixels;
    tile += tiles;
  }
}

std::size_t TaskBytes(const DirectLayout&) { return kFactorBytes; }

// The k-loop at the peak of the multiply-accumulate instruction, for whole
// tiles, and the epilogue; fitted on a Zen 5 core at 3.7 GHz, where 128
// multiply-accumulates take a cycle.
double PredictedNs(const ConvGeometry& g, int batch) {
  const DirectLayout layout = MakeDirectLayout(g, batch, 1);
  const int tiles =
      (batch * g.out_h * g.out_w + kDirectTilePixels - 1) / kDirectTilePixels;
  const int vectors = (g.filters + 15) / 16;
  const double k_loop = 3.0 * layout.taps * layout.steps * vectors;
  const double gathering =
      layout.gathers ? 30 + 2.5 * kDirectTilePixels * g.kernel_h : 0;
  return tiles * (1.03 * k_loop + 14 * vectors + 4 * layout.taps + gathering) /
         3.7;
}

}  // namespace

const DirectMicroKernels kDirectMicroKernelsAvx512Vnni = {
    FillDirectTapsAvx512Vnni,
    GatherWindowsAvx512Vnni,
    RunBlock,
    TaskBytes,
    false,
    PredictedNs};

}  // namespace tern
