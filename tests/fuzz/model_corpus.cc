// Writes small valid model files into a folder: seeds of model_reader_fuzz.
//
//   model_corpus FOLDER

#include <cstdio>
#include <string>

#include "engine/model/model_file.h"
#include "tests/testing/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: model_corpus FOLDER\n");
    return 2;
  }
  for (const tern::testing::NamedGraph& graph : tern::testing::TinyGraphs()) {
    const std::string path =
        std::string(argv[1]) + "/" + std::string(graph.name) + ".twn";
    const std::string file = tern::testing::TinyModelBytes(
        tern::testing::MakeTinyModel(graph.graph, 1));
    const absl::Status status =
        tern::WriteFileAtomically(path, tern::testing::AsBytes(file));
    if (!status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      return 1;
    }
  }
  return 0;
}
