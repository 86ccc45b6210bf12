#include "tests/engine/image/fixtures.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

// After <cstdio>, which it needs.
// clang-format off
#include <jpeglib.h>
// clang-format on

namespace tern {
namespace {

std::filesystem::path DataDir() { return TERN_IMAGE_TEST_DATA; }

Bytes BigEndian(std::uint32_t value) {
  Bytes bytes(4);
  for (int i = 0; i < 4; ++i) {
    bytes[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  }
  return bytes;
}

Bytes Join(const std::vector<Bytes>& parts) {
  Bytes out;
  for (const Bytes& part : parts) {
    std::copy(part.begin(), part.end(), std::back_inserter(out));
  }
  return out;
}

}  // namespace

std::vector<std::string> EncodedFixtures() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(DataDir())) {
    const std::string suffix = entry.path().extension();
    if (suffix == ".jpg" || suffix == ".png") {
      names.push_back(entry.path().filename());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Bytes ReadFixture(const std::string& name) {
  std::ifstream file(DataDir() / name, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

Image ReadExpected(const std::string& stem) {
  const bool grey = std::filesystem::exists(DataDir() / (stem + ".pgm"));
  const Bytes file = ReadFixture(stem + (grey ? ".pgm" : ".ppm"));
  Image image;
  image.channels = grey ? 1 : 3;
  int head = 0;
  const std::string text(file.begin(), file.end());
  EXPECT_EQ(2, std::sscanf(text.c_str(), "P%*d %d %d 255%n", &image.width,
                           &image.height, &head));
  // One white space ends the head.
  image.pixels.assign(file.begin() + head + 1, file.end());
  EXPECT_EQ(image.pixels.size(),
            std::size_t(image.height) * image.width * image.channels);
  return image;
}

Bytes PngChunk(const std::string& kind, const Bytes& body) {
  const Bytes checked = Join({Bytes(kind.begin(), kind.end()), body});
  const auto crc = crc32(0, checked.data(), static_cast<uInt>(checked.size()));
  return Join({BigEndian(static_cast<std::uint32_t>(body.size())), checked,
               BigEndian(static_cast<std::uint32_t>(crc))});
}

void ResealPng(Bytes& png) {
  // Length, kind and checksum of a chunk take four bytes each.
  for (std::size_t at = 8; at + 12 <= png.size();) {
    std::size_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8 | png[at + i];
    if (length > png.size() - at - 12) return;
    const auto crc =
        crc32(0, png.data() + at + 4, static_cast<uInt>(length + 4));
    const Bytes sum = BigEndian(static_cast<std::uint32_t>(crc));
    at += length + 12;
    std::copy(sum.begin(), sum.end(),
              png.begin() + static_cast<std::ptrdiff_t>(at - 4));
  }
}

Bytes Compress(const Bytes& bytes) {
  uLongf size = compressBound(bytes.size());
  Bytes out(size);
  EXPECT_EQ(Z_OK, compress2(out.data(), &size, bytes.data(), bytes.size(), 9));
  out.resize(size);
  return out;
}

Bytes BlackPng(std::uint32_t width, std::uint32_t height,
               const Bytes& more_chunks) {
  // One bit, grey, deflate, no special filters, not interlaced.
  const Bytes header =
      Join({BigEndian(width), BigEndian(height), {1, 0, 0, 0, 0}});
  // Claims of giant size come without the pixels.
  const std::uint64_t raw = ((std::uint64_t{width} + 7) / 8 + 1) * height;
  const Bytes pixels(raw < (1 << 28) ? raw : 0);
  return Join({{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'},
               PngChunk("IHDR", header),
               more_chunks,
               PngChunk("IDAT", Compress(pixels)),
               PngChunk("IEND", {})});
}

Bytes FlatJpeg(int width, int height, int components, int color_space) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &data, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = components;
  info.in_color_space = components == 4   ? JCS_CMYK
                        : components == 3 ? JCS_RGB
                                          : JCS_UNKNOWN;
  jpeg_set_defaults(&info);
  jpeg_set_colorspace(&info, static_cast<J_COLOR_SPACE>(color_space));
  jpeg_set_quality(&info, 100, TRUE);
  jpeg_start_compress(&info, TRUE);
  Bytes row;
  for (int x = 0; x < width; ++x) {
    for (int c = 0; c < components; ++c) {
      row.push_back(static_cast<std::uint8_t>(40 * c + 30));
    }
  }
  JSAMPROW rows[] = {row.data()};
  while (info.next_scanline < info.image_height) {
    jpeg_write_scanlines(&info, rows, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  Bytes out(data, data + size);
  std::free(data);
  return out;
}

int MaxDifference(const Image& a, const Image& b) {
  EXPECT_EQ(a.pixels.size(), b.pixels.size());
  int largest = 0;
  for (std::size_t i = 0; i < std::min(a.pixels.size(), b.pixels.size()); ++i) {
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  }
  return largest;
}

}  // namespace tern
