// Writes a LeNet-5 with random weights and a golden test: a real model for
// tests of what surrounds the server. Its first and last layer are grid layers,
// so that the server's start and its packages include oneDNN.
//
//   write_model OUT.twn SEED

#include <google/protobuf/text_format.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "engine/runtime/golden.h"
#include "tests/testing/tiny_model.h"

namespace {

tern::model::v1::Graph Lenet5WithGridLayers() {
  tern::model::v1::Graph graph;
  google::protobuf::TextFormat::ParseFromString(
      std::string(tern::testing::kLenet5), &graph);
  for (const int node : {0, graph.node_size() - 1}) {
    graph.mutable_node(node)->set_weights(tern::model::v1::WEIGHT_KIND_GRID);
  }
  return graph;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: write_model OUT.twn SEED\n";
    return 2;
  }
  const std::uint64_t seed = std::strtoull(argv[2], nullptr, 10);
  const tern::testing::TinyModel model =
      tern::testing::MakeTinyModel(Lenet5WithGridLayers(), seed);
  const std::vector<std::uint8_t> picture =
      tern::testing::RandomPicture(model.header.graph().input(), seed);
  const absl::StatusOr<std::string> bytes =
      tern::WriteModelWithGolden(model.header, model.weights, seed, picture);
  if (!bytes.ok()) {
    std::cerr << bytes.status().message() << "\n";
    return 1;
  }
  std::ofstream out(argv[1], std::ios::binary);
  out << *bytes;
  return out.flush() ? 0 : 1;
}
