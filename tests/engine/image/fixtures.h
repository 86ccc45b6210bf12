// The checked-in pictures of data/ (make_fixtures.py made them), and pictures
// written on the spot for what no sane encoder writes.

#ifndef TERN_TESTS_ENGINE_IMAGE_FIXTURES_H_
#define TERN_TESTS_ENGINE_IMAGE_FIXTURES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "engine/image/image.h"

namespace tern {

using Bytes = std::vector<std::uint8_t>;

// Names of encoded fixtures, "cmyk.jpg" and so on, sorted.
std::vector<std::string> EncodedFixtures();

// Bytes of data/NAME; fails the test where there is none.
Bytes ReadFixture(const std::string& name);

// The picture in data/STEM.ppm or data/STEM.pgm.
Image ReadExpected(const std::string& stem);

// A PNG of black pixels, 1 bit grey, with more chunks before its pixels.
Bytes BlackPng(std::uint32_t width, std::uint32_t height,
               const Bytes& more_chunks = {});
// One PNG chunk with its length and checksum.
Bytes PngChunk(const std::string& kind, const Bytes& body);
// Recomputes the checksums of all chunks whose lengths fit the file.
void ResealPng(Bytes& png);
// zlib's format.
Bytes Compress(const Bytes& bytes);

// A JPEG of `components` in libjpeg's colour space number `color_space`,
// every sample of component c being 40 * c + 30.
Bytes FlatJpeg(int width, int height, int components, int color_space);

// The largest difference between two pictures of one size.
int MaxDifference(const Image& a, const Image& b);

}  // namespace tern

#endif  // TERN_TESTS_ENGINE_IMAGE_FIXTURES_H_
