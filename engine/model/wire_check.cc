#include "engine/model/wire_check.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"

namespace tern {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;

// Length of the UTF-8 sequence at the head of `text` (RFC 3629: shortest form,
// no surrogates, up to U+10FFFF), or 0.
std::size_t Utf8Length(absl::string_view text) {
  const auto at = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto tail = [&](std::size_t i) { return (at(i) & 0xc0) == 0x80; };
  const unsigned lead = at(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const unsigned low = lead == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : 0xbf;
    return at(1) >= low && at(1) <= high && tail(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const unsigned low = lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xf4 ? 0x8f : 0xbf;
    return at(1) >= low && at(1) <= high && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

// Empty where the text may be shown as it is.
absl::string_view TextProblem(absl::string_view text) {
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text[0]);
    if (lead < 0x20 || lead == 0x7f) return "has a control character";
    const std::size_t length = Utf8Length(text);
    if (length == 0) return "is not UTF-8";
    text.remove_prefix(length);
  }
  return {};
}

class WireCheck {
 public:
  explicit WireCheck(const WireLimits& limits)
      : limits_(limits), left_(limits) {}

  absl::Status Message(absl::Span<const std::uint8_t> bytes,
                       const Descriptor& type) {
    google::protobuf::io::CodedInputStream in(bytes.data(),
                                              static_cast<int>(bytes.size()));
    std::vector<int> count(type.field_count());
    std::vector<bool> oneof_set(type.oneof_decl_count());
    while (const std::uint32_t tag = in.ReadTag()) {
      const int number = WireFormatLite::GetTagFieldNumber(tag);
      const FieldDescriptor* field = type.FindFieldByNumber(number);
      if (field == nullptr) {
        return Error(absl::StrCat("unknown field ", number));
      }
      path_.push_back({field, count[field->index()]++});
      TERN_RETURN_IF_ERROR(NotTwice(*field, &oneof_set));
      TERN_RETURN_IF_ERROR(
          Field(*field, WireFormatLite::GetTagWireType(tag), bytes, &in));
      path_.pop_back();
    }
    if (!in.ConsumedEntireMessage()) return Error("malformed tag");
    return absl::OkStatus();
  }

 private:
  struct Step {
    const FieldDescriptor* field;
    int index;
  };

  absl::Status Error(absl::string_view problem) const {
    std::string path = "header";
    for (const Step& step : path_) {
      absl::StrAppend(&path, ".", step.field->name());
      if (step.field->is_repeated())
        absl::StrAppend(&path, "[", step.index, "]");
    }
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", problem));
  }

  absl::Status NotTwice(const FieldDescriptor& field,
                        std::vector<bool>* oneof_set) const {
    if (field.is_repeated()) return absl::OkStatus();
    if (path_.back().index > 0) return Error("is there twice");
    if (const auto* oneof = field.containing_oneof()) {
      if ((*oneof_set)[oneof->index()]) {
        return Error(absl::StrCat("a second choice of '", oneof->name(), "'"));
      }
      (*oneof_set)[oneof->index()] = true;
    }
    return absl::OkStatus();
  }

  absl::Status Field(const FieldDescriptor& field,
                     WireFormatLite::WireType wire_type,
                     absl::Span<const std::uint8_t> bytes,
                     google::protobuf::io::CodedInputStream* in) {
    const WireFormatLite::WireType natural =
        WireFormatLite::WireTypeForFieldType(
            static_cast<WireFormatLite::FieldType>(field.type()));
    const bool packed = field.is_packable() &&
                        wire_type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    if (wire_type != natural && !packed) {
      return Error(
          absl::StrCat("wire type ", wire_type, ", must be ", natural));
    }
    if (wire_type != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      return Scalar(field, in);
    }
    std::uint32_t length = 0;
    if (!in->ReadVarint32(&length)) return Error("malformed length");
    const auto start = static_cast<std::size_t>(in->CurrentPosition());
    if (length > bytes.size() - start) {
      return Error(absl::StrCat("is ", length, " bytes long, only ",
                                bytes.size() - start, " are there"));
    }
    in->Skip(static_cast<int>(length));
    const auto value = bytes.subspan(start, length);
    return packed ? Packed(field, value) : Element(field, value);
  }

  absl::Status Packed(const FieldDescriptor& field,
                      absl::Span<const std::uint8_t> bytes) {
    google::protobuf::io::CodedInputStream in(bytes.data(),
                                              static_cast<int>(bytes.size()));
    while (in.CurrentPosition() < static_cast<int>(bytes.size())) {
      TERN_RETURN_IF_ERROR(Scalar(field, &in));
    }
    return absl::OkStatus();
  }

  // A message, text or byte string.
  absl::Status Element(const FieldDescriptor& field,
                       absl::Span<const std::uint8_t> bytes) {
    if (--left_.elements < 0) {
      return Error(absl::StrCat("one of more than ", limits_.elements,
                                " messages and texts"));
    }
    if (field.message_type() != nullptr) {
      return Message(bytes, *field.message_type());
    }
    if (field.type() != FieldDescriptor::TYPE_STRING) return absl::OkStatus();
    const absl::string_view problem = TextProblem(
        {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return problem.empty() ? absl::OkStatus() : Error(problem);
  }

  absl::Status Scalar(const FieldDescriptor& field,
                      google::protobuf::io::CodedInputStream* in) {
    if (field.is_repeated() && --left_.numbers < 0) {
      return Error(absl::StrCat("one of more than ", limits_.numbers,
                                " repeated numbers"));
    }
    std::uint64_t value = 0;
    std::uint32_t value32 = 0;
    switch (field.type()) {
      case FieldDescriptor::TYPE_DOUBLE:
      case FieldDescriptor::TYPE_FIXED64:
        if (!in->ReadLittleEndian64(&value)) return Error("cut short");
        return absl::OkStatus();
      case FieldDescriptor::TYPE_FLOAT:
      case FieldDescriptor::TYPE_FIXED32:
        if (!in->ReadLittleEndian32(&value32)) return Error("cut short");
        return absl::OkStatus();
      default:
        break;
    }
    if (!in->ReadVarint64(&value)) return Error("malformed number");
    return Fits(field, value);
  }

  absl::Status Fits(const FieldDescriptor& field, std::uint64_t value) const {
    switch (field.type()) {
      case FieldDescriptor::TYPE_UINT64:
        return absl::OkStatus();
      case FieldDescriptor::TYPE_UINT32:
        if (value <= std::numeric_limits<std::uint32_t>::max()) {
          return absl::OkStatus();
        }
        break;
      case FieldDescriptor::TYPE_BOOL:
        if (value <= 1) return absl::OkStatus();
        break;
      case FieldDescriptor::TYPE_ENUM:
        if (value <= std::numeric_limits<std::int32_t>::max() &&
            field.enum_type()->FindValueByNumber(static_cast<int>(value))) {
          return absl::OkStatus();
        }
        return Error(absl::StrCat("unknown value ", value, " of ",
                                  field.enum_type()->name()));
      default:
        break;
    }
    return Error(absl::StrCat("is ", value, ", too large for its type ",
                              field.type_name()));
  }

  const WireLimits limits_;
  WireLimits left_;
  std::vector<Step> path_;
};

}  // namespace

absl::Status CheckWire(absl::Span<const std::uint8_t> bytes,
                       const google::protobuf::Descriptor& type,
                       const WireLimits& limits) {
  return WireCheck(limits).Message(bytes, type);
}

}  // namespace tern
