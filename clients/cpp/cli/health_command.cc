#include "clients/cpp/cli/commands.h"

namespace tern::client {

int RunHealth(const std::string& service, const Connection& connection,
              const Console& console) {
  Client client(connection.server, ClientOptionsOf(connection));
  const absl::StatusOr<bool> serving = client.IsServing(service);
  if (!serving.ok()) return Fail(console, connection, serving.status());
  *console.out << (*serving ? "serving" : "not serving") << "\n";
  return *serving ? kExitOk : kExitFailed;
}

}  // namespace tern::client
