#include "server/logging.h"

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace tern::server {
namespace {

thread_local std::string current_request;

std::string JsonString(std::string_view text) {
  // Bytes that are not UTF-8 become U+FFFD: a message may quote a request.
  return nlohmann::json(text).dump(-1, ' ', false,
                                   nlohmann::json::error_handler_t::replace);
}

// "%J": the message and the request as members of a JSON object.
class JsonMembers final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    std::string text = absl::StrCat(
        "\"message\":",
        JsonString({message.payload.data(), message.payload.size()}));
    if (!current_request.empty()) {
      absl::StrAppend(&text, ",\"request\":", JsonString(current_request));
    }
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMembers>();
  }
};

// "%J" in text: the message on one line, and the request.
class TextLine final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    for (const char c : message.payload) out.push_back(c == '\n' ? ' ' : c);
    if (!current_request.empty()) {
      const std::string text = absl::StrCat(" request=", current_request);
      out.append(text.data(), text.data() + text.size());
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<TextLine>();
  }
};

}  // namespace

absl::Status CheckLogging(const std::string& format, const std::string& level) {
  if (format != "json" && format != "text") {
    return absl::InvalidArgumentError(
        absl::StrCat("log_format: want text or json, got '", format, "'"));
  }
  for (const char* known : {"debug", "info", "warn", "error", "off"}) {
    if (level == known) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "log_level: want debug, info, warn, error or off, got '", level, "'"));
}

absl::Status InitLogging(const std::string& format, const std::string& level) {
  if (absl::Status status = CheckLogging(format, level); !status.ok()) {
    return status;
  }
  auto formatter = std::make_unique<spdlog::pattern_formatter>(
      spdlog::pattern_time_type::utc);
  if (format == "json") {
    formatter->add_flag<JsonMembers>('J').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%J})");
  } else {
    formatter->add_flag<TextLine>('J').set_pattern(
        "%Y-%m-%dT%H:%M:%S.%eZ %l %J");
  }
  auto logger = std::make_shared<spdlog::logger>(
      "tern", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(std::move(formatter));
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

ScopedRequestId::ScopedRequestId(std::string id) {
  current_request = std::move(id);
}

ScopedRequestId::~ScopedRequestId() { current_request.clear(); }

}  // namespace tern::server
