// From packed codes (direct.h) to weights, with AVX-512 VBMI and GFNI. A leaf
// header, for the files of these instruction sets only; everything in it is
// local to its includer.

#ifndef TERN_ENGINE_KERNELS_DIRECT_UNPACK_AVX512VNNI_H_
#define TERN_ENGINE_KERNELS_DIRECT_UNPACK_AVX512VNNI_H_

#include <immintrin.h>

#include "engine/kernels/direct_tile_avx512vnni.h"

namespace tern {
namespace {

// A matrix for vgf2p8affineqb that makes a weight of the code in bits 2 step,
// 2 step + 1 of a byte: each bit is the code's upper one, but the lowest is the
// sum of both.
constexpr std::uint64_t UnpackMatrix(int step) {
  return std::uint64_t{0x0302020202020202} << (2 * step);
}

// One of the four steps in a vector of codes. Permuting looks at the low 6 bits
// alone; it and the products of matrices have a port each.
TERN_ALWAYS_INLINE __m512i UnpackCodes(__m512i codes, int step) {
#define TERN_FOUR(...) __VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__
  alignas(64) static constexpr std::uint32_t kTables[2][16] = {
      {TERN_FOUR(0x00FF0100, 0x00FF0100, 0x00FF0100, 0x00FF0100)},
      {TERN_FOUR(0, 0x01010101, 0xFFFFFFFF, 0)}};
#undef TERN_FOUR
  static constexpr std::uint64_t kMatrices[2] = {UnpackMatrix(2),
                                                 UnpackMatrix(3)};
  __m512i w;
  if (step < 2) {
    asm volatile("vpermb %2, %1, %0"
                 : "=v"(w)
                 : "v"(codes), "m"(kTables[step]));
  } else {
    asm volatile("vgf2p8affineqb $0, %2%{1to8%}, %1, %0"
                 : "=v"(w)
                 : "v"(codes), "m"(kMatrices[step - 2]));
  }
  return w;
}

}  // namespace
}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_DIRECT_UNPACK_AVX512VNNI_H_
