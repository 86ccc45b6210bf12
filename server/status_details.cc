#include "server/status_details.h"

#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tern::server {
namespace {

constexpr absl::string_view kFieldUrl = "tern/field";
constexpr absl::string_view kRetryDelayUrl = "tern/retry_delay_ns";

std::optional<std::string> Payload(const absl::Status& status,
                                   absl::string_view url) {
  const auto payload = status.GetPayload(url);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

}  // namespace

absl::Status InvalidField(std::string_view field, std::string_view problem) {
  absl::Status status = absl::InvalidArgumentError(
      absl::StrCat(std::string(field), ": ", std::string(problem)));
  status.SetPayload(kFieldUrl, absl::Cord(std::string(field)));
  return status;
}

std::string FieldOf(const absl::Status& status) {
  return Payload(status, kFieldUrl).value_or("");
}

absl::Status WithRetryDelay(absl::Status status, Nanos delay) {
  status.SetPayload(kRetryDelayUrl, absl::Cord(absl::StrCat(delay.count())));
  return status;
}

std::optional<Nanos> RetryDelayOf(const absl::Status& status) {
  const std::optional<std::string> text = Payload(status, kRetryDelayUrl);
  std::int64_t nanos = 0;
  if (!text.has_value() || !absl::SimpleAtoi(*text, &nanos)) {
    return std::nullopt;
  }
  return Nanos(nanos);
}

}  // namespace tern::server
