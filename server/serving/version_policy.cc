#include "server/serving/version_policy.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace tern::server {
namespace {

absl::Status BadPolicy(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("version policy: want 'latest', 'latest:COUNT', 'all' or "
                   "'specific:NUMBER,...', got '",
                   text, "'"));
}

bool IsPresent(const VersionInfo& info) {
  return info.state != ModelState::kFailed;
}

// What the policy picks from versions that come newest first.
std::set<std::uint64_t> Pick(const VersionPolicy& policy,
                             const std::vector<VersionInfo>& newest_first) {
  std::set<std::uint64_t> picked;
  for (const VersionInfo& info : newest_first) {
    bool pick = true;
    if (policy.kind == VersionPolicy::Kind::kLatest) {
      pick = picked.size() < static_cast<std::size_t>(policy.count);
    } else if (policy.kind == VersionPolicy::Kind::kSpecific) {
      pick = std::find(policy.versions.begin(), policy.versions.end(),
                       info.version) != policy.versions.end();
    }
    if (pick) picked.insert(info.version);
  }
  return picked;
}

}  // namespace

absl::StatusOr<VersionPolicy> VersionPolicy::Parse(std::string_view text) {
  const std::string copy(text);
  absl::string_view rest = copy;
  VersionPolicy policy;
  if (rest == "latest") return policy;
  if (rest == "all") {
    policy.kind = Kind::kAll;
    return policy;
  }
  if (absl::ConsumePrefix(&rest, "latest:")) {
    if (absl::SimpleAtoi(rest, &policy.count) && policy.count >= 1) {
      return policy;
    }
    return BadPolicy(copy);
  }
  if (!absl::ConsumePrefix(&rest, "specific:")) return BadPolicy(copy);
  policy.kind = Kind::kSpecific;
  for (const absl::string_view part : absl::StrSplit(rest, ',')) {
    std::uint64_t version = 0;
    if (!absl::SimpleAtoi(part, &version) || version == 0) {
      return BadPolicy(copy);
    }
    policy.versions.push_back(version);
  }
  return policy;
}

// A version that someone unloaded keeps its place among those to load, so
// that unloading the newest does not bring an old one back; but it protects
// nothing: an old one that still serves is not unloaded for it.
std::optional<VersionAction> NextAction(
    const VersionPolicy& policy, absl::Span<const VersionInfo> versions) {
  std::vector<VersionInfo> all(versions.begin(), versions.end());
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.version > b.version; });
  std::vector<VersionInfo> present, willing;
  for (const VersionInfo& info : all) {
    if (!IsPresent(info)) continue;
    present.push_back(info);
    if (info.request != VersionRequest::kUnload) willing.push_back(info);
  }
  const std::set<std::uint64_t> load = Pick(policy, present);
  const std::set<std::uint64_t> keep = Pick(policy, willing);

  bool waiting = false;
  for (const VersionInfo& info : willing) {
    const bool wanted =
        info.request == VersionRequest::kLoad || load.contains(info.version);
    if (!wanted) continue;
    if (info.state == ModelState::kUnloaded) {
      return VersionAction{VersionAction::Kind::kLoad, info.version};
    }
    waiting = waiting || info.state != ModelState::kReady;
  }
  if (waiting) return std::nullopt;
  for (const VersionInfo& info : all) {
    const bool wanted =
        info.request == VersionRequest::kLoad || keep.contains(info.version);
    if (info.state == ModelState::kReady && !wanted) {
      return VersionAction{VersionAction::Kind::kUnload, info.version};
    }
  }
  return std::nullopt;
}

}  // namespace tern::server
