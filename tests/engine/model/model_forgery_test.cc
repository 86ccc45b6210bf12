// Headers that lie, behind checksums that match. Each case says what the error
// must name; what concerns the writer's part of the header is refused by the
// writer with the same words.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/model/model_file.h"
#include "tests/testing/forged_model.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using model::v1::Header;
using testing::AsBytes;
using ::testing::HasSubstr;
using testing::MakeTinyModel;
using testing::TinyModel;
using testing::TinyModelBytes;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Forgery {
  std::string name;
  std::string_view graph;
  std::function<void(Header*)> change;
  std::string message;
};

absl::Status ReadWith(const Forgery& forgery) {
  const std::string file = TinyModelBytes(MakeTinyModel(forgery.graph, 1));
  Header header;
  header.ParseFromString(std::string(testing::HeaderBytes(file)));
  forgery.change(&header);
  const std::string forged =
      testing::ReplaceHeader(file, header.SerializeAsString());
  return ModelFile::Read(AsBytes(forged), ReadLimits()).status();
}

class HeaderForgeryTest : public ::testing::TestWithParam<std::string> {};
class TableForgeryTest : public ::testing::TestWithParam<std::string> {};

std::vector<std::string> Names(const std::vector<Forgery>& forgeries) {
  std::vector<std::string> names;
  for (const Forgery& forgery : forgeries) names.push_back(forgery.name);
  return names;
}

const Forgery& Find(const std::vector<Forgery>& forgeries,
                    const std::string& name) {
  for (const Forgery& forgery : forgeries) {
    if (forgery.name == name) return forgery;
  }
  std::abort();
}

auto* Quantization(Header* header, int node) {
  return header->mutable_quantization(node);
}

void AddGolden(Header* header, std::size_t image, int hashes, int logits) {
  auto* golden = header->mutable_card()->mutable_golden();
  golden->set_image(std::string(image, 'x'));
  for (int i = 0; i < hashes; ++i) golden->add_node_hash(i);
  for (int i = 0; i < logits; ++i) golden->add_logit(0.5F);
}

