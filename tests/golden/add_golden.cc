// Adds golden model files that are not there yet (README.md).
//
//   add_golden tests/golden/v1

#include <cstdio>
#include <filesystem>
#include <string>

#include "engine/base/status_macros.h"
#include "engine/runtime/golden.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

// Everything in version 1's header that the tiny models leave unset.
void SetEveryFeature(model::v1::Header* header) {
  header->set_softmax_temperature(1.5);
  // The first convolution and the max-pool behind it.
  header->mutable_quantization(0)->set_bits(5);
  header->mutable_quantization(1)->set_bits(5);
  auto* preprocessing = header->mutable_preprocessing();
  preprocessing->set_resize(model::v1::Preprocessing::RESIZE_COVER);
  preprocessing->set_cover_size(12);
  auto* metric = header->mutable_card()->add_metric();
  metric->set_name("top1");
  metric->set_split("test");
  metric->set_value(0.25);
  auto* extension = header->add_extension();
  extension->set_name("note");
  extension->set_value("readers may skip this");
}

absl::Status Add(const std::string& path, const testing::NamedGraph& graph) {
  testing::TinyModel model = testing::MakeTinyModel(graph.graph, 2026);
  model.header.set_name(std::string(graph.name));
  if (graph.name == "conv") SetEveryFeature(&model.header);
  TERN_ASSIGN_OR_RETURN(
      const std::string file,
      WriteModelWithGolden(
          model.header, model.weights, 2026,
          testing::RandomPicture(model.header.graph().input(), 2027)));
  return WriteFileAtomically(path, testing::AsBytes(file));
}

int Main(const std::string& folder) {
  for (const testing::NamedGraph& graph : testing::TinyGraphs()) {
    const std::string path = folder + "/" + std::string(graph.name) + ".twn";
    if (std::filesystem::exists(path)) {
      std::printf("%s is there already\n", path.c_str());
      continue;
    }
    const absl::Status status = Add(path, graph);
    if (!status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      return 1;
    }
    std::printf("%s added\n", path.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace tern

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: add_golden FOLDER\n");
    return 2;
  }
  return tern::Main(argv[1]);
}
