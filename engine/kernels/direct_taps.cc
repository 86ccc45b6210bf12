// Tap tables of direct convolution: where the pixels of a tile find their
// input.

#include <algorithm>
#include <cstring>

#include "engine/kernels/direct.h"

namespace tern {
namespace {

constexpr std::size_t kPiece = 16;  // bytes copied at once

// Top left input position of an output pixel, and its address.
struct Corner {
  int y, x;
  const std::uint8_t* address;
};

Corner CornerOf(const DirectTask& task, const DirectCursor& at) {
  const ConvGeometry& g = *task.g;
  const int y = at.y * g.stride_h - g.pad_top;
  const int x = at.x * g.stride_w - g.pad_left;
  return {y, x,
          task.call->input + at.image * task.image_bytes + y * task.row_bytes +
              std::ptrdiff_t{1} * x * g.in_c};
}

bool Inside(int position, int size) {
  return static_cast<unsigned>(position) < static_cast<unsigned>(size);
}

// How many pixels from this one on, along its row, have windows inside the
// input; at most `most`.
int InnerPixels(const ConvGeometry& g, const Corner& corner, int out_x,
                int most) {
  if (corner.y < 0 || corner.y + g.kernel_h > g.in_h || corner.x < 0 ||
      corner.x + g.kernel_w > g.in_w) {
    return 0;
  }
  const int room = (g.in_w - g.kernel_w - corner.x) / g.stride_w + 1;
  return std::min({most, g.out_w - out_x, room});
}

// Copies `bytes` bytes and up to kPiece - 1 of what follows them.
void CopyPieces(const std::uint8_t* from, std::size_t bytes, std::uint8_t* to) {
  for (std::size_t i = 0; i < bytes; i += kPiece) {
    std::memcpy(to + i, from + i, kPiece);
  }
}

// Any window. What a copy writes too much, the next one overwrites.
void GatherWindow(const DirectTask& task, const Corner& corner,
                  std::uint8_t* to) {
  const ConvGeometry& g = *task.g;
  const auto bytes = [&g](int pixels) {
    return static_cast<std::size_t>(pixels) * static_cast<std::size_t>(g.in_c);
  };
  const int from = std::clamp(-corner.x, 0, g.kernel_w);
  const int end = std::clamp(g.in_w - corner.x, from, g.kernel_w);
  for (int ky = 0; ky < g.kernel_h; ++ky) {
    const bool inside = Inside(corner.y + ky, g.in_h);
    const int left = inside ? from : g.kernel_w;
    CopyPieces(task.pad, bytes(left), to);
    if (inside) {
      CopyPieces(corner.address + ky * task.row_bytes + bytes(from),
                 bytes(end - from), to + bytes(from));
      CopyPieces(task.pad, bytes(g.kernel_w - end), to + bytes(end));
    }
    to += bytes(g.kernel_w);
  }
}

}  // namespace

void AdvanceDirect(const ConvGeometry& g, int pixels, DirectCursor& cursor) {
  cursor.x += pixels;
  while (cursor.x >= g.out_w) {
    cursor.x -= g.out_w;
    if (++cursor.y < g.out_h) continue;
    cursor.y = 0;
    ++cursor.image;
  }
}

void GatherDirect(const DirectTask& task, const DirectMicroKernels& kernels,
                  const DirectCursor& first, int pixels) {
  const ConvGeometry& g = *task.g;
  const std::size_t stride = task.layout.gathered_bytes;
  std::uint8_t* gathered = task.gathered;
  DirectCursor at = first;
  while (pixels > 0) {
    const Corner corner = CornerOf(task, at);
    const int inner = InnerPixels(g, corner, at.x, pixels);
    if (inner > 0) {
      kernels.gather({inner, corner.address,
                      std::ptrdiff_t{1} * g.stride_w * g.in_c, task.row_bytes,
                      g.kernel_h, std::size_t{1} * g.kernel_w * g.in_c,
                      gathered, stride});
    } else {
      GatherWindow(task, corner, gathered);
    }
    const int taken = std::max(inner, 1);
    pixels -= taken;
    gathered += stride * static_cast<std::size_t>(taken);
    AdvanceDirect(g, taken, at);
  }
}

int FillDirectTaps(const DirectTask& task, const DirectCursor& first,
                   int pixels, bool all, DirectTap* taps) {
  const ConvGeometry& g = *task.g;
  Corner corner[kDirectTilePixels];
  DirectCursor at = first;
  for (int m = 0; m < pixels; ++m) {
    corner[m] = CornerOf(task, at);
    AdvanceDirect(g, 1, at);
  }
  int count = 0;
  std::size_t tap = 0;
  for (int ky = 0; ky < g.kernel_h; ++ky) {
    for (int kx = 0; kx < g.kernel_w; ++kx, ++tap) {
      const std::ptrdiff_t offset =
          ky * task.row_bytes + std::ptrdiff_t{1} * kx * g.in_c;
      bool any = all;
      for (int m = 0; m < pixels; ++m) {
        const bool inside = Inside(corner[m].y + ky, g.in_h) &&
                            Inside(corner[m].x + kx, g.in_w);
        taps[count].pixel[m] = inside ? corner[m].address + offset : task.pad;
        any = any || inside;
      }
      taps[count].tap = tap;
      if (any) ++count;
    }
  }
  return count;
}

}  // namespace tern
