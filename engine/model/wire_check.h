// What protobuf's parser would let pass, refused before it runs.

#ifndef TERN_ENGINE_MODEL_WIRE_CHECK_H_
#define TERN_ENGINE_MODEL_WIRE_CHECK_H_

#include <google/protobuf/descriptor.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace tern {

// What parsing may allocate.
struct WireLimits {
  // Messages, texts and byte strings in all.
  int elements = 0;
  // Numbers in repeated fields in all.
  int numbers = 0;
};

// Checks that `bytes` encode a message of `type` that this build knows to the
// last bit: no unknown field or enum value at any level, no singular field
// twice, no number that its type cannot hold, text that is UTF-8 without
// control characters, and no more than `limits` allow. `bytes` are untrusted;
// nothing of their size is allocated. INVALID_ARGUMENT names the field
// ("header.graph.node[3].conv2d"). Thread-safe.
absl::Status CheckWire(absl::Span<const std::uint8_t> bytes,
                       const google::protobuf::Descriptor& type,
                       const WireLimits& limits);

}  // namespace tern

#endif  // TERN_ENGINE_MODEL_WIRE_CHECK_H_
