#include "engine/kernels/kernel_table.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/kernels/kernels.h"

namespace tern {

std::string_view KernelTableName(const KernelTable& table) {
  return table.name;
}

std::vector<std::string_view> KernelTableNames() {
  std::vector<std::string_view> names;
  for (const KernelTable* table : AllKernelTables()) {
    names.push_back(table->name);
  }
  return names;
}

absl::StatusOr<const KernelTable*> SelectKernels(std::string_view name) {
  return SelectKernels(name, AllKernelTables());
}

absl::StatusOr<const KernelTable*> SelectKernels(
    std::string_view name, std::span<const KernelTable* const> tables) {
  // This Abseil has a string_view of its own.
  const auto quoted = [](std::string_view text) {
    return absl::StrCat("\"", std::string(text), "\"");
  };
  for (const KernelTable* table : tables) {
    if (name != "auto" && name != table->name) continue;
    const bool supported = table->is_supported();
    if (supported && ReproducesKnownAnswer(*table)) return table;
    if (name == "auto") continue;
    return absl::FailedPreconditionError(
        absl::StrCat("kernels ", quoted(table->name),
                     supported ? " fail their known-answer check on this CPU"
                               : " need instructions that this CPU lacks"));
  }
  if (name == "auto") {
    return absl::FailedPreconditionError(
        "no kernels pass their known-answer check on this CPU");
  }
  std::string names = "auto";
  for (const KernelTable* table : tables) {
    absl::StrAppend(&names, ", ", std::string(table->name));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no kernels ", quoted(name), "; there are: ", names));
}

}  // namespace tern
