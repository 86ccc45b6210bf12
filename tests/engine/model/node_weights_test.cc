// The numbers of a node: what the sections may hold, and that the writer
// refuses what the reader would.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "engine/model/model_check.h"
#include "engine/model/model_file.h"
#include "engine/model/model_format.h"
#include "tests/testing/forged_model.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using testing::AsBytes;
using ::testing::HasSubstr;
using testing::kTinyGrid;
using testing::kTinyMlp;
using testing::MakeTinyModel;
using testing::TinyModel;
using testing::TinyModelBytes;

// The file of `model` with bytes of one tensor's section replaced, resealed.
std::string Patch(const TinyModel& model, int tensor, std::size_t at,
                  const std::string& bytes) {
  std::string file = TinyModelBytes(model);
  model::v1::Header header;
  const std::string_view encoded = testing::HeaderBytes(file);
  header.ParseFromString(std::string(encoded));
  const std::size_t area =
      AlignUp(kModelPrefixBytes + encoded.size() + kModelCrcBytes);
  file.replace(area + header.tensor(tensor).offset() + at, bytes.size(), bytes);
  return testing::Reseal(file);
}

std::string FloatBytes(float value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

absl::Status WeightsStatus(const std::string& file, int node) {
  const auto model = ModelFile::Read(AsBytes(file), ReadLimits());
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return absl::OkStatus();
  return model->Weights(node).status();
}

TEST(NodeWeightsTest, TernaryBytesAreChecked) {
  // fc1: 7 filters of 30 codes, 6 bytes a filter. logits: 3 of 7, 2 bytes.
  const TinyModel model = MakeTinyModel(kTinyMlp, 1);
  EXPECT_EQ(WeightsStatus(Patch(model, 0, 6 * 4 + 2, "\xf3"), 0).message(),
            "graph.node[0] 'fc1' weights: filter 4: byte 2 is 243, five base-3 "
            "digits reach 242");
  EXPECT_EQ(WeightsStatus(Patch(model, 3, 2 * 2 + 1, "\x0a"), 1).message(),
            "graph.node[1] 'logits' weights: filter 2: byte 1 is 10, a digit "
            "beyond the last of 7 codes is not zero");
}

TEST(NodeWeightsTest, MultiplierAndBiasAreChecked) {
  const TinyModel model = MakeTinyModel(kTinyMlp, 1);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {-1e-30F, std::nanf(""), kInfinity, 0x1.1p60F}) {
    EXPECT_THAT(WeightsStatus(Patch(model, 1, 8, FloatBytes(bad)), 0).message(),
                HasSubstr("graph.node[0] 'fc1' multiplier[2]: is "));
  }
  for (const float bad : {std::nanf(""), kInfinity, -kInfinity, 0x1.1p100F}) {
    EXPECT_THAT(WeightsStatus(Patch(model, 5, 4, FloatBytes(bad)), 1).message(),
                HasSubstr("graph.node[1] 'logits' bias[1]: is "));
  }
  for (const float good : {0.0F, 1e-42F, 0x1p60F}) {
    EXPECT_TRUE(WeightsStatus(Patch(model, 1, 8, FloatBytes(good)), 0).ok());
  }
}

TEST(NodeWeightsTest, GridFiltersStayWhereFloatIsExact) {
  TinyModel model = MakeTinyModel(kTinyGrid, 1);
  // conv1: filters of 27 weights. 2 * 32767 + 259 = 65793.
  auto& grid = model.weights[0].grid;
  std::fill(grid.begin() + 27, grid.begin() + 54, std::int16_t{0});
  grid[27] = 32767;
  grid[28] = -32767;
  grid[29] = 259;
  const std::string file = TinyModelBytes(model);
  EXPECT_TRUE(testing::ExerciseModel(file).ok());

  grid[29] = 260;
  EXPECT_EQ(WriteModel(model.header, model.weights).status().message(),
            "graph.node[0] 'conv1' grid: magnitudes of filter 1 sum to 65794, "
            "must be at most 65793");
  grid[29] = 259;
  const std::string forged =
      Patch(model, 0, 2 * 29, std::string("\x04\x01", 2));
  EXPECT_THAT(WeightsStatus(forged, 0).message(),
              HasSubstr("filter 1 sum to 65794"));
  const std::string lowest =
      Patch(model, 0, 2 * 27, std::string("\x00\x80", 2));
  EXPECT_THAT(WeightsStatus(lowest, 0).message(),
              HasSubstr("filter 1 sum to 65794"));
}

TEST(NodeWeightsTest, WriterRefusesWrongSizesAndValues) {
  const TinyModel good = MakeTinyModel(kTinyMlp, 1);
  const auto message = [&](auto change) {
    TinyModel model = good;
    change(&model.weights);
    const auto status = WriteModel(model.header, model.weights).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  using Weights = std::vector<NodeWeights>;
  EXPECT_EQ(message([](Weights* w) { w->pop_back(); }),
            "weights: has 1 entries, must have one for each of 2 nodes");
  EXPECT_EQ(message([](Weights* w) { (*w)[0].ternary.pop_back(); }),
            "graph.node[0] 'fc1' ternary: has 209 values, must have 210");
  EXPECT_EQ(message([](Weights* w) { (*w)[0].ternary[5] = 2; }),
            "graph.node[0] 'fc1' ternary[5]: is 2, must be -1, 0 or 1");
  EXPECT_EQ(message([](Weights* w) { (*w)[1].grid.resize(21); }),
            "graph.node[1] 'logits' grid: has 21 values, must have 0");
  EXPECT_EQ(message([](Weights* w) { (*w)[1].bias.clear(); }),
            "graph.node[1] 'logits' bias: has 0 values, must have 3");
  EXPECT_EQ(message([](Weights* w) { (*w)[1].multiplier[2] = -0.5F; }),
            "graph.node[1] 'logits' multiplier[2]: is -0.5, must be 0..2^60");
}

TEST(NodeWeightsTest, NodesWithoutFiltersHaveNone) {
  const TinyModel model = MakeTinyModel(testing::kTinyConv, 1);
  const std::string file = TinyModelBytes(model);
  const auto read = ModelFile::Read(AsBytes(file), ReadLimits());
  ASSERT_TRUE(read.ok());
  const auto pool = read->Weights(1);
  ASSERT_TRUE(pool.ok());
  EXPECT_TRUE(pool->ternary.empty() && pool->grid.empty() &&
              pool->multiplier.empty() && pool->bias.empty());
  TinyModel wrong = model;
  wrong.weights[1].bias.push_back(1);
  EXPECT_EQ(WriteModel(wrong.header, wrong.weights).status().message(),
            "graph.node[1] 'pool1' bias: has 1 values, must have 0");
}

}  // namespace
}  // namespace tern
