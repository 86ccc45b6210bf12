// What a command line program of Tern's client side is given and gives back:
// streams, what they are connected to, and exit codes. Tests hand in strings.

#ifndef TERN_CLIENTS_CPP_CLI_CONSOLE_H_
#define TERN_CLIENTS_CPP_CLI_CONSOLE_H_

#include <istream>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clients/cpp/tern_client.h"

namespace tern::client {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

enum class Palette { kTrueColor, k256, kPlain };

// Streams must outlive the console.
struct Console {
  std::istream* in = nullptr;
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  // What the terminal can show.
  Palette palette = Palette::kPlain;
};

// Standard streams and the environment (TERM, COLORTERM, NO_COLOR).
Console ProcessConsole();

struct Connection {
  std::string server;
  absl::Duration timeout;
  // Attempts of a call, 1 = no retry.
  int max_attempts = 5;
};

ClientOptions ClientOptionsOf(const Connection& connection);

// Writes what failed and what to check to console.err; returns kExitFailed.
int Fail(const Console& console, const Connection& connection,
         const absl::Status& status);

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_CLI_CONSOLE_H_
