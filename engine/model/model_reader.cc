#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

using Bytes = absl::Span<const std::uint8_t>;

template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

template <typename... Parts>
absl::Status DataLoss(const Parts&... parts) {
  return absl::DataLossError(absl::StrCat(parts...));
}

std::uint32_t LoadU32(Bytes bytes, std::size_t offset) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.subspan(offset, sizeof(value)).data(),
              sizeof(value));
  return value;
}

std::uint32_t Crc32(Bytes bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(0, bytes.data(), static_cast<z_size_t>(bytes.size())));
}

std::string HexU32(std::uint32_t value) {
  return absl::StrCat("0x", absl::Hex(value, absl::kZeroPad8));
}

absl::Status CheckZeros(Bytes bytes, std::size_t offset, std::size_t end) {
  for (; offset < end; ++offset) {
    if (bytes[offset] != 0) {
      return Invalid("padding at byte ", offset, " is ", bytes[offset],
                     ", must be 0");
    }
  }
  return absl::OkStatus();
}

absl::Status CutShort(absl::string_view what, std::uint64_t wanted,
                      std::size_t is) {
  return DataLoss("cut short: ", what, " needs ", wanted,
                  " bytes, the file has ", is);
}

// The header's bytes, framed as model_format.md says.
absl::StatusOr<Bytes> FindHeader(Bytes bytes) {
  const std::size_t known = std::min(bytes.size(), kModelMagic.size());
  if (known == 0 ||
      !std::equal(bytes.begin(), bytes.begin() + known, kModelMagic.begin())) {
    return Invalid(
        "not a .twn file: it starts with other bytes than its magic");
  }
  if (bytes.size() < kModelPrefixBytes) {
    return CutShort("the prefix", kModelPrefixBytes, bytes.size());
  }
  const std::uint32_t version = LoadU32(bytes, kModelMagic.size());
  if (version != kModelFormatVersion) {
    return Invalid("format version at byte 8 is ", version,
                   ", this reader knows ", kModelFormatVersion);
  }
  const std::size_t length = LoadU32(bytes, kModelMagic.size() + 4);
  if (length > kMaxHeaderBytes) {
    return Invalid("header length at byte 12 is ", length, ", must be 0..",
                   kMaxHeaderBytes);
  }
  const std::size_t end = kModelPrefixBytes + length;
  const std::size_t area = AlignUp(end + kModelCrcBytes);
  if (bytes.size() < area + kModelDigestBytes) {
    return CutShort(absl::StrCat("the header of ", length, " bytes"),
                    area + kModelDigestBytes, bytes.size());
  }
  const std::uint32_t is = Crc32(bytes.first(end));
  const std::uint32_t wanted = LoadU32(bytes, end);
  if (is != wanted) {
    return DataLoss("header: CRC-32 of its bytes is ", HexU32(is), ", byte ",
                    end, " says ", HexU32(wanted));
  }
  TERN_RETURN_IF_ERROR(CheckZeros(bytes, end + kModelCrcBytes, area));
  return bytes.subspan(kModelPrefixBytes, length);
}

absl::Status CheckLimits(const model::v1::Limits& stated,
                         const model::v1::Limits& computed,
                         const ReadLimits& limits) {
  const auto same = [](absl::string_view field, std::uint64_t is,
                       std::uint64_t wanted) {
    if (is == wanted) return absl::OkStatus();
    return Invalid("limits.", field, ": is ", is, ", the graph gives ", wanted);
  };
  TERN_RETURN_IF_ERROR(same("macs", stated.macs(), computed.macs()));
  TERN_RETURN_IF_ERROR(same("activation_bytes", stated.activation_bytes(),
                            computed.activation_bytes()));
  TERN_RETURN_IF_ERROR(
      same("float32_bytes", stated.float32_bytes(), computed.float32_bytes()));
  if (stated.macs() > limits.max_macs_per_image) {
    return Invalid("limits.macs: a picture costs ", stated.macs(),
                   " multiply-accumulates, allowed are ",
                   limits.max_macs_per_image);
  }
  if (stated.activation_bytes() > limits.max_activation_bytes) {
    return Invalid("limits.activation_bytes: a picture takes ",
                   stated.activation_bytes(), " bytes, allowed are ",
                   limits.max_activation_bytes);
  }
  return absl::OkStatus();
}

