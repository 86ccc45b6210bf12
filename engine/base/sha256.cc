#include "engine/base/sha256.h"

#include <openssl/evp.h>

#include "engine/base/status_macros.h"

namespace tern {

struct Sha256::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(md); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  TERN_CHECK(context_->md != nullptr);
  TERN_CHECK(EVP_DigestInit_ex(context_->md, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

Sha256& Sha256::Update(const void* data, std::size_t size) {
  TERN_CHECK(EVP_DigestUpdate(context_->md, data, size) == 1);
  return *this;
}

Sha256::Digest Sha256::Current() const {
  Sha256 copy;
  TERN_CHECK(EVP_MD_CTX_copy_ex(copy.context_->md, context_->md) == 1);
  return copy.Finish();
}

Sha256::Digest Sha256::Finish() {
  Digest digest;
  TERN_CHECK(EVP_DigestFinal_ex(context_->md, digest.data(), nullptr) == 1);
  return digest;
}

Sha256::Digest Sha256::Of(const void* data, std::size_t size) {
  return Sha256().Update(data, size).Finish();
}

std::string Sha256::Hex(const Digest& digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * digest.size());
  for (const std::uint8_t byte : digest) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

}  // namespace tern
