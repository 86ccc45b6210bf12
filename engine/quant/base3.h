// Ternary codes as base-3 digits, five a byte: 1.6 bits a weight.
//
// A byte is d0 + 3*d1 + 9*d2 + 27*d3 + 81*d4, the first code in d0; 5 digits
// reach 242. A digit is 0 for the code 0, 1 for +1, 2 for -1. The last byte of
// a row is filled up with zero digits. Pure functions, thread-safe.

#ifndef TERN_ENGINE_QUANT_BASE3_H_
#define TERN_ENGINE_QUANT_BASE3_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace tern {

inline constexpr std::size_t kBase3CodesPerByte = 5;

// Bytes that a row of n codes takes.
constexpr std::size_t Base3Bytes(std::size_t n) {
  return n / kBase3CodesPerByte + (n % kBase3CodesPerByte != 0);
}

// `codes` are -1, 0, +1; `row` is Base3Bytes(codes.size()) long.
void EncodeBase3(absl::Span<const std::int8_t> codes,
                 absl::Span<std::uint8_t> row);

// `row` is Base3Bytes(codes.size()) long, untrusted. INVALID_ARGUMENT says
// which byte is above 242 or has a non-zero digit beyond the last code.
absl::Status DecodeBase3(absl::Span<const std::uint8_t> row,
                         absl::Span<std::int8_t> codes);

}  // namespace tern

#endif  // TERN_ENGINE_QUANT_BASE3_H_
