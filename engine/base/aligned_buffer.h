// AlignedBuffer: owned bytes that kernels read and write.
//
// The block starts on a 64-byte boundary and has kOverreadBytes of zeros more
// than was asked for, because kernels read (never write) that far past the end
// of a tensor. Thread-compatible. Running out of memory throws
// std::bad_alloc: sizes are bounded by the model's limits before they get
// here.

#ifndef TERN_ENGINE_BASE_ALIGNED_BUFFER_H_
#define TERN_ENGINE_BASE_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

#include "engine/base/overread.h"

namespace tern {

class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  AlignedBuffer() = default;
  // The contents are undefined except for the over-read bytes.
  explicit AlignedBuffer(std::size_t size)
      : data_(static_cast<std::byte*>(::operator new (
            size + kOverreadBytes, std::align_val_t{kAlignment}))),
        size_(size) {
    std::memset(data_.get() + size, 0, kOverreadBytes);
  }

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_.get());
  }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* block) const {
      ::operator delete (block, std::align_val_t{kAlignment});
    }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace tern

#endif  // TERN_ENGINE_BASE_ALIGNED_BUFFER_H_