// One entry of the tensor table against the only one that fits the graph.
absl::Status CheckTensor(const model::v1::Graph& graph, int index,
                         const model::v1::Tensor& is,
                         const model::v1::Tensor& wanted) {
  const std::string label =
      absl::StrCat("tensor[", index, "] (", TensorLabel(graph, wanted), "): ");
  if (is.node() != wanted.node() || is.role() != wanted.role()) {
    return Invalid(label, "is ", TensorLabel(graph, is));
  }
  if (is.encoding() != wanted.encoding()) {
    return Invalid(label, "encoding is ",
                   model::v1::Encoding_Name(is.encoding()), ", must be ",
                   model::v1::Encoding_Name(wanted.encoding()));
  }
  if (!std::equal(is.dim().begin(), is.dim().end(), wanted.dim().begin(),
                  wanted.dim().end())) {
    return Invalid(label, "dim is not [", absl::StrJoin(wanted.dim(), ", "),
                   "], the graph's");
  }
  if (is.offset() != wanted.offset()) {
    return Invalid(label, "offset is ", is.offset(), ", must be ",
                   wanted.offset());
  }
  if (is.bytes() != wanted.bytes()) {
    return Invalid(label, "bytes is ", is.bytes(), ", must be ",
                   wanted.bytes());
  }
  return absl::OkStatus();
}

absl::Status CheckTensorTable(const model::v1::Header& header,
                              const std::vector<model::v1::Tensor>& wanted) {
  for (int i = 0; i < header.tensor_size(); ++i) {
    if (i >= static_cast<int>(wanted.size())) {
      return Invalid("tensor[", i, "]: is one too many, the graph has ",
                     wanted.size());
    }
    TERN_RETURN_IF_ERROR(
        CheckTensor(header.graph(), i, header.tensor(i), wanted[i]));
  }
  if (header.tensor_size() < static_cast<int>(wanted.size())) {
    return Invalid(
        "tensor: ", TensorLabel(header.graph(), wanted[header.tensor_size()]),
        " is missing");
  }
  return absl::OkStatus();
}

// Checksums and padding of the sections. The table has been checked; `area`
// is where the section area starts.
absl::Status CheckSections(const model::v1::Header& header, Bytes bytes,
                           std::size_t area) {
  for (const model::v1::Tensor& tensor : header.tensor()) {
    const std::size_t begin = area + tensor.offset();
    const std::size_t end = begin + tensor.bytes();
    const std::uint32_t is = Crc32(bytes.subspan(begin, tensor.bytes()));
    if (is != tensor.crc32()) {
      return DataLoss("section ", TensorLabel(header.graph(), tensor),
                      " at byte ", begin, ": CRC-32 of its bytes is ",
                      HexU32(is), ", the tensor table says ",
                      HexU32(tensor.crc32()));
    }
    TERN_RETURN_IF_ERROR(CheckZeros(
        bytes, end, area + AlignUp(tensor.offset() + tensor.bytes())));
  }
  return absl::OkStatus();
}

// Checks the digest that ends the file. Returns the SHA-256 of the file as a
// whole, which is what users can compute, compare and name it by.
absl::StatusOr<std::string> CheckDigest(Bytes bytes) {
  const std::size_t end = bytes.size() - kModelDigestBytes;
  Sha256 sum;
  const Sha256::Digest content = sum.Update(bytes.data(), end).Current();
  const Bytes stated = bytes.subspan(end);
  if (!std::equal(content.begin(), content.end(), stated.begin(),
                  stated.end())) {
    return DataLoss("digest at byte ", end,
                    " is not the SHA-256 of what precedes it");
  }
  return Sha256::Hex(sum.Update(stated.data(), stated.size()).Finish());
}

template <typename T>
std::vector<T> Copy(Bytes section) {
  std::vector<T> values(section.size() / sizeof(T));
  std::memcpy(values.data(), section.data(), values.size() * sizeof(T));
  return values;
}

