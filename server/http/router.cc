#include "server/http/router.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"

namespace tern::server {
namespace {

using Parameters = std::map<std::string, std::string>;

bool MatchSegment(absl::string_view pattern, absl::string_view segment,
                  Parameters* parameters) {
  const std::size_t open = pattern.find('{');
  if (open == absl::string_view::npos) return pattern == segment;
  const std::size_t close = pattern.find('}', open);
  const absl::string_view before = pattern.substr(0, open);
  const absl::string_view after = pattern.substr(close + 1);
  if (segment.size() <= before.size() + after.size()) return false;
  if (segment.substr(0, before.size()) != before) return false;
  if (segment.substr(segment.size() - after.size()) != after) return false;
  segment.remove_prefix(before.size());
  segment.remove_suffix(after.size());
  parameters->emplace(pattern.substr(open + 1, close - open - 1), segment);
  return true;
}

std::optional<Parameters> MatchPath(absl::string_view pattern,
                                    absl::string_view path) {
  const std::vector<absl::string_view> wanted = absl::StrSplit(pattern, '/');
  const std::vector<absl::string_view> came = absl::StrSplit(path, '/');
  if (wanted.size() != came.size()) return std::nullopt;
  Parameters parameters;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!MatchSegment(wanted[i], came[i], &parameters)) return std::nullopt;
  }
  return parameters;
}

}  // namespace

void Router::Add(std::string method, std::string pattern, HttpHandler handler) {
  routes_.push_back(
      {std::move(method), std::move(pattern), std::move(handler)});
}

Router::Match Router::Find(std::string_view method,
                           std::string_view path) const {
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  Match match;
  for (const Route& route : routes_) {
    auto parameters = MatchPath(route.pattern, {path.data(), path.size()});
    if (!parameters) continue;
    if (route.method == wanted) {
      match.handler = &route.handler;
      match.parameters = *std::move(parameters);
      match.code = 200;
      return match;
    }
    match.code = 405;
    absl::StrAppend(&match.allow, match.allow.empty() ? "" : ", ",
                    route.method);
  }
  return match;
}

HttpResponse ErrorResponse(int code, std::string_view status,
                           std::string_view message) {
  const nlohmann::json body = {
      {"error", {{"code", code}, {"status", status}, {"message", message}}}};
  HttpResponse response;
  response.code = code;
  response.content_type = "application/json";
  // Bytes that are not UTF-8 must not throw: a message may quote a request.
  response.body =
      body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
      "\n";
  return response;
}

}  // namespace tern::server