// What writer and reader check alike.
const std::vector<Forgery>& HeaderForgeries() {
  using testing::kTinyConv;
  using testing::kTinyGrid;
  using testing::kTinyMlp;
  using testing::kTinyResidual;
  static const auto* const forgeries = new std::vector<Forgery>{
      {"NoGraph", kTinyMlp, [](Header* h) { h->clear_graph(); },
       "graph.input.height: is 0, must be 1..32768"},
      {"NoInputScale", kTinyMlp,
       [](Header* h) { h->clear_input_quantization(); },
       "input_quantization.scale: has 0 values, must have 1 or 1"},
      {"InputScaleNan", kTinyMlp,
       [](Header* h) { h->mutable_input_quantization()->set_scale(0, kNan); },
       "input_quantization.scale[0]: is nan, must be 2^-40..2^40"},
      {"InputScaleTiny", kTinyMlp,
       [](Header* h) { h->mutable_input_quantization()->set_scale(0, 1e-30F); },
       "input_quantization.scale[0]: is 1e-30, must be"},
      {"TwoScales", kTinyGrid,
       [](Header* h) {
         h->mutable_input_quantization()->mutable_scale()->RemoveLast();
       },
       "input_quantization.scale: has 2 values, must have 1 or 3"},
      {"TernaryFirstWithThreeScales", kTinyConv,
       [](Header* h) {
         h->mutable_input_quantization()->add_scale(1);
         h->mutable_input_quantization()->add_scale(1);
       },
       "graph.node[0] 'conv1': weights: ternary weights on the picture need "
       "one input_quantization.scale, there are 3"},
      {"ZeroPointCount", kTinyConv,
       [](Header* h) { h->mutable_input_quantization()->add_zero_point(1); },
       "input_quantization.zero_point: has 4 values, must have 0 or 3"},
      {"ZeroPointTooLarge", kTinyConv,
       [](Header* h) {
         h->mutable_input_quantization()->set_zero_point(2, 256);
       },
       "input_quantization.zero_point[2]: is 256, must be 0..255"},
      {"QuantizationMissing", kTinyConv,
       [](Header* h) { h->mutable_quantization()->RemoveLast(); },
       "quantization: has 5 entries, must have one for each of 6 nodes"},
      {"ScaleInfinite", kTinyConv,
       [](Header* h) { Quantization(h, 0)->set_scale(kInfinity); },
       "graph.node[0] 'conv1': quantization.scale: is inf, must be 2^-40"},
      {"ScaleNegative", kTinyConv,
       [](Header* h) { Quantization(h, 0)->set_scale(-1); },
       "graph.node[0] 'conv1': quantization.scale: is -1, must be 2^-40"},
      {"ScaleOfLogits", kTinyConv,
       [](Header* h) { Quantization(h, 5)->set_scale(1); },
       "graph.node[5] 'logits': quantization.scale: is 1, must be unset"},
      {"TypeUnset", kTinyConv,
       [](Header* h) { Quantization(h, 0)->clear_type(); },
       "graph.node[0] 'conv1': quantization.type: is unspecified, must be U8"},
      {"BitsTooMany", kTinyConv,
       [](Header* h) { Quantization(h, 0)->set_bits(9); },
       "graph.node[0] 'conv1': quantization.bits: is 9, must be 0..8"},
      {"BitsOfS16", kTinyResidual,
       [](Header* h) { Quantization(h, 3)->set_bits(4); },
       "graph.node[3] 'shortcut': quantization.bits: is 4, must be unset"},
      {"BitsOfMaxPool", kTinyConv,
       [](Header* h) { Quantization(h, 1)->set_bits(4); },
       "graph.node[1] 'pool1': quantization.bits: is 4, must be that of its "
       "input, 0"},
      {"ScaleOfMaxPool", kTinyConv,
       [](Header* h) { Quantization(h, 1)->set_scale(0.5F); },
       "graph.node[1] 'pool1': quantization.scale: is 0.5, must be that of "
       "its input, 0.0625"},
      {"ScaleOfFlatten", kTinyConv,
       [](Header* h) { Quantization(h, 4)->set_scale(0.5F); },
       "graph.node[4] 'flat': quantization.scale: is 0.5, must be that of"},
      {"TypeOfPool", kTinyResidual,
       [](Header* h) {
         Quantization(h, 6)->set_type(model::v1::ELEMENT_TYPE_S16);
       },
       "graph.node[6] 'pool': quantization.type: is S16, must be U8 for pools"},
      {"ReluAsS16", kTinyConv,
       [](Header* h) {
         Quantization(h, 0)->set_type(model::v1::ELEMENT_TYPE_S16);
       },
       "graph.node[0] 'conv1': quantization.type: is S16, must be U8 after "
       "ReLU"},
      {"NoReluAsU8", kTinyResidual,
       [](Header* h) {
         Quantization(h, 3)->set_type(model::v1::ELEMENT_TYPE_U8);
       },
       "graph.node[3] 'shortcut': quantization.type: is U8, must be S16 "
       "without ReLU"},
      {"FloatInTheMiddle", kTinyConv,
       [](Header* h) {
         Quantization(h, 0)->set_type(model::v1::ELEMENT_TYPE_F32);
         Quantization(h, 0)->clear_scale();
       },
       "graph.node[0] 'conv1': quantization.type: is F32, must be U8"},
      {"LogitsAsS16", kTinyConv,
       [](Header* h) {
         Quantization(h, 5)->set_type(model::v1::ELEMENT_TYPE_S16);
         Quantization(h, 5)->set_scale(1);
       },
       "graph.node[5] 'logits': quantization.type: is S16, must be F32"},
      {"LogitsWithRelu", kTinyConv,
       [](Header* h) {
         h->mutable_graph()->mutable_node(5)->set_activation(
             model::v1::ACTIVATION_RELU);
       },
       "graph.node[5] 'logits': activation: the logits have none"},
      {"ConvReadsS16", kTinyResidual,
       [](Header* h) {
         h->mutable_graph()->mutable_node(5)->set_input("shortcut");
         h->mutable_graph()->mutable_node(5)->set_residual("b1");
       },
       "graph.node[5] 'b2': input: graph.node[3] 'shortcut' yields S16, must "
       "be U8"},
      {"PoolReadsS16", kTinyResidual,
       [](Header* h) {
         h->mutable_graph()->mutable_node(5)->clear_activation();
         Quantization(h, 5)->set_type(model::v1::ELEMENT_TYPE_S16);
       },
       "graph.node[6] 'pool': input: graph.node[5] 'b2' yields S16, must be U8 "
       "(S16 is for residuals only)"},
      {"PoolAsLastNode", kTinyResidual,
       [](Header* h) {
         h->mutable_graph()->mutable_node()->RemoveLast();
         h->mutable_quantization()->RemoveLast();
       },
       "graph.node[6] 'pool': op: the logits need conv2d or linear"},
      {"WeightsUnspecified", kTinyConv,
       [](Header* h) { h->mutable_graph()->mutable_node(2)->clear_weights(); },
       "graph.node[2] 'conv2': weights: must be TERNARY or GRID"},
      {"LabelMissing", kTinyConv,
       [](Header* h) { h->mutable_label()->RemoveLast(); },
       "label: has 3 entries, must have 0 or 4"},
      {"LabelWithNewline", kTinyConv,
       [](Header* h) { h->set_label(2, "a\nb"); },
       "header.label[2]: has a control character"},
      {"CoverSizeWithoutCover", kTinyConv,
       [](Header* h) { h->mutable_preprocessing()->set_cover_size(10); },
       "preprocessing.cover_size: is 10, is for RESIZE_COVER only"},
      {"CoverSizeTooSmall", kTinyConv,
       [](Header* h) {
         h->mutable_preprocessing()->set_resize(
             model::v1::Preprocessing::RESIZE_COVER);
         h->mutable_preprocessing()->set_cover_size(8);
       },
       "preprocessing.cover_size: is 8, must be 9..36"},
      {"CoverSizeTooLarge", kTinyConv,
       [](Header* h) {
         h->mutable_preprocessing()->set_resize(
             model::v1::Preprocessing::RESIZE_COVER);
         h->mutable_preprocessing()->set_cover_size(37);
       },
       "preprocessing.cover_size: is 37, must be 9..36"},
      {"TemperatureNan", kTinyConv,
       [](Header* h) { h->set_softmax_temperature(double{kNan}); },
       "softmax_temperature: is nan, must be unset or 1e-6..1e6"},
      {"TemperatureNegative", kTinyConv,
       [](Header* h) { h->set_softmax_temperature(-1); },
       "softmax_temperature: is -1, must be"},
      {"GoldenImage", kTinyMlp, [](Header* h) { AddGolden(h, 29, 2, 3); },
       "card.golden.image: has 29 values, must have 30"},
      {"GoldenHashes", kTinyMlp, [](Header* h) { AddGolden(h, 30, 1, 3); },
       "card.golden.node_hash: has 1 values, must have 2"},
      {"GoldenLogits", kTinyMlp, [](Header* h) { AddGolden(h, 30, 2, 4); },
       "card.golden.logit: has 4 values, must have 3"},
      {"GoldenLogitNan", kTinyMlp,
       [](Header* h) {
         AddGolden(h, 30, 2, 3);
         h->mutable_card()->mutable_golden()->set_logit(1, kNan);
       },
       "card.golden.logit[1]: is not finite"},
      {"GoldenImagesTooMany", kTinyMlp,
       [](Header* h) {
         AddGolden(h, 30, 2, 3);
         h->mutable_card()->mutable_golden()->set_seeded_images(4000000000U);
       },
       "card.golden.seeded_images: is 4000000000, must be 0..4"},
      {"MetricNan", kTinyMlp,
       [](Header* h) {
         h->mutable_card()->add_metric()->set_value(double{kNan});
       },
       "card.metric[0].value: is not finite"},
      {"CriticalExtension", kTinyMlp,
       [](Header* h) {
         h->add_extension()->set_name("harmless");
         h->add_extension()->set_name("future");
         h->mutable_extension(1)->set_critical(true);
       },
       "extension[1] 'future': is critical and unknown"},
      {"NamelessExtension", kTinyMlp, [](Header* h) { h->add_extension(); },
       "extension[0].name: is empty"},
  };
  return *forgeries;
}

