// What the writer is given, the reader gives back.

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/model/model_file.h"
#include "engine/model/model_format.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using testing::AsBytes;
using testing::MakeTinyModel;
using testing::TinyModel;
using testing::TinyModelBytes;

class RoundTripTest : public ::testing::TestWithParam<std::string> {
 protected:
  static std::string_view Graph() {
    for (const testing::NamedGraph& graph : testing::TinyGraphs()) {
      if (graph.name == GetParam()) return graph.graph;
    }
    return testing::kLenet5;
  }
};

TEST_P(RoundTripTest, ReaderGivesBackHeaderAndWeights) {
  const TinyModel model = MakeTinyModel(Graph(), 7);
  const std::string bytes = TinyModelBytes(model);
  const auto file = ModelFile::Read(AsBytes(bytes), ReadLimits());
  ASSERT_TRUE(file.ok()) << file.status();

  model::v1::Header header = file->header();
  EXPECT_GT(header.limits().macs(), 0u);
  EXPECT_GT(header.tensor_size(), 0);
  header.clear_tensor();
  header.clear_limits();
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals(header, model.header));
  for (int i = 0; i < header.graph().node_size(); ++i) {
    const auto weights = file->Weights(i);
    ASSERT_TRUE(weights.ok()) << weights.status();
    EXPECT_EQ(weights->ternary, model.weights[i].ternary);
    EXPECT_EQ(weights->grid, model.weights[i].grid);
    EXPECT_EQ(weights->multiplier, model.weights[i].multiplier);
    EXPECT_EQ(weights->bias, model.weights[i].bias);
  }
}

TEST_P(RoundTripTest, SameModelSameBytes) {
  EXPECT_EQ(TinyModelBytes(MakeTinyModel(Graph(), 3)),
            TinyModelBytes(MakeTinyModel(Graph(), 3)));
  EXPECT_NE(TinyModelBytes(MakeTinyModel(Graph(), 3)),
            TinyModelBytes(MakeTinyModel(Graph(), 4)));
}

TEST_P(RoundTripTest, WritingWhatWasReadGivesTheSameBytes) {
  const std::string bytes = TinyModelBytes(MakeTinyModel(Graph(), 5));
  const auto file = ModelFile::Read(AsBytes(bytes), ReadLimits());
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<NodeWeights> weights;
  for (int i = 0; i < file->header().graph().node_size(); ++i) {
    weights.push_back(*file->Weights(i));
  }
  const auto again = WriteModel(file->header(), weights);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, bytes);
}

INSTANTIATE_TEST_SUITE_P(TinyModels, RoundTripTest,
                         ::testing::Values("mlp", "conv", "residual", "grid",
                                           "lenet5"),
                         [](const auto& param_info) {
                           return param_info.param;
                         });

TEST(ModelSizeTest, Lenet5IsSixteenTimesSmallerThanItsFloat32Weights) {
  const std::string bytes = TinyModelBytes(MakeTinyModel(testing::kLenet5, 1));
  const auto file = ModelFile::Read(AsBytes(bytes), ReadLimits());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_GE(file->header().limits().float32_bytes(), 16 * bytes.size());
}

}  // namespace
}  // namespace tern
