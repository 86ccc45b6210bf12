// JSON as the command line tool writes it: keys in the order given, and text
// that is not UTF-8 (file names may be anything) with replacement characters.

#ifndef TERN_CLIENTS_CPP_CLI_JSON_H_
#define TERN_CLIENTS_CPP_CLI_JSON_H_

#include <nlohmann/json.hpp>
#include <string>

namespace tern::client {

using Json = nlohmann::ordered_json;

// indent -1: one line.
inline std::string Dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_CLI_JSON_H_