TEST_P(HeaderForgeryTest, ReaderAndWriterRefuseWithTheSameWords) {
  const Forgery& forgery = Find(HeaderForgeries(), GetParam());
  const absl::Status read = ReadWith(forgery);
  EXPECT_EQ(read.code(), absl::StatusCode::kInvalidArgument) << read;
  EXPECT_THAT(read.message(), HasSubstr(forgery.message));

  TinyModel model = MakeTinyModel(forgery.graph, 1);
  forgery.change(&model.header);
  model.weights.resize(model.header.graph().node_size());
  const absl::Status write = WriteModel(model.header, model.weights).status();
  EXPECT_EQ(write, read);
}

INSTANTIATE_TEST_SUITE_P(Headers, HeaderForgeryTest,
                         ::testing::ValuesIn(Names(HeaderForgeries())),
                         [](const auto& param_info) {
                           return param_info.param;
                         });

// What the writer fills in, so that only a forger can get it wrong.
const std::vector<Forgery>& TableForgeries() {
  using testing::kTinyConv;
  using testing::kTinyGrid;
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;
  static const auto* const forgeries = new std::vector<Forgery>{
      {"Macs", kTinyConv, [](Header* h) { h->mutable_limits()->set_macs(1); },
       "limits.macs: is 1, the graph gives"},
      {"ActivationBytes", kTinyConv,
       [](Header* h) { h->mutable_limits()->set_activation_bytes(kHuge); },
       "limits.activation_bytes: is 9223372036854775808, the graph gives"},
      {"Float32Bytes", kTinyConv,
       [](Header* h) { h->mutable_limits()->clear_float32_bytes(); },
       "limits.float32_bytes: is 0, the graph gives"},
      {"NoTensors", kTinyConv, [](Header* h) { h->clear_tensor(); },
       "tensor: graph.node[0] 'conv1' weights is missing"},
      {"TensorMissing", kTinyConv,
       [](Header* h) { h->mutable_tensor()->RemoveLast(); },
       "tensor: graph.node[5] 'logits' bias is missing"},
      {"TensorTwice", kTinyConv,
       [](Header* h) { *h->add_tensor() = h->tensor(0); },
       "tensor[9]: is one too many, the graph has 9"},
      {"ManyTensors", kTinyConv,
       [](Header* h) {
         for (int i = 0; i < 100000; ++i) h->add_tensor();
       },
       "tensor[9]: is one too many, the graph has 9"},
      {"Order", kTinyConv,
       [](Header* h) { h->mutable_tensor()->SwapElements(0, 1); },
       "tensor[0] (graph.node[0] 'conv1' weights): is graph.node[0] 'conv1' "
       "multiplier"},
      {"NodeOfTensor", kTinyConv,
       [](Header* h) { h->mutable_tensor(4)->set_node(4000000000U); },
       "tensor[4] (graph.node[2] 'conv2' multiplier): is graph.node["},
      {"RoleUnset", kTinyConv,
       [](Header* h) { h->mutable_tensor(4)->clear_role(); },
       "is graph.node[2] 'conv2' unspecified"},
      {"TernaryAsGrid", kTinyConv,
       [](Header* h) {
         h->mutable_tensor(0)->set_encoding(model::v1::ENCODING_S16);
       },
       "tensor[0] (graph.node[0] 'conv1' weights): encoding is ENCODING_S16, "
       "must be ENCODING_TERNARY_BASE3"},
      {"GridAsTernary", kTinyGrid,
       [](Header* h) {
         h->mutable_tensor(0)->set_encoding(model::v1::ENCODING_TERNARY_BASE3);
       },
       "encoding is ENCODING_TERNARY_BASE3, must be ENCODING_S16"},
      {"Dim", kTinyConv,
       [](Header* h) { h->mutable_tensor(3)->set_dim(1, 4000000000U); },
       "tensor[3] (graph.node[2] 'conv2' weights): dim is not [6, 3, 2, 8]"},
      {"DimCount", kTinyConv,
       [](Header* h) { h->mutable_tensor(1)->add_dim(1); },
       "tensor[1] (graph.node[0] 'conv1' multiplier): dim is not [8]"},
      {"NoDim", kTinyConv, [](Header* h) { h->mutable_tensor(2)->clear_dim(); },
       "tensor[2] (graph.node[0] 'conv1' bias): dim is not [8]"},
      {"Overlap", kTinyConv,
       [](Header* h) { h->mutable_tensor(1)->set_offset(0); },
       "tensor[1] (graph.node[0] 'conv1' multiplier): offset is 0, must be 64"},
      {"Misaligned", kTinyConv,
       [](Header* h) { h->mutable_tensor(1)->set_offset(65); },
       "offset is 65, must be 64"},
      {"Gap", kTinyConv,
       [](Header* h) { h->mutable_tensor(1)->set_offset(128); },
       "offset is 128, must be 64"},
      {"OutOfTheFile", kTinyConv,
       [](Header* h) { h->mutable_tensor(8)->set_offset(kHuge); },
       "tensor[8] (graph.node[5] 'logits' bias): offset is "
       "9223372036854775808, must be"},
      {"HugeSection", kTinyConv,
       [](Header* h) { h->mutable_tensor(0)->set_bytes(kHuge); },
       "tensor[0] (graph.node[0] 'conv1' weights): bytes is "
       "9223372036854775808, must be 48"},
  };
  return *forgeries;
}

