// model_format.md's worked example is the file that the writer makes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_format.h"
#include "engine/model/graph.h"
#include "engine/model/model_file.h"
#include "tests/testing/forged_model.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

// The model that the document describes.
std::string ExampleFile() {
  const auto graph = ParseGraphText(R"(
    input { height: 2 width: 3 channels: 1 }
    node { name: "fc" linear { filters: 2 } weights: WEIGHT_KIND_TERNARY })");
  EXPECT_TRUE(graph.ok()) << graph.status();
  model::v1::Header header;
  header.set_name("ex");
  *header.mutable_graph() = *graph;
  header.mutable_input_quantization()->add_scale(0.5F);
  header.add_quantization()->set_type(model::v1::ELEMENT_TYPE_F32);
  NodeWeights weights;
  weights.ternary = {1, -1, 0, 0, 1, -1, 0, 0, 0, 0, 0, 1};
  weights.multiplier = {0.25F, 0.5F};
  weights.bias = {1, -2};
  const auto file = WriteModel(header, {weights});
  EXPECT_TRUE(file.ok()) << file.status();
  return *file;
}

// The bytes of the fenced block ```hex: lines of "OFFSET  BYTES  ; comment",
// where "00 * N" stands for N zero bytes.
std::string DocumentedBytes() {
  std::ifstream document(TERN_SOURCE_DIR "/engine/model/model_format.md");
  std::string line;
  std::string bytes;
  while (std::getline(document, line) && line != "```hex") {
  }
  while (std::getline(document, line) && line != "```") {
    std::istringstream tokens(line.substr(0, line.find(';')));
    std::string token;
    tokens >> token;
    EXPECT_EQ(std::stoul(token, nullptr, 16), bytes.size()) << line;
    while (tokens >> token) {
      if (token == "*") {
        tokens >> token;
        bytes.resize(bytes.size() - 1 + std::stoul(token));
      } else {
        bytes += static_cast<char>(std::stoul(token, nullptr, 16));
      }
    }
  }
  return bytes;
}

std::string Hex(const std::string& bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i % 16 == 0) absl::StrAppendFormat(&text, "\n%04x ", i);
    absl::StrAppendFormat(&text, " %02x", static_cast<unsigned char>(bytes[i]));
  }
  return text;
}

TEST(ModelFormatTest, TheDocumentsExampleIsWhatTheWriterMakes) {
  EXPECT_EQ(Hex(DocumentedBytes()), Hex(ExampleFile()));
}

TEST(ModelFormatTest, TheDocumentsExampleReads) {
  const std::string file = DocumentedBytes();
  EXPECT_TRUE(testing::ExerciseModel(file).ok())
      << testing::ExerciseModel(file);
  const auto read = ModelFile::Read(testing::AsBytes(file), ReadLimits());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->Weights(0)->ternary,
            (std::vector<std::int8_t>{1, -1, 0, 0, 1, -1, 0, 0, 0, 0, 0, 1}));
}

}  // namespace
}  // namespace tern
