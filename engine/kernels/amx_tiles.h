// The tile registers of AMX as Tern configures them: eight of 16 rows of 64
// bytes. A leaf header.

#ifndef TERN_ENGINE_KERNELS_AMX_TILES_H_
#define TERN_ENGINE_KERNELS_AMX_TILES_H_

#include <cstdint>

namespace tern::amx {

inline constexpr int kTileRows = 16;
inline constexpr int kTileBytes = 64;  // of a row

// What ldtilecfg reads.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

}  // namespace tern::amx

#endif  // TERN_ENGINE_KERNELS_AMX_TILES_H_
