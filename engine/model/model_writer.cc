#include <zlib.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "engine/model/model_check.h"
#include "engine/model/model_file.h"
#include "engine/model/model_format.h"
#include "engine/model/tensor_table.h"
#include "engine/model/wire_check.h"
#include "engine/quant/base3.h"

namespace tern {
namespace {

using model::v1::Tensor;

void AppendU32(std::uint32_t value, std::string* out) {
  char bytes[sizeof(value)];
  std::memcpy(bytes, &value, sizeof(value));
  out->append(bytes, sizeof(value));
}

std::uint32_t Crc32(absl::string_view bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()),
              static_cast<z_size_t>(bytes.size())));
}

template <typename T>
void AppendArray(const std::vector<T>& values, std::string* out) {
  out->append(reinterpret_cast<const char*>(values.data()),
              values.size() * sizeof(T));
}

void AppendTernary(const std::vector<std::int8_t>& codes,
                   std::size_t filter_size, std::string* out) {
  std::vector<std::uint8_t> row(Base3Bytes(filter_size));
  const absl::Span<const std::int8_t> all(codes);
  for (std::size_t i = 0; i < codes.size(); i += filter_size) {
    EncodeBase3(all.subspan(i, filter_size), absl::MakeSpan(row));
    AppendArray(row, out);
  }
}

void AppendSection(const Tensor& tensor, const NodeWeights& weights,
                   std::size_t filter_size, std::string* area) {
  if (tensor.role() == model::v1::TENSOR_ROLE_MULTIPLIER) {
    AppendArray(weights.multiplier, area);
  } else if (tensor.role() == model::v1::TENSOR_ROLE_BIAS) {
    AppendArray(weights.bias, area);
  } else if (tensor.encoding() == model::v1::ENCODING_S16) {
    AppendArray(weights.grid, area);
  } else {
    AppendTernary(weights.ternary, filter_size, area);
  }
}

// The section area; adds the tensor table to the header.
std::string WriteSections(const GraphShapes& shapes,
                          const std::vector<NodeWeights>& weights,
                          model::v1::Header* header) {
  std::string area;
  for (Tensor& tensor : LayOutTensors(*header, shapes)) {
    TERN_CHECK(area.size() == tensor.offset());
    AppendSection(
        tensor, weights[tensor.node()],
        static_cast<std::size_t>(shapes.node[tensor.node()].filter_size),
        &area);
    TERN_CHECK(area.size() == tensor.offset() + tensor.bytes());
    tensor.set_crc32(
        Crc32(absl::string_view(area).substr(tensor.offset(), tensor.bytes())));
    area.resize(AlignUp(area.size()));
    *header->add_tensor() = std::move(tensor);
  }
  return area;
}

}  // namespace

absl::StatusOr<std::string> WriteModel(
    model::v1::Header header, const std::vector<NodeWeights>& weights) {
  TERN_ASSIGN_OR_RETURN(const GraphShapes shapes, CheckHeader(header));
  if (weights.size() != shapes.node.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "weights: has ", weights.size(), " entries, must have one for each of ",
        shapes.node.size(), " nodes"));
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    TERN_RETURN_IF_ERROR(
        CheckNodeWeights(header, shapes, static_cast<int>(i), weights[i]));
  }
  header.clear_tensor();
  *header.mutable_limits() = ComputeLimits(header, shapes);
  const std::string area = WriteSections(shapes, weights, &header);

  const std::string encoded = header.SerializeAsString();
  if (encoded.size() > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("header: takes ", encoded.size(), " bytes, allowed are ",
                     kMaxHeaderBytes));
  }
  TERN_RETURN_IF_ERROR(CheckWire(
      {reinterpret_cast<const std::uint8_t*>(encoded.data()), encoded.size()},
      *model::v1::Header::descriptor(), kMaxHeader));

  std::string out(kModelMagic.begin(), kModelMagic.end());
  AppendU32(kModelFormatVersion, &out);
  AppendU32(static_cast<std::uint32_t>(encoded.size()), &out);
  out += encoded;
  AppendU32(Crc32(out), &out);
  out.resize(AlignUp(out.size()));
  out += area;
  const Sha256::Digest digest = Sha256::Of(out.data(), out.size());
  out.append(digest.begin(), digest.end());
  return out;
}

}  // namespace tern
