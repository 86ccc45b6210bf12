// The pieces of Winograd that every instruction set writes for itself, and the
// walk over a call that they share.
//
// Pieces live in files of one instruction set and call nothing but each other.
// Buffers are parts of a thread's scratch (ScratchLayout), 64-byte aligned.

#ifndef TERN_ENGINE_KERNELS_WINOGRAD_PIECES_H_
#define TERN_ENGINE_KERNELS_WINOGRAD_PIECES_H_

#include <cstddef>
#include <cstdint>

#include "engine/kernels/winograd.h"

namespace tern::winograd {

// What finishing the tiles of one filter block needs.
struct FinishCall {
  const ConvCall* call;
  int first_filter;
  int valid;             // filters of the block that exist
  bool clamps_rounding;  // ClampsAfterRounding
  const std::int32_t* sums;
  std::ptrdiff_t sum_plane;
  std::int32_t* outputs;  // room for one tile, 16 x 64
};

// Packed weights (packed_weights.h) of some channels of one filter block.
struct PackedChannels {
  const std::uint8_t* codes;  // of the first group, at the first tap
  std::ptrdiff_t tap_bytes;   // from one tap to the next
  int vectors;                // 16s of filters
  int groups;
};

struct Pieces {
  Profile profile;
  // `pixels`: 6 x 6 pointers (FindPixels). To out[position * plane + channel];
  // writes channels up to a multiple of 32.
  void (*transform_input)(const std::uint8_t* const* pixels, int rows, int cols,
                          int channels, std::int16_t* out,
                          std::ptrdiff_t plane);
  // To out + position * plane, in an order that `multiply` knows; filters that
  // do not exist are 0.
  void (*transform_weights)(const PackedChannels& packed, std::int8_t* out,
                            std::ptrdiff_t plane);
  // sums[tile][64] (+)= inputs of `tiles` tiles, `row` apart, times weights of
  // one position over `steps` steps of 4 channels. `wide`: room for these
  // weights as int16, if the profile keeps them.
  void (*multiply)(const std::int16_t* inputs, std::ptrdiff_t row, int tiles,
                   int steps, const std::int8_t* weights, std::int16_t* wide,
                   bool accumulate, std::int32_t* sums);
  // Output transform and epilogue.
  void (*finish)(const FinishCall& call, const Tile* tiles, int count);
};

// What a thread's tasks of a call share, and one of them (conv.h).
void BeginTasks(const Pieces& pieces, const ConvCall& call,
                const Blocking& blocking, std::byte* scratch);
void RunTask(const Pieces& pieces, const ConvCall& call,
             const Blocking& blocking, int task, std::byte* scratch);

extern const Pieces kPiecesAvx512Vnni;
extern const Pieces kPiecesAvx512VnniWide;
extern const Pieces kPiecesAvx2;

// avx512vnni
void TransformInputAvx512Vnni(const std::uint8_t* const* pixels, int rows,
                              int cols, int channels, std::int16_t* out,
                              std::ptrdiff_t plane);
void TransformWeightsAvx512Vnni(const PackedChannels& packed, std::int8_t* out,
                                std::ptrdiff_t plane);
void MultiplyAvx512Vnni(const std::int16_t* inputs, std::ptrdiff_t row,
                        int tiles, int steps, const std::int8_t* weights,
                        std::int16_t* wide, bool accumulate,
                        std::int32_t* sums);
void MultiplyAvx512VnniWide(const std::int16_t* inputs, std::ptrdiff_t row,
                            int tiles, int steps, const std::int8_t* weights,
                            std::int16_t* wide, bool accumulate,
                            std::int32_t* sums);
void FinishAvx512Vnni(const FinishCall& call, const Tile* tiles, int count);

// avx2
void TransformInputAvx2(const std::uint8_t* const* pixels, int rows, int cols,
                        int channels, std::int16_t* out, std::ptrdiff_t plane);
void TransformWeightsAvx2(const PackedChannels& packed, std::int8_t* out,
                          std::ptrdiff_t plane);
void MultiplyAvx2(const std::int16_t* inputs, std::ptrdiff_t row, int tiles,
                  int steps, const std::int8_t* weights, std::int16_t* wide,
                  bool accumulate, std::int32_t* sums);
void FinishAvx2(const FinishCall& call, const Tile* tiles, int count);

}  // namespace tern::winograd

#endif  // TERN_ENGINE_KERNELS_WINOGRAD_PIECES_H_
