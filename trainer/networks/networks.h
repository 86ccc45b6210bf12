// The network files of this folder, built in (networks.cc is generated).

#ifndef TERN_TRAINER_NETWORKS_NETWORKS_H_
#define TERN_TRAINER_NETWORKS_NETWORKS_H_

#include <span>
#include <string_view>

namespace tern::trainer {

struct BuiltInNetwork {
  std::string_view name;  // "lenet5"
  std::string_view text;  // tern.model.v1.Graph in text format
};

extern const std::span<const BuiltInNetwork> kBuiltInNetworks;

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NETWORKS_NETWORKS_H_
