// RETURN_IF_ERROR and ASSIGN_OR_RETURN for absl::Status, which this Abseil
// release lacks, and TERN_CHECK for bugs (never for bad input or a bad world).

#ifndef TERN_ENGINE_BASE_STATUS_MACROS_H_
#define TERN_ENGINE_BASE_STATUS_MACROS_H_

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define TERN_RETURN_IF_ERROR(expr)               \
  do {                                           \
    absl::Status tern_status_ = (expr);          \
    if (!tern_status_.ok()) return tern_status_; \
  } while (false)

#define TERN_ASSIGN_OR_RETURN(lhs, expr)                                    \
  TERN_ASSIGN_OR_RETURN_IMPL_(TERN_CONCAT_(tern_status_or_, __LINE__), lhs, \
                              expr)

#define TERN_CONCAT_INNER_(a, b) a##b
#define TERN_CONCAT_(a, b) TERN_CONCAT_INNER_(a, b)
#define TERN_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                                \
  if (!result.ok()) return std::move(result).status(); \
  lhs = *std::move(result)

// A broken invariant of ours: says where and ends the process.
#define TERN_CHECK(condition)                                               \
  do {                                                                      \
    if (!(condition)) {                                                     \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, \
                   #condition);                                             \
      std::abort();                                                         \
    }                                                                       \
  } while (false)

#endif  // TERN_ENGINE_BASE_STATUS_MACROS_H_
