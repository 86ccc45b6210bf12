#include "engine/kernels/packed_weights.h"

#include <algorithm>
#include <cstring>

namespace tern {

PackedLayout MakePackedLayout(const ConvGeometry& g) {
  PackedLayout layout;
  const int positions = g.kernel_h * g.kernel_w;
  layout.gathers = positions > 1 && g.in_c < kPackedGroupChannels;
  layout.taps = layout.gathers ? 1 : positions;
  layout.run = layout.gathers ? positions * g.in_c : g.in_c;
  layout.steps = (layout.run + 3) / 4;
  layout.groups = (layout.steps + 3) / 4;
  layout.blocks = (g.filters + kPackedBlockFilters - 1) / kPackedBlockFilters;
  layout.block_bytes = std::size_t{4} * kPackedVectorBytes * layout.taps *
                       static_cast<std::size_t>(layout.groups);
  return layout;
}

int PackedVectors(const ConvGeometry& g, int block) {
  return std::min(4, (g.filters - block * kPackedBlockFilters + 15) / 16);
}

std::size_t PackedBytes(const ConvGeometry& g) {
  const int sixteens = (g.filters + 15) / 16;
  return MakePackedLayout(g).block_bytes / 4 * sixteens;
}

void PackWeights(const ConvGeometry& g, const std::int8_t* codes,
                 std::uint8_t* packed) {
  const PackedLayout layout = MakePackedLayout(g);
  std::memset(packed, 0, PackedBytes(g));
  for (int k = 0; k < g.filters; ++k) {
    const int block = k / kPackedBlockFilters;
    const int vectors = PackedVectors(g, block);
    for (int tap = 0; tap < layout.taps; ++tap) {
      for (int i = 0; i < layout.run; ++i) {
        const unsigned code = *codes == 0 ? 0 : *codes > 0 ? 1 : 2;
        ++codes;
        const std::size_t vector =
            (std::size_t{1} * tap * layout.groups + i / 16) * vectors +
            k % kPackedBlockFilters / 16;
        std::uint8_t& byte =
            packed[layout.block_bytes * block + kPackedVectorBytes * vector +
                   k % 16 * 4 + i % 4];
        byte = static_cast<std::uint8_t>(byte | code << (2 * (i % 16 / 4)));
      }
    }
  }
}

}  // namespace tern
