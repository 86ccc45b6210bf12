// Constants of the .twn file (grammar: model_format.md). Persistent: a change
// of any of them is a new format version.

#ifndef TERN_ENGINE_MODEL_MODEL_FORMAT_H_
#define TERN_ENGINE_MODEL_MODEL_FORMAT_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "engine/model/wire_check.h"

namespace tern {

// As PNG's: a byte that no text has, both kinds of line end and an
// end-of-file mark, so that a transfer as text shows at once.
inline constexpr std::array<std::uint8_t, 8> kModelMagic = {
    0x89, 'T', 'W', 'N', '\r', '\n', 0x1a, '\n'};
inline constexpr std::uint32_t kModelFormatVersion = 1;

// Magic, u32 version, u32 header length.
inline constexpr std::size_t kModelPrefixBytes = 16;
inline constexpr std::size_t kModelCrcBytes = 4;
inline constexpr std::size_t kModelDigestBytes = 32;
// Of the section area in the file, and of a section in the area.
inline constexpr std::size_t kModelAlignment = 64;

// What a header may take, so that parsing it is bounded in memory.
inline constexpr std::size_t kMaxHeaderBytes = std::size_t{1} << 24;
inline constexpr WireLimits kMaxHeader = {.elements = 1 << 18,
                                          .numbers = 1 << 21};

constexpr std::uint64_t AlignUp(std::uint64_t offset) {
  return (offset + kModelAlignment - 1) / kModelAlignment * kModelAlignment;
}

// Numbers go to the file as they lie in memory.
static_assert(std::endian::native == std::endian::little,
              "the .twn reader and writer need a little-endian machine");

}  // namespace tern

#endif  // TERN_ENGINE_MODEL_MODEL_FORMAT_H_
