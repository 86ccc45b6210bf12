// Reads a whole file. Thread-safe.

#ifndef TERN_TRAINER_RUN_READ_FILE_H_
#define TERN_TRAINER_RUN_READ_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tern::trainer {

// Largest file accepted: a model or checkpoint, 4 GiB.
inline constexpr std::uint64_t kMaxReadBytes = std::uint64_t{4} << 30;

// NOT_FOUND and other errors name the path.
absl::StatusOr<std::vector<std::uint8_t>> ReadFile(const std::string& path);

}  // namespace tern::trainer

#endif  // TERN_TRAINER_RUN_READ_FILE_H_
