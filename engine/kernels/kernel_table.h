// Selection of a KernelTable: all kernels of one instruction set.
//
// Tables exist for "reference" (plain loops; the oracle) and for each
// instruction set. One is chosen at start-up, by name or as the best that the
// CPU supports, after it has reproduced a known answer. The choice is a value
// that callers pass on; there is no global.

#ifndef TERN_ENGINE_KERNELS_KERNEL_TABLE_H_
#define TERN_ENGINE_KERNELS_KERNEL_TABLE_H_

#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tern {

struct KernelTable;

// Name of a table: "reference"; on x86-64 "avx2", "avx512vnni",
// "avx512vnni_wide"; on arm64 "neon".
std::string_view KernelTableName(const KernelTable& table);

// All tables of this build, supported by this CPU or not; best first, which
// depends on the CPU's maker.
std::vector<std::string_view> KernelTableNames();

// "auto" or a name. INVALID_ARGUMENT: no such table (lists the names);
// FAILED_PRECONDITION: this CPU lacks what it needs, or the table failed its
// known-answer check. "auto" takes the best that passes.
absl::StatusOr<const KernelTable*> SelectKernels(std::string_view name);

// The same among these tables, best first.
absl::StatusOr<const KernelTable*> SelectKernels(
    std::string_view name, std::span<const KernelTable* const> tables);

}  // namespace tern

#endif  // TERN_ENGINE_KERNELS_KERNEL_TABLE_H_
