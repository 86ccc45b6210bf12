#include "tests/bench/contenders.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <iostream>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "tests/bench/onednn_network.h"
#include "tests/bench/tern_runner.h"

namespace tern::bench {

absl::StatusOr<Contender> MakeNetworkContender(const Network& network,
                                               const std::string& who,
                                               int batch,
                                               const KernelTable& kernels) {
  if (who == "tern") {
    TERN_ASSIGN_OR_RETURN(auto model, MakeModel(network, kernels));
    auto runner = std::make_shared<TernNetwork>(std::move(model), batch, 1);
    return TimeCalls([runner] { runner->Run(); });
  }
  for (const Peer peer : {Peer::kInt8Direct, Peer::kInt8Winograd, Peer::kF32}) {
    if (who != PeerName(peer)) continue;
    TERN_ASSIGN_OR_RETURN(
        auto runner, OneDnnNetwork::Build(PeerNodesOf(network), batch, peer));
    std::shared_ptr<OneDnnNetwork> shared = std::move(runner);
    return TimeCalls([shared] { shared->Run(); });
  }
  return absl::InvalidArgumentError(absl::StrCat("nobody is called ", who));
}

namespace {

class Server {
 public:
  Server(std::string networks, const KernelTable& kernels)
      : networks_(std::move(networks)), kernels_(kernels) {}

  absl::StatusOr<double> Answer(const std::string& request) {
    const auto known = contenders_.find(request);
    if (known != contenders_.end()) return known->second();
    std::istringstream words(request);
    std::string name;
    std::string who;
    int batch = 0;
    if (!(words >> name >> batch >> who) || batch < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", request, "\" is not <network> <batch> <who>"));
    }
    TERN_ASSIGN_OR_RETURN(const Network network, ReadNetwork(networks_, name));
    TERN_ASSIGN_OR_RETURN(Contender contender,
                          MakeNetworkContender(network, who, batch, kernels_));
    return contenders_.emplace(request, std::move(contender)).first->second();
  }

 private:
  std::string networks_;
  const KernelTable& kernels_;
  std::map<std::string, Contender> contenders_;
};

}  // namespace

absl::Status Serve(const std::string& networks, const KernelTable& kernels) {
  Server server(networks, kernels);
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto seconds = server.Answer(line);
    if (seconds.ok())
      std::cout << *seconds << std::endl;
    else
      std::cout << "error " << seconds.status().message() << std::endl;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Child>> Child::Start(const std::string& networks,
                                                    const std::string& variable,
                                                    const std::string& value) {
  std::array<int, 2> down{};
  std::array<int, 2> up{};
  if (pipe(down.data()) != 0 || pipe(up.data()) != 0)
    return absl::ErrnoToStatus(errno, "pipe");
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) {
    dup2(down[0], STDIN_FILENO);
    dup2(up[1], STDOUT_FILENO);
    for (const int end : {down[0], down[1], up[0], up[1]}) close(end);
    setenv(variable.c_str(), value.c_str(), 1);
    execl("/proc/self/exe", "tern-bench", "--serve", "--networks",
          networks.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  close(down[0]);
  close(up[1]);
  return std::unique_ptr<Child>(new Child(pid, down[1], up[0]));
}

Child::Child(int pid, int to_child, int from_child)
    : pid_(pid), to_child_(to_child), from_child_(fdopen(from_child, "r")) {
  // A child that died is an answer that does not come, not our end.
  signal(SIGPIPE, SIG_IGN);
}

Child::~Child() {
  close(to_child_);
  std::fclose(from_child_);
  waitpid(pid_, nullptr, 0);
}

absl::StatusOr<double> Child::Run(const std::string& request) {
  const std::string line = request + "\n";
  std::array<char, 512> answer{};
  if (write(to_child_, line.data(), line.size()) !=
          static_cast<ssize_t>(line.size()) ||
      std::fgets(answer.data(), answer.size(), from_child_) == nullptr) {
    return absl::InternalError("the child process ended");
  }
  double seconds = 0;
  if (!absl::SimpleAtod(answer.data(), &seconds))
    return absl::InternalError(absl::StrCat("child: ", answer.data()));
  return seconds;
}

}  // namespace tern::bench
