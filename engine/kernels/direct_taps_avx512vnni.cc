// Tap tables of direct convolution, the pixels of a tile side by side in one
// vector of addresses; and the windows of first layers, several rows at once.

#include <immintrin.h>

#include "engine/kernels/direct.h"

namespace tern {
namespace {

// Top left input position of up to 6 neighbouring output pixels.
struct Corners {
  __m512i address, y, x;
};

// Anywhere, even where a row or an image ends among the pixels.
Corners ScatteredCorners(const DirectTask& task, const DirectCursor& first) {
  const ConvGeometry& g = *task.g;
  std::int64_t address[kDirectTilePixels];
  std::int64_t y[kDirectTilePixels];
  std::int64_t x[kDirectTilePixels];
  DirectCursor at = first;
#pragma GCC unroll 6
  for (int m = 0; m < kDirectTilePixels; ++m) {
    y[m] = std::int64_t{1} * at.y * g.stride_h - g.pad_top;
    x[m] = std::int64_t{1} * at.x * g.stride_w - g.pad_left;
    address[m] = reinterpret_cast<std::intptr_t>(task.call->input) +
                 at.image * task.image_bytes + y[m] * task.row_bytes +
                 x[m] * g.in_c;
    if (++at.x < g.out_w) continue;
    at.x = 0;
    if (++at.y < g.out_h) continue;
    at.y = 0;
    ++at.image;
  }
  // Not through memory: a load cannot forward from several stores.
  const auto load = [](const std::int64_t(&v)[kDirectTilePixels]) {
    return _mm512_setr_epi64(v[0], v[1], v[2], v[3], v[4], v[5], 0, 0);
  };
  return {load(address), load(y), load(x)};
}

Corners CornersOf(const DirectTask& task, const DirectCursor& first,
                  int pixels) {
  const ConvGeometry& g = *task.g;
  if (first.x + pixels > g.out_w) return ScatteredCorners(task, first);
  const std::int64_t y = std::int64_t{1} * first.y * g.stride_h - g.pad_top;
  const std::int64_t x = std::int64_t{1} * first.x * g.stride_w - g.pad_left;
  const std::int64_t address =
      reinterpret_cast<std::intptr_t>(task.call->input) +
      first.image * task.image_bytes + y * task.row_bytes + x * g.in_c;
  const __m512i lane = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
  const auto line = [lane](std::int64_t base, std::int64_t slope) {
    return _mm512_add_epi64(_mm512_set1_epi64(base),
                            _mm512_mullo_epi64(lane, _mm512_set1_epi64(slope)));
  };
  return {line(address, std::int64_t{1} * g.stride_w * g.in_c),
          _mm512_set1_epi64(y), line(x, g.stride_w)};
}

// Lanes whose position + offset lies in [0, size).
inline __mmask8 Inside(__m512i position, int offset, int size) {
  return _mm512_cmplt_epu64_mask(
      _mm512_add_epi64(position, _mm512_set1_epi64(offset)),
      _mm512_set1_epi64(size));
}

// Where no tap lies in padding.
void FillInnerTaps(const DirectTask& task, const Corners& corners,
                   DirectTap* taps) {
  const ConvGeometry& g = *task.g;
  std::size_t tap = 0;
  for (int ky = 0; ky < g.kernel_h; ++ky) {
    for (int kx = 0; kx < g.kernel_w; ++kx) {
      const std::int64_t offset =
          ky * task.row_bytes + std::int64_t{1} * kx * g.in_c;
      _mm512_store_si512(
          &taps[tap],
          _mm512_add_epi64(corners.address, _mm512_set1_epi64(offset)));
      taps[tap].tap = tap;
      ++tap;
    }
  }
}

// Windows of kRows rows, kTogether of which fill a vector at most.
template <int kRows, int kTogether>
void GatherRows(const DirectWindows& windows) {
  // Stores of bytes may alias anything but locals.
  const DirectWindows w = windows;
  const auto bytes = static_cast<std::ptrdiff_t>(w.bytes);
  // Where the rows behind a vector's first one belong.
  __mmask64 mask[kTogether];
  for (int r = 1; r < kTogether; ++r) {
    mask[r] = ((__mmask64{1} << bytes) - 1) << (bytes * r);
  }
  const std::uint8_t* window = w.from;
  std::uint8_t* run = w.to;
  for (int m = 0; m < w.pixels; ++m) {
    const std::uint8_t* from = window;
    std::uint8_t* to = run;
#pragma GCC unroll 8
    for (int row = 0; row < kRows; row += kTogether) {
      __m512i v = _mm512_zextsi256_si512(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#pragma GCC unroll 8
      for (int r = 1; r < kTogether; ++r) {
        if (row + r >= kRows) break;
        v = _mm512_mask_loadu_epi8(v, mask[r],
                                   from + r * (w.row_bytes - bytes));
      }
      _mm512_storeu_si512(to, v);
      from += kTogether * w.row_bytes;
      to += kTogether * bytes;
    }
    window += w.step;
    run += w.stride;
  }
}

}  // namespace

void GatherWindowsAvx512Vnni(const DirectWindows& windows) {
  const std::size_t bytes = windows.bytes;
  if (windows.rows == 3 && bytes <= 21) return GatherRows<3, 3>(windows);
  if (windows.rows == 5 && bytes <= 16) return GatherRows<5, 4>(windows);
  if (windows.rows == 7 && bytes <= 21) return GatherRows<7, 3>(windows);
  GatherWindowsAvx2(windows);
}

int FillDirectTapsAvx512Vnni(const DirectTask& task, const DirectCursor& first,
                             int pixels, bool all, DirectTap* taps) {
  const ConvGeometry& g = *task.g;
  const Corners corners = CornersOf(task, first, pixels);
  if (!task.layout.padded) {
    FillInnerTaps(task, corners, taps);
    return task.layout.taps;
  }
  const auto lanes = static_cast<__mmask8>((1 << pixels) - 1);
  const __m512i pad =
      _mm512_set1_epi64(reinterpret_cast<std::intptr_t>(task.pad));
  int count = 0;
  std::size_t tap = 0;
  for (int ky = 0; ky < g.kernel_h; ++ky) {
    const __mmask8 row = Inside(corners.y, ky, g.in_h) & lanes;
    for (int kx = 0; kx < g.kernel_w; ++kx, ++tap) {
      const __mmask8 inside = Inside(corners.x, kx, g.in_w) & row;
      if (inside == 0 && !all) continue;
      const __m512i address = _mm512_add_epi64(
          corners.address, _mm512_set1_epi64(ky * task.row_bytes +
                                             std::int64_t{1} * kx * g.in_c));
      _mm512_store_si512(&taps[count],
                         _mm512_mask_mov_epi64(pad, inside, address));
      taps[count].tap = tap;
      ++count;
    }
  }
  return count;
}

}  // namespace tern
