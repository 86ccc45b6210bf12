// How far past the end of an activation tensor a kernel may read (never
// write). A leaf header: the files of one instruction set include it.

#ifndef TERN_ENGINE_BASE_OVERREAD_H_
#define TERN_ENGINE_BASE_OVERREAD_H_

#include <cstddef>

namespace tern {

inline constexpr std::size_t kOverreadBytes = 64;

}  // namespace tern

#endif  // TERN_ENGINE_BASE_OVERREAD_H_
