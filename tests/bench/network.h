// The networks that are measured: architecture from a network file, random
// ternary weights.

#ifndef TERN_TESTS_BENCH_NETWORK_H_
#define TERN_TESTS_BENCH_NETWORK_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/kernels/conv.h"
#include "engine/model/graph.h"
#include "tern/model/v1/model.pb.h"

namespace tern::bench {

struct Network {
  std::string name;  // "vgg7"
  model::v1::Graph graph;
  GraphShapes shapes;
};

// Reads `folder`/`name`.textproto.
absl::StatusOr<Network> ReadNetwork(const std::string& folder,
                                    const std::string& name);

struct NamedLayer {
  std::string network;
  std::string name;  // of the first node of this shape
  ConvGeometry geometry;
  double macs = 0;           // of one picture, padding taps counted
  double executed_macs = 0;  // without padding taps
};

// Every shape of a conv2d or linear node, once.
std::vector<NamedLayer> LayersOf(const Network& network);

}  // namespace tern::bench

#endif  // TERN_TESTS_BENCH_NETWORK_H_