absl::Status DecodeTernary(Bytes section, std::size_t filters,
                           std::size_t filter_size,
                           std::vector<std::int8_t>* codes) {
  const std::size_t row = Base3Bytes(filter_size);
  codes->resize(filters * filter_size);
  const absl::Span<std::int8_t> all = absl::MakeSpan(*codes);
  for (std::size_t k = 0; k < filters; ++k) {
    const absl::Status status =
        DecodeBase3(section.subspan(k * row, row),
                    all.subspan(k * filter_size, filter_size));
    if (!status.ok()) return Invalid("filter ", k, ": ", status.message());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelFile> ModelFile::Read(Bytes bytes,
                                          const ReadLimits& limits) {
  if (bytes.size() > limits.max_file_bytes) {
    return Invalid("the file has ", bytes.size(), " bytes, allowed are ",
                   limits.max_file_bytes);
  }
  TERN_ASSIGN_OR_RETURN(const Bytes header_bytes, FindHeader(bytes));
  TERN_RETURN_IF_ERROR(
      CheckWire(header_bytes, *model::v1::Header::descriptor(), kMaxHeader));
  ModelFile file;
  if (!file.header_.ParseFromArray(header_bytes.data(),
                                   static_cast<int>(header_bytes.size()))) {
    return Invalid("header: is not a tern.model.v1.Header message");
  }
  TERN_ASSIGN_OR_RETURN(file.shapes_, CheckHeader(file.header_));
  TERN_RETURN_IF_ERROR(CheckLimits(file.header_.limits(),
                                   ComputeLimits(file.header_, file.shapes_),
                                   limits));
  const std::vector<model::v1::Tensor> tensors =
      LayOutTensors(file.header_, file.shapes_);
  TERN_RETURN_IF_ERROR(CheckTensorTable(file.header_, tensors));
  const std::size_t area =
      AlignUp(kModelPrefixBytes + header_bytes.size() + kModelCrcBytes);
  const std::uint64_t end =
      area + AlignUp(tensors.back().offset() + tensors.back().bytes());
  if (bytes.size() < end + kModelDigestBytes) {
    return CutShort("the tensor table", end + kModelDigestBytes, bytes.size());
  }
  if (bytes.size() > end + kModelDigestBytes) {
    return Invalid(bytes.size() - end - kModelDigestBytes,
                   " bytes follow the digest at byte ", end);
  }
  TERN_RETURN_IF_ERROR(CheckSections(file.header_, bytes, area));
  TERN_ASSIGN_OR_RETURN(file.digest_, CheckDigest(bytes));
  file.sections_ = bytes.subspan(area, end - area);
  return file;
}

absl::StatusOr<NodeWeights> ModelFile::Weights(int node) const {
  TERN_CHECK(node >= 0 && node < header_.graph().node_size());
  NodeWeights weights;
  for (const model::v1::Tensor& tensor : header_.tensor()) {
    if (static_cast<int>(tensor.node()) != node) continue;
    const Bytes section = sections_.subspan(tensor.offset(), tensor.bytes());
    if (tensor.role() == model::v1::TENSOR_ROLE_MULTIPLIER) {
      weights.multiplier = Copy<float>(section);
    } else if (tensor.role() == model::v1::TENSOR_ROLE_BIAS) {
      weights.bias = Copy<float>(section);
    } else if (tensor.encoding() == model::v1::ENCODING_S16) {
      weights.grid = Copy<std::int16_t>(section);
    } else {
      const NodeShape& shape = shapes_.node[node];
      const absl::Status status = DecodeTernary(
          section, static_cast<std::size_t>(shape.out.c),
          static_cast<std::size_t>(shape.filter_size), &weights.ternary);
      if (!status.ok()) {
        return Invalid(TensorLabel(header_.graph(), tensor), ": ",
                       status.message());
      }
    }
  }
  TERN_RETURN_IF_ERROR(CheckNodeWeights(header_, shapes_, node, weights));
  return weights;
}

}  // namespace tern
