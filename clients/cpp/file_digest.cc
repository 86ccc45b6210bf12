#include "clients/cpp/file_digest.h"

#include <openssl/evp.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tern::client {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 18;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
struct FreeHash {
  void operator()(EVP_MD_CTX* hash) const { EVP_MD_CTX_free(hash); }
};

}  // namespace

absl::StatusOr<FileDigest> DigestOfFile(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(
      std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return absl::ErrnoToStatus(errno, path);
  const std::unique_ptr<EVP_MD_CTX, FreeHash> hash(EVP_MD_CTX_new());
  if (hash == nullptr ||
      EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) != 1) {
    return absl::InternalError("the crypto library has no SHA-256");
  }
  FileDigest digest;
  std::vector<char> piece(kPieceBytes);
  std::size_t got = 0;
  while ((got = std::fread(piece.data(), 1, piece.size(), file.get())) > 0) {
    EVP_DigestUpdate(hash.get(), piece.data(), got);
    digest.bytes += got;
  }
  if (std::ferror(file.get()) != 0) return absl::ErrnoToStatus(errno, path);
  unsigned char value[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(hash.get(), value, &size);
  digest.sha256 = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(value), size));
  return digest;
}

}  // namespace tern::client
