#include "engine/quant/base3.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace tern {
namespace {

constexpr int kByteValues = 243;
constexpr std::array<std::int8_t, 3> kCodeOfDigit = {0, 1, -1};

using ByteCodes = std::array<std::int8_t, kBase3CodesPerByte>;

constexpr std::array<ByteCodes, kByteValues> MakeDecodeTable() {
  std::array<ByteCodes, kByteValues> table{};
  for (int value = 0; value < kByteValues; ++value) {
    int rest = value;
    for (std::int8_t& code : table[value]) {
      code = kCodeOfDigit[rest % 3];
      rest /= 3;
    }
  }
  return table;
}

constexpr std::array<ByteCodes, kByteValues> kDecodeTable = MakeDecodeTable();

}  // namespace

void EncodeBase3(absl::Span<const std::int8_t> codes,
                 absl::Span<std::uint8_t> row) {
  TERN_CHECK(row.size() == Base3Bytes(codes.size()));
  for (std::size_t i = 0; i < row.size(); ++i) {
    const auto group =
        codes.subspan(i * kBase3CodesPerByte, kBase3CodesPerByte);
    int value = 0;
    for (auto code = group.rbegin(); code != group.rend(); ++code) {
      TERN_CHECK(*code >= -1 && *code <= 1);
      value = value * 3 + (*code < 0 ? 2 : *code);
    }
    row[i] = static_cast<std::uint8_t>(value);
  }
}

absl::Status DecodeBase3(absl::Span<const std::uint8_t> row,
                         absl::Span<std::int8_t> codes) {
  TERN_CHECK(row.size() == Base3Bytes(codes.size()));
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i] >= kByteValues) {
      return absl::InvalidArgumentError(absl::StrCat(
          "byte ", i, " is ", row[i], ", five base-3 digits reach 242"));
    }
    const ByteCodes& decoded = kDecodeTable[row[i]];
    const auto group =
        codes.subspan(i * kBase3CodesPerByte, kBase3CodesPerByte);
    std::copy_n(decoded.begin(), group.size(), group.begin());
    if (std::any_of(decoded.begin() + group.size(), decoded.end(),
                    [](std::int8_t code) { return code != 0; })) {
      return absl::InvalidArgumentError(absl::StrCat(
          "byte ", i, " is ", row[i], ", a digit beyond the last of ",
          codes.size(), " codes is not zero"));
    }
  }
  return absl::OkStatus();
}

}  // namespace tern
