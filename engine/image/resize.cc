// Separable: columns first, then rows, each rounded to u8 as Pillow does, so
// that the two agree to the last level nearly everywhere.
//
// Output pixel i of a side scaled by s = in / out is the mean of the input
// weighted by a triangle of half width max(s, 1) around (i + 1/2) s. Weights
// are computed in double by the four basic operations, which IEEE 754 fixes,
// then rounded to integers: the pixels are the same on every machine.

#include "engine/image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/status_macros.h"

namespace tern {
namespace internal {
namespace {

// A weight of 1 is 2^22: 255 times it, plus the rounding half, fits 31 bits.
constexpr int kWeightBits = 22;
constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

// Output pixel i reads taps[i].count input pixels from taps[i].first.
struct Tap {
  int first = 0;
  int count = 0;
  std::size_t weights = 0;
};

struct Filter {
  std::vector<Tap> taps;
  std::vector<std::int32_t> weights;
};

Filter MakeFilter(int in, const ResizeSide& side) {
  const double scale = static_cast<double>(in) / static_cast<double>(side.full);
  const double support = std::max(scale, 1.0);
  Filter filter;
  filter.taps.reserve(static_cast<std::size_t>(side.count));
  std::vector<double> triangle;
  for (int i = 0; i < side.count; ++i) {
    const double center = (static_cast<double>(side.first + i) + 0.5) * scale;
    const int first =
        std::max(0, static_cast<int>(std::lround(center - support)));
    const int last =
        std::min(in, static_cast<int>(std::lround(center + support)));
    triangle.clear();
    double sum = 0;
    for (int x = first; x < last; ++x) {
      const double distance = std::fabs((x + 0.5 - center) / support);
      triangle.push_back(std::max(0.0, 1.0 - distance));
      sum += triangle.back();
    }
    filter.taps.push_back({first, last - first, filter.weights.size()});
    for (const double weight : triangle) {
      filter.weights.push_back(static_cast<std::int32_t>(
          std::lround(weight / sum * (1 << kWeightBits))));
    }
  }
  return filter;
}

std::uint8_t Level(std::int32_t sum) {
  return static_cast<std::uint8_t>(
      std::min<std::int32_t>(sum >> kWeightBits, 255));
}

// Rows [first, last) of `image`, each to filter.taps.size() columns.
template <int kChannels>
Image ResizeColumns(const Image& image, const Filter& filter, int first,
                    int last) {
  Image out{last - first, static_cast<int>(filter.taps.size()), kChannels, {}};
  out.pixels.resize(static_cast<std::size_t>(out.height) * out.width *
                    kChannels);
  std::uint8_t* to = out.pixels.data();
  for (int y = first; y < last; ++y) {
    const std::uint8_t* row =
        image.pixels.data() +
        static_cast<std::size_t>(y) * image.width * kChannels;
    for (const Tap& tap : filter.taps) {
      const std::int32_t* weights = filter.weights.data() + tap.weights;
      const std::uint8_t* from =
          row + static_cast<std::size_t>(tap.first) * kChannels;
      std::int32_t sums[kChannels];
      std::fill_n(sums, kChannels, kHalf);
      for (int x = 0; x < tap.count; ++x) {
        for (int c = 0; c < kChannels; ++c) {
          sums[c] += weights[x] * *from++;
        }
      }
      for (const std::int32_t sum : sums) *to++ = Level(sum);
    }
  }
  return out;
}

// `image` starts at row `origin` of the picture that `filter` reads.
Image ResizeRows(const Image& image, const Filter& filter, int origin) {
  Image out{
      static_cast<int>(filter.taps.size()), image.width, image.channels, {}};
  const std::size_t row_bytes =
      static_cast<std::size_t>(image.width) * image.channels;
  out.pixels.resize(row_bytes * filter.taps.size());
  std::vector<std::int32_t> sums(row_bytes);
  std::uint8_t* to = out.pixels.data();
  for (const Tap& tap : filter.taps) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int y = 0; y < tap.count; ++y) {
      const std::int32_t weight =
          filter.weights[tap.weights + static_cast<std::size_t>(y)];
      const std::uint8_t* from =
          image.pixels.data() +
          static_cast<std::size_t>(tap.first + y - origin) * row_bytes;
      for (std::size_t i = 0; i < row_bytes; ++i) sums[i] += weight * from[i];
    }
    to = std::transform(sums.begin(), sums.end(), to, Level);
  }
  return out;
}

}  // namespace

Image ResizePart(const Image& image, const ResizeSide& rows,
                 const ResizeSide& columns) {
  TERN_CHECK(image.height >= 1 && image.width >= 1);
  TERN_CHECK(rows.count >= 1 && rows.first >= 0);
  TERN_CHECK(rows.first + rows.count <= rows.full);
  TERN_CHECK(columns.count >= 1 && columns.first >= 0);
  TERN_CHECK(columns.first + columns.count <= columns.full);
  const Filter row_filter = MakeFilter(image.height, rows);
  const Filter column_filter = MakeFilter(image.width, columns);
  const int first = row_filter.taps.front().first;
  const int last = row_filter.taps.back().first + row_filter.taps.back().count;
  return ResizeRows(image.channels == 1
                        ? ResizeColumns<1>(image, column_filter, first, last)
                        : ResizeColumns<3>(image, column_filter, first, last),
                    row_filter, first);
}

}  // namespace internal

Image Resize(const Image& image, int height, int width) {
  if (height == image.height && width == image.width) return image;
  return internal::ResizePart(image, {height, 0, height}, {width, 0, width});
}

Image CenterCrop(const Image& image, int height, int width) {
  TERN_CHECK(height >= 1 && height <= image.height);
  TERN_CHECK(width >= 1 && width <= image.width);
  const int top = (image.height - height) / 2;
  const int left = (image.width - width) / 2;
  Image out{height, width, image.channels, {}};
  const std::size_t row_bytes =
      static_cast<std::size_t>(width) * image.channels;
  out.pixels.reserve(row_bytes * height);
  for (int y = 0; y < height; ++y) {
    const std::uint8_t* row =
        image.pixels.data() +
        (static_cast<std::size_t>(top + y) * image.width + left) *
            image.channels;
    out.pixels.insert(out.pixels.end(), row, row + row_bytes);
  }
  return out;
}

}  // namespace tern
