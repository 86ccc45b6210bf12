#include "tests/testing/forged_model.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "engine/model/model_file.h"
#include "engine/model/model_format.h"
#include "engine/model/wire_check.h"
#include "tests/testing/tiny_model.h"

namespace tern::testing {
namespace {

constexpr std::size_t kLengthAt = 12;

std::uint32_t LoadU32(std::string_view bytes, std::size_t offset) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.substr(offset, sizeof(value)).data(),
              sizeof(value));
  return value;
}

void StoreU32(std::uint32_t value, std::size_t offset, std::string* bytes) {
  std::memcpy(bytes->data() + offset, &value, sizeof(value));
}

std::uint32_t Crc32(std::string_view bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

void SealHeaderAndDigest(std::string* file) {
  const std::string_view header = HeaderBytes(*file);
  if (header.data() == nullptr) return;
  const std::size_t end = kModelPrefixBytes + header.size();
  StoreU32(Crc32(std::string_view(*file).substr(0, end)), end, file);
  const std::size_t at = file->size() - kModelDigestBytes;
  const Sha256::Digest digest = Sha256::Of(file->data(), at);
  std::copy(digest.begin(), digest.end(), file->begin() + at);
}

// Where the section area starts, or the file's size.
std::size_t AreaOf(std::string_view file) {
  const std::string_view header = HeaderBytes(file);
  if (header.data() == nullptr) return file.size();
  return AlignUp(kModelPrefixBytes + header.size() + kModelCrcBytes);
}

}  // namespace

std::string_view HeaderBytes(std::string_view file) {
  if (file.size() < kModelPrefixBytes) return {};
  const std::uint64_t length = LoadU32(file, kLengthAt);
  const std::uint64_t area =
      AlignUp(kModelPrefixBytes + length + kModelCrcBytes);
  if (area + kModelDigestBytes > file.size()) return {};
  return file.substr(kModelPrefixBytes, length);
}

std::string ReplaceHeader(std::string_view file, std::string_view header) {
  const std::string_view area = file.substr(AreaOf(file));
  std::string out(file.substr(0, kModelPrefixBytes));
  StoreU32(static_cast<std::uint32_t>(header.size()), kLengthAt, &out);
  out += header;
  out.resize(AlignUp(out.size() + kModelCrcBytes));
  out += area;
  SealHeaderAndDigest(&out);
  return out;
}

std::string Reseal(std::string file) {
  const std::string_view encoded = HeaderBytes(file);
  model::v1::Header header;
  // A header that is not sound, or that another encoding would change, is
  // left as it is.
  if (encoded.data() != nullptr &&
      CheckWire(AsBytes(encoded), *header.descriptor(), kMaxHeader).ok() &&
      header.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())) &&
      header.SerializeAsString() == encoded) {
    const std::string_view area = std::string_view(file).substr(AreaOf(file));
    for (model::v1::Tensor& tensor : *header.mutable_tensor()) {
      if (tensor.offset() > area.size()) continue;
      tensor.set_crc32(Crc32(area.substr(tensor.offset(), tensor.bytes())));
    }
    return ReplaceHeader(file, header.SerializeAsString());
  }
  SealHeaderAndDigest(&file);
  return file;
}

absl::Status ExerciseModel(std::string_view file) {
  TERN_ASSIGN_OR_RETURN(const ModelFile model,
                        ModelFile::Read(AsBytes(file), ReadLimits()));
  std::vector<NodeWeights> weights;
  for (int i = 0; i < model.header().graph().node_size(); ++i) {
    TERN_ASSIGN_OR_RETURN(weights.emplace_back(), model.Weights(i));
    const NodeShape& shape = model.shapes().node[i];
    const bool filters = HasWeights(model.header().graph().node(i));
    const std::int64_t count = filters ? shape.out.c * shape.filter_size : 0;
    const NodeWeights& own = weights.back();
    TERN_CHECK(static_cast<std::int64_t>(own.ternary.size() +
                                         own.grid.size()) == count);
    TERN_CHECK(static_cast<std::int64_t>(own.multiplier.size()) ==
               (filters ? shape.out.c : 0));
  }
  const auto again = WriteModel(model.header(), weights);
  TERN_CHECK(again.ok());
  const auto reread = ModelFile::Read(AsBytes(*again), ReadLimits());
  TERN_CHECK(reread.ok());
  return absl::OkStatus();
}

}  // namespace tern::testing
