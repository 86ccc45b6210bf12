#include "clients/cpp/cli/console.h"

#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace tern::client {
namespace {

std::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

Palette PaletteOfTerminal() {
  if (!Environment("NO_COLOR").empty()) return Palette::kPlain;
  const std::string_view colors = Environment("COLORTERM");
  if (colors == "truecolor" || colors == "24bit") return Palette::kTrueColor;
  return Environment("TERM").find("256color") != std::string_view::npos
             ? Palette::k256
             : Palette::kPlain;
}

// What a person may do about it; empty where the message says it all.
std::string Advice(const Connection& connection, const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return absl::StrCat(
          "no answer from ", connection.server,
          ". Check that tern-server runs, that it is ready, and that\n"
          "--server=HOST:PORT (or TERN_SERVER) names its gRPC address.");
    case absl::StatusCode::kDeadlineExceeded:
      return absl::StrCat(connection.server, " took longer than --timeout=",
                          absl::FormatDuration(connection.timeout), ".");
    case absl::StatusCode::kNotFound:
      return absl::StrCat("`tern models list --server=", connection.server,
                          "` shows what is there.");
    case absl::StatusCode::kUnimplemented:
      return absl::StrCat(connection.server,
                          " speaks gRPC but does not know this call; is it "
                          "a tern-server of this version?");
    case absl::StatusCode::kResourceExhausted:
      return "The server is busy or the request is too large; try a smaller "
             "--batch, or later.";
    default:
      return "";
  }
}

}  // namespace

Console ProcessConsole() {
  Console console;
  console.in = &std::cin;
  console.out = &std::cout;
  console.err = &std::cerr;
  console.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  console.err_is_terminal = isatty(STDERR_FILENO) == 1;
  console.palette = PaletteOfTerminal();
  return console;
}

ClientOptions ClientOptionsOf(const Connection& connection) {
  ClientOptions options;
  options.timeout = connection.timeout;
  options.max_attempts = connection.max_attempts;
  return options;
}

int Fail(const Console& console, const Connection& connection,
         const absl::Status& status) {
  *console.err << "tern: " << absl::StatusCodeToString(status.code()) << ": "
               << status.message() << "\n";
  const std::string advice = Advice(connection, status);
  if (!advice.empty()) *console.err << advice << "\n";
  return kExitFailed;
}

}  // namespace tern::client
