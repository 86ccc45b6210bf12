// Logging: one line an event, on standard error.
//
//   LogInfo("loaded {} version {}", name, version);
//
//   text   2026-01-31T12:00:00.000Z info loaded shoes version 2 request=17
//   JSON   {"time":"...","level":"info","message":"...","request":"17"}
//
// The request is the one named by the thread's ScopedRequestId, if any.
//
// Thread-safe. InitLogging comes first in main; without it text at level info.

#ifndef TERN_SERVER_LOGGING_H_
#define TERN_SERVER_LOGGING_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "spdlog/spdlog.h"

namespace tern::server {

// `format`: "text" or "json". `level`: "debug", "info", "warn", "error" or
// "off". INVALID_ARGUMENT where it is something else.
absl::Status CheckLogging(const std::string& format, const std::string& level);
absl::Status InitLogging(const std::string& format, const std::string& level);

// Lines that this thread logs meanwhile carry the id. Not nested.
class ScopedRequestId {
 public:
  explicit ScopedRequestId(std::string id);
  ~ScopedRequestId();
  ScopedRequestId(const ScopedRequestId&) = delete;
  ScopedRequestId& operator=(const ScopedRequestId&) = delete;
};

// Whether LogDebug would print: for arguments that cost something.
inline bool LogsDebug() { return spdlog::should_log(spdlog::level::debug); }

template <typename... Args>
void LogDebug(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::debug(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogInfo(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::info(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogWarn(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::warn(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogError(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::error(format, std::forward<Args>(args)...);
}

}  // namespace tern::server

#endif  // TERN_SERVER_LOGGING_H_
