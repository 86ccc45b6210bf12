// Ternary weights as the kernels of all instruction sets read them: 2 bits
// each, resident, the same bytes for the direct and for the Winograd kernel, so
// that each call may run on the better one. A leaf header.
//
// A tap is normally one kernel position, its run the channels of one pixel.
// Where there are few channels (first layers have 1 or 3), the taps of an
// output pixel are gathered into one run: one tap. Layout, outermost first:
//
//     block of 64 filters | tap | group of 16 run bytes | 16 filters | 64 bytes
//
// Byte 4 f + b holds filter f of its 16, in bits 2s..2s+1 the code of run byte
// 16 group + 4 s + b. Codes: 0, 1 and 2 for the weights 0, +1 and -1. The last
// block has only as many 16s of filters as it needs; what a run or filter count
// leaves over is 0.

#ifndef TERN_ENGINE_KERNELS_PACKED_WEIGHTS_H_
#define TERN_ENGINE_KERNELS_PACKED_WEIGHTS_H_

#include <cstddef>
#include <cstdint>

#include "engine/kernels/conv.h"

namespace tern {

inline constexpr int kPackedBlockFilters = 64;
inline constexpr int kPackedVectorBytes = 64;  // 16 filters of a group
inline constexpr int kPackedGroupChannels = 16;

struct PackedLayout {
  bool gathers = false;  // one tap, whose run is gathered
  int taps = 0;
  int run = 0;                  // bytes of a tap
  int steps = 0;                // of 4 bytes, in a tap
  int groups = 0;               // of 4 steps, in a tap
  int blocks = 0;               // of 64 filters
  std::size_t block_bytes = 0;  // of a full block
};

PackedLayout MakePackedLayout(const ConvGeometry& g);

// 16s of filters in a block.
int PackedVectors(const ConvGeometry& g, int block);

// Members of ConvKernel.
std::size_t PackedBytes(const ConvGeometry& g);
void PackWeights(const ConvGeometry& g, const std::int8_t* codes,
                 std::uint8_t* packed);

}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_PACKED_WEIGHTS_H_
