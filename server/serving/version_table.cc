#include "server/serving/version_table.h"

#include "absl/strings/str_cat.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

std::string Label(const VersionEntry& entry) {
  return absl::StrCat("model '", entry.stored.model, "' version ",
                      entry.stored.version);
}

// Why this version does not answer. Coming: try again. Gone: do not.
absl::Status WhyNotReady(const VersionEntry& entry) {
  switch (entry.state) {
    case ModelState::kLoading:
      return absl::UnavailableError(
          absl::StrCat(Label(entry), " is still loading"));
    case ModelState::kFailed:
      return absl::UnavailableError(absl::StrCat(
          Label(entry), " failed to load: ", entry.error.message()));
    default:
      return absl::NotFoundError(absl::StrCat(Label(entry), " is not loaded"));
  }
}

}  // namespace

VersionEntry& VersionTable::Add(const StoredVersion& stored) {
  VersionEntry& entry = models_[stored.model][stored.version];
  entry.stored = stored;
  return entry;
}

void VersionTable::Remove(const std::string& model, std::uint64_t version) {
  const auto it = models_.find(model);
  if (it == models_.end()) return;
  it->second.erase(version);
  if (it->second.empty()) models_.erase(it);
}

VersionEntry* VersionTable::Find(std::string_view model,
                                 std::uint64_t version) {
  const auto it = models_.find(model);
  if (it == models_.end()) return nullptr;
  const auto entry = it->second.find(version);
  return entry == it->second.end() ? nullptr : &entry->second;
}

std::uint64_t VersionTable::Newest(std::string_view model) const {
  const auto it = models_.find(model);
  return it == models_.end() ? 0 : it->second.rbegin()->first;
}

absl::StatusOr<ServableHandle> VersionTable::Resolve(
    const ModelChoice& choice) const {
  if (choice.name.empty()) return InvalidField("model.name", "is required");
  const auto model = models_.find(choice.name);
  if (model == models_.end()) {
    return absl::NotFoundError(
        absl::StrCat("there is no model '", choice.name, "'"));
  }
  if (choice.alias.has_value()) {
    return absl::NotFoundError(absl::StrCat(
        "model '", choice.name, "' has no alias '", *choice.alias, "'"));
  }
  const Versions& versions = model->second;
  if (choice.version.has_value()) {
    const auto it = versions.find(*choice.version);
    if (it == versions.end()) {
      return absl::NotFoundError(absl::StrCat(
          "model '", choice.name, "' has no version ", *choice.version));
    }
    if (it->second.servable != nullptr) return it->second.servable;
    return WhyNotReady(it->second);
  }
  absl::Status why = absl::NotFoundError(
      absl::StrCat("no version of model '", choice.name, "' is loaded"));
  for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
    if (it->second.servable != nullptr) return it->second.servable;
    absl::Status status = WhyNotReady(it->second);
    const bool loading = it->second.state == ModelState::kLoading;
    const bool coming = absl::IsUnavailable(status);
    if (loading || (coming && !absl::IsUnavailable(why))) why = status;
  }
  return why;
}

std::vector<VersionInfo> VersionTable::Infos(std::string_view model) const {
  std::vector<VersionInfo> infos;
  const auto it = models_.find(model);
  if (it == models_.end()) return infos;
  for (const auto& [version, entry] : it->second) {
    if (!entry.deleting) infos.push_back({version, entry.state, entry.request});
  }
  return infos;
}

void VersionTable::ForEach(const std::function<void(VersionEntry&)>& call) {
  for (auto& [name, versions] : models_) {
    for (auto& [version, entry] : versions) call(entry);
  }
}

bool VersionTable::HasModel(std::string_view model) const {
  return models_.find(model) != models_.end();
}

}  // namespace tern::server