TEST_P(TableForgeryTest, ReaderRefuses) {
  const Forgery& forgery = Find(TableForgeries(), GetParam());
  const absl::Status read = ReadWith(forgery);
  EXPECT_EQ(read.code(), absl::StatusCode::kInvalidArgument) << read;
  EXPECT_THAT(read.message(), HasSubstr(forgery.message));
}

INSTANTIATE_TEST_SUITE_P(Tables, TableForgeryTest,
                         ::testing::ValuesIn(Names(TableForgeries())),
                         [](const auto& param_info) {
                           return param_info.param;
                         });

TEST(AllowedTest, WhatTheRulesAllow) {
  TinyModel model = MakeTinyModel(testing::kTinyConv, 1);
  model.header.clear_label();
  model.header.clear_name();
  model.header.set_softmax_temperature(2);
  model.header.mutable_input_quantization()->clear_zero_point();
  Quantization(&model.header, 0)->set_bits(4);
  Quantization(&model.header, 1)->set_bits(4);
  model.header.mutable_preprocessing()->set_resize(
      model::v1::Preprocessing::RESIZE_COVER);
  model.header.mutable_preprocessing()->set_cover_size(12);
  model.header.add_extension()->set_name("ignorable");
  const auto bytes = WriteModel(model.header, model.weights);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_TRUE(testing::ExerciseModel(*bytes).ok());
}

TEST(ReadLimitsTest, CostsAboveTheLimitsAreRefused) {
  const std::string file = TinyModelBytes(MakeTinyModel(testing::kTinyMlp, 1));
  const auto read = [&](const ReadLimits& limits) {
    return ModelFile::Read(AsBytes(file), limits).status();
  };
  // 30*7 + 7*3 multiply-accumulates; 7 u8 and 3 f32 outputs.
  EXPECT_TRUE(read({file.size(), 231, 19}).ok());
  EXPECT_THAT(read({file.size() - 1, 231, 19}).message(),
              HasSubstr("bytes, allowed are"));
  EXPECT_THAT(read({file.size(), 230, 19}).message(),
              HasSubstr("limits.macs: a picture costs 231 multiply-"
                        "accumulates, allowed are 230"));
  EXPECT_THAT(read({file.size(), 231, 18}).message(),
              HasSubstr("limits.activation_bytes: a picture takes 19 bytes, "
                        "allowed are 18"));
}

}  // namespace
}  // namespace tern
