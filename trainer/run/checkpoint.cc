#include "trainer/run/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "engine/model/model_file.h"
#include "trainer/run/read_file.h"

namespace tern::trainer {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little);

constexpr absl::string_view kMagic = "TERNCKP1";
constexpr std::size_t kPrefixBytes = 16;
constexpr std::size_t kDigestBytes = 32;

json ToJson(const Checkpoint& checkpoint) {
  json text = {{"run", checkpoint.run},
               {"graph", checkpoint.graph},
               {"epoch", checkpoint.epoch},
               {"step", checkpoint.step},
               {"loss_sum", checkpoint.loss_sum},
               {"correct", checkpoint.correct},
               {"best_epoch", checkpoint.best_epoch},
               {"history", json::array()},
               {"tensors", json::array()}};
  for (const EpochRecord& record : checkpoint.history) {
    text["history"].push_back({record.train_loss, record.train_top1,
                               record.validation_loss, record.validation_top1});
  }
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    text["tensors"].push_back({tensor.name, tensor.values.size()});
  }
  return text;
}

// Throws json::exception where the text has another shape.
Checkpoint FromJson(const json& text) {
  Checkpoint checkpoint;
  text.at("run").get_to(checkpoint.run);
  text.at("graph").get_to(checkpoint.graph);
  text.at("epoch").get_to(checkpoint.epoch);
  text.at("step").get_to(checkpoint.step);
  text.at("loss_sum").get_to(checkpoint.loss_sum);
  text.at("correct").get_to(checkpoint.correct);
  text.at("best_epoch").get_to(checkpoint.best_epoch);
  for (const json& row : text.at("history")) {
    checkpoint.history.push_back(
        {row.at(0).get<double>(), row.at(1).get<double>(),
         row.at(2).get<double>(), row.at(3).get<double>()});
  }
  for (const json& row : text.at("tensors")) {
    checkpoint.tensors.push_back({row.at(0).get<std::string>(), {}});
  }
  return checkpoint;
}

absl::Status FillTensors(const json& text, absl::Span<const std::uint8_t> bytes,
                         Checkpoint& checkpoint) {
  for (std::size_t i = 0; i < checkpoint.tensors.size(); ++i) {
    const auto count = text.at("tensors").at(i).at(1).get<std::uint64_t>();
    if (count > bytes.size() / sizeof(float)) {
      return absl::DataLossError(
          absl::StrCat("tensor '", checkpoint.tensors[i].name, "' has ", count,
                       " numbers, ", bytes.size(), " bytes are left"));
    }
    checkpoint.tensors[i].values.resize(count);
    const std::size_t size = count * sizeof(float);
    if (size > 0) {
      std::memcpy(checkpoint.tensors[i].values.data(), bytes.data(), size);
    }
    bytes.remove_prefix(size);
  }
  if (!bytes.empty()) {
    return absl::DataLossError(
        absl::StrCat(bytes.size(), " bytes after the last tensor"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string EncodeCheckpoint(const Checkpoint& checkpoint) {
  const std::string text = ToJson(checkpoint).dump();
  std::string bytes(kMagic);
  const std::uint64_t length = text.size();
  bytes.append(reinterpret_cast<const char*>(&length), sizeof(length));
  bytes.append(text);
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    bytes.append(reinterpret_cast<const char*>(tensor.values.data()),
                 tensor.values.size() * sizeof(float));
  }
  const Sha256::Digest digest = Sha256::Of(bytes.data(), bytes.size());
  bytes.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  return bytes;
}

absl::StatusOr<Checkpoint> DecodeCheckpoint(
    absl::Span<const std::uint8_t> bytes) {
  if (bytes.size() < kPrefixBytes + kDigestBytes ||
      std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return absl::InvalidArgumentError("not a checkpoint of tern-trainer");
  }
  const std::size_t body = bytes.size() - kDigestBytes;
  const Sha256::Digest digest = Sha256::Of(bytes.data(), body);
  if (std::memcmp(bytes.data() + body, digest.data(), kDigestBytes) != 0) {
    return absl::DataLossError("the checkpoint's digest does not match");
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data() + kMagic.size(), sizeof(length));
  if (length > body - kPrefixBytes) {
    return absl::DataLossError("the checkpoint's text is cut short");
  }
  try {
    const json text = json::parse(
        bytes.begin() + kPrefixBytes,
        bytes.begin() + kPrefixBytes + static_cast<std::ptrdiff_t>(length));
    Checkpoint checkpoint = FromJson(text);
    const std::size_t at = kPrefixBytes + length;
    TERN_RETURN_IF_ERROR(
        FillTensors(text, bytes.subspan(at, body - at), checkpoint));
    return checkpoint;
  } catch (const json::exception& error) {
    return absl::DataLossError(
        absl::StrCat("the checkpoint's text: ", error.what()));
  }
}

absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path) {
  TERN_ASSIGN_OR_RETURN(const std::vector<std::uint8_t> bytes, ReadFile(path));
  absl::StatusOr<Checkpoint> checkpoint = DecodeCheckpoint(bytes);
  if (!checkpoint.ok()) {
    return absl::Status(
        checkpoint.status().code(),
        absl::StrCat(path, ": ", checkpoint.status().message()));
  }
  return checkpoint;
}

absl::Status WriteCheckpoint(const std::string& path,
                             const Checkpoint& checkpoint) {
  const std::string bytes = EncodeCheckpoint(checkpoint);
  return WriteFileAtomically(
      path,
      {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

}  // namespace tern::trainer
