// Which versions of a model are loaded: a pure decision from what is there.
//
// Availability first: a version is unloaded only when everything that the
// policy wants is ready, so that a bad new file leaves the old one serving.
// Versions that failed to load do not count as wanted: latest(1) falls back to
// the newest that works.

#ifndef TERN_SERVER_SERVING_VERSION_POLICY_H_
#define TERN_SERVER_SERVING_VERSION_POLICY_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/serving/model_state.h"

namespace tern::server {

struct VersionPolicy {
  enum class Kind { kLatest, kAll, kSpecific };
  Kind kind = Kind::kLatest;
  // kLatest: how many, at least 1.
  int count = 1;
  // kSpecific.
  std::vector<std::uint64_t> versions;

  // "latest", "latest:3", "all", "specific:1,4". INVALID_ARGUMENT says what
  // was expected.
  static absl::StatusOr<VersionPolicy> Parse(std::string_view text);
};

// What was last asked for by name, over the policy's head.
enum class VersionRequest { kNone, kLoad, kUnload };

struct VersionInfo {
  std::uint64_t version = 0;
  ModelState state = ModelState::kUnloaded;
  VersionRequest request = VersionRequest::kNone;
};

struct VersionAction {
  enum class Kind { kLoad, kUnload };
  Kind kind = Kind::kLoad;
  std::uint64_t version = 0;
  friend bool operator==(const VersionAction&, const VersionAction&) = default;
};

// The next step for one model whose versions these are (any order, no number
// twice), or none when there is nothing to do or to wait for. Loads come
// before unloads, newer versions before older.
std::optional<VersionAction> NextAction(const VersionPolicy& policy,
                                        absl::Span<const VersionInfo> versions);

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_VERSION_POLICY_H_
