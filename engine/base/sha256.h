// SHA-256 of bytes that arrive in pieces: digests of model files and golden
// hashes. Thread-compatible.

#ifndef TERN_ENGINE_BASE_SHA256_H_
#define TERN_ENGINE_BASE_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace tern {

class Sha256 {
 public:
  using Digest = std::array<std::uint8_t, 32>;

  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& Update(const void* data, std::size_t size);
  // The sum so far; more may follow.
  Digest Current() const;
  // Ends the sum; the object can only be destroyed afterwards.
  Digest Finish();

  static Digest Of(const void* data, std::size_t size);
  // Lower-case hex.
  static std::string Hex(const Digest& digest);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace tern

#endif  // TERN_ENGINE_BASE_SHA256_H_
