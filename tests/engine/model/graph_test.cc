#include "engine/model/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<GraphShapes> Infer(const std::string& text) {
  const auto graph = ParseGraphText(text);
  EXPECT_TRUE(graph.ok()) << graph.status() << text;
  if (!graph.ok()) return graph.status();
  return InferShapes(*graph);
}

TEST(InferShapesTest, Lenet5) {
  const auto shapes = Infer(std::string(testing::kLenet5));
  ASSERT_TRUE(shapes.ok()) << shapes.status();
  EXPECT_EQ(shapes->picture, (Shape{28, 28, 1}));
  const std::vector<Shape> expected = {{24, 24, 32}, {12, 12, 32}, {8, 8, 64},
                                       {4, 4, 64},   {1, 1, 512},  {1, 1, 10}};
  ASSERT_EQ(shapes->node.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(shapes->node[i].out, expected[i]) << i;
    EXPECT_EQ(shapes->node[i].input, static_cast<int>(i) - 1);
    EXPECT_EQ(shapes->node[i].residual, kNoResidual);
  }
  EXPECT_EQ(shapes->node[2].filter_size, 5 * 5 * 32);
  EXPECT_EQ(shapes->node[2].macs, 8 * 8 * 64 * 800);
  EXPECT_EQ(shapes->node[4].filter_size, 1024);
  EXPECT_EQ(shapes->node[1].macs, 0);
  EXPECT_EQ(shapes->classes, 10);
  EXPECT_EQ(shapes->filters, 32 + 64 + 512 + 10);
  EXPECT_EQ(shapes->weights, 25 * 32 + 800 * 64 + 1024 * 512 + 512 * 10);
  EXPECT_EQ(shapes->macs,
            24 * 24 * 25 * 32 + 8 * 8 * 64 * 800 + 1024 * 512 + 512 * 10);
}

TEST(InferShapesTest, ResidualsAndNamedInputs) {
  const auto shapes = Infer(std::string(testing::kTinyResidual));
  ASSERT_TRUE(shapes.ok()) << shapes.status();
  EXPECT_EQ(shapes->node[2].residual, 0);
  EXPECT_EQ(shapes->node[3].input, 2);
  EXPECT_EQ(shapes->node[4].input, 2);
  EXPECT_EQ(shapes->node[5].residual, 3);
  EXPECT_EQ(shapes->node[3].out, (Shape{4, 4, 9}));
  EXPECT_EQ(shapes->node[4].stride_h, 2);
  EXPECT_EQ(shapes->node[6].kernel_h, 4);
  EXPECT_EQ(shapes->node[6].out, (Shape{1, 1, 9}));
}

// Positions of a window along one axis, counted one by one.
int CountPositions(int in, int kernel, int stride, int before, int after) {
  int count = 0;
  for (int start = -before; start + kernel <= in + after; start += stride) {
    ++count;
  }
  return count;
}

TEST(InferShapesTest, WindowsAreCountedRight) {
  std::mt19937 random(1);
  const auto draw = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  int valid = 0;
  for (int i = 0; i < 2000; ++i) {
    const int h = draw(1, 12), w = draw(1, 12), kh = draw(1, 5),
              kw = draw(1, 5), sh = draw(1, 4), sw = draw(1, 4);
    const int top = draw(0, kh - 1), bottom = draw(0, kh - 1),
              left = draw(0, kw - 1), right = draw(0, kw - 1);
    const std::string window =
        absl::StrCat("kernel_h:", kh, " kernel_w:", kw, " stride_h:", sh,
                     " stride_w:", sw, " padding{top:", top, " bottom:", bottom,
                     " left:", left, " right:", right, "}");
    const auto shapes = Infer(absl::Substitute(
        R"(input { height: $0 width: $1 channels: 3 }
           node { name: "one" conv2d { filters: 2 kernel_h: 1 kernel_w: 1 } }
           node { name: "conv" conv2d { filters: 4 $2 } }
           node { name: "pool" input: "one" max_pool2d { $2 } }
           node { name: "sum" input: "pool" residual: "conv"
                  conv2d { filters: 4 kernel_h: 1 kernel_w: 1 } }
           node { name: "logits" linear { filters: 5 } })",
        h, w, window));
    const int out_h = CountPositions(h, kh, sh, top, bottom);
    const int out_w = CountPositions(w, kw, sw, left, right);
    ASSERT_EQ(shapes.ok(), out_h > 0 && out_w > 0) << window;
    if (!shapes.ok()) continue;
    ++valid;
    ASSERT_EQ(shapes->node[1].out, (Shape{out_h, out_w, 4})) << window;
    ASSERT_EQ(shapes->node[2].out, (Shape{out_h, out_w, 2})) << window;
    ASSERT_EQ(shapes->node[1].macs, 8L * out_h * out_w * kh * kw) << window;
  }
  EXPECT_GT(valid, 1000);
}

struct BadGraph {
  std::string name;
  // Follows a 10x10x3 picture and a conv "a" (8 filters 3x3, ReLU).
  std::string nodes;
  std::string message;
};

const std::vector<BadGraph>& BadGraphs() {
  static const auto* const graphs = new std::vector<BadGraph>{
      {"NoName", "node { linear { filters: 1 } }",
       "graph.node[1]: name: is '', must be [A-Za-z0-9_.-]{1,64}"},
      {"BadName", R"(node { name: "a b\n" linear { filters: 1 } })",
       R"(graph.node[1]: name: is 'a b\n', must be)"},
      {"LongName",
       absl::StrCat("node { name: '", std::string(65, 'x'),
                    "' linear { filters: 1 } }"),
       "x...', must be [A-Za-z0-9_.-]{1,64}"},
      {"PicturesName", "node { name: 'image' linear { filters: 1 } }",
       "graph.node[1] 'image': name: 'image' is the picture's own name"},
      {"NameTwice", "node { name: 'a' linear { filters: 1 } }",
       "graph.node[1] 'a': name: is the name of graph.node[0] already"},
      {"NoOp", "node { name: 'b' }", "graph.node[1] 'b': op: is not set"},
      {"UnknownInput", "node { name: 'b' input: 'x' linear { filters: 1 } }",
       "graph.node[1] 'b': input: no node 'x' before this one"},
      {"LaterInput",
       "node { name: 'b' input: 'c' linear { filters: 1 } }"
       "node { name: 'c' linear { filters: 1 } }",
       "graph.node[1] 'b': input: no node 'c' before this one"},
      {"OwnInput", "node { name: 'b' input: 'b' linear { filters: 1 } }",
       "graph.node[1] 'b': input: no node 'b' before this one"},
      {"PoolReadsPicture",
       "node { name: 'b' input: 'image' flatten {} }"
       "node { name: 'c' linear { filters: 1 } }",
       "graph.node[1] 'b': input: only conv2d and linear may read the picture"},
      {"ResidualOfPicture",
       "node { name: 'b' residual: 'image' linear { filters: 1 } }",
       "graph.node[1] 'b': residual: no node 'image' before this one"},
      {"ResidualShape",
       "node { name: 'b' residual: 'a' conv2d { filters: 9 kernel_h: 1 "
       "kernel_w: 1 } } node { name: 'c' linear { filters: 1 } }",
       "graph.node[1] 'b': residual: node 'a' yields 8x8x8, must be 8x8x9"},
      {"ResidualOfPool", "node { name: 'b' residual: 'a' flatten {} }",
       "graph.node[1] 'b': residual: is for conv2d and linear only"},
      {"ActivationOfPool",
       "node { name: 'b' activation: ACTIVATION_RELU global_avg_pool {} }",
       "graph.node[1] 'b': activation: is for conv2d and linear only"},
      {"BatchNormOfPool", "node { name: 'b' batch_norm: true flatten {} }",
       "graph.node[1] 'b': batch_norm: is for conv2d and linear only"},
      {"WeightsOfPool",
       "node { name: 'b' weights: WEIGHT_KIND_TERNARY flatten {} }",
       "graph.node[1] 'b': weights: is for conv2d and linear only"},
      {"NoFilters", "node { name: 'b' linear {} }",
       "graph.node[1] 'b': linear.filters: is 0, must be 1..2147483647"},
      {"ConvNoFilters", "node { name: 'b' conv2d { kernel_h: 1 kernel_w: 1 } }",
       "graph.node[1] 'b': conv2d.filters: is 0, must be 1..2147483647"},
      {"NoKernel", "node { name: 'b' conv2d { filters: 1 kernel_w: 1 } }",
       "graph.node[1] 'b': conv2d.kernel_h: is 0, must be 1..256"},
      {"HugeKernel",
       "node { name: 'b' conv2d { filters: 1 kernel_h: 1 kernel_w: 4294967295 "
       "padding { left: 4294967295 right: 4294967295 } } }",
       "graph.node[1] 'b': conv2d.kernel_w: is 4294967295, must be 1..256"},
      {"HugeStride",
       "node { name: 'b' conv2d { filters: 1 kernel_h: 1 kernel_w: 1 "
       "stride_w: 257 } }",
       "graph.node[1] 'b': conv2d.stride_w: is 257, must be 1..256"},
      {"PaddingOfTheKernelsSize",
       "node { name: 'b' conv2d { filters: 1 kernel_h: 3 kernel_w: 3 "
       "padding { bottom: 3 } } }",
       "graph.node[1] 'b': conv2d.padding.bottom: is 3, must be 0..2"},
      {"PaddingWraps",
       "node { name: 'b' max_pool2d { kernel_h: 3 kernel_w: 3 "
       "padding { left: 4294967295 } } }",
       "graph.node[1] 'b': max_pool2d.padding.left: is 4294967295, must be "
       "0..2"},
      {"KernelTooLarge",
       "node { name: 'b' avg_pool2d { kernel_h: 9 kernel_w: 8 } }",
       "graph.node[1] 'b': avg_pool2d.kernel_h: is 9, but the padded input has "
       "only 8"},
      {"Groups",
       "node { name: 'b' conv2d { filters: 1 kernel_h: 1 kernel_w: 1 groups: 2 "
       "} }",
       "graph.node[1] 'b': conv2d.groups: is 2, only one is supported"},
      {"HugeFilters", "node { name: 'b' linear { filters: 4294967295 } }",
       "linear.filters: is 4294967295, must be 1..2147483647"},
      {"HugeWeights", "node { name: 'b' linear { filters: 2147483647 } }",
       "graph.node[1] 'b': weights: 2147483647 filters of 512 weights are more "
       "than 2147483647"},
      {"HugeOutput",
       "node { name: 'b' conv2d { filters: 100000000 kernel_h: 1 kernel_w: 1 } "
       "}",
       "graph.node[1] 'b': output: 8x8x100000000 has more than 2147483647"},
      {"LastIsNoVector",
       "node { name: 'b' conv2d { filters: 4 kernel_h: 1 kernel_w: 1 } }",
       "graph.node[1] 'b': output: the last node yields 8x8x4, must be 1x1x1.."
       "65536 logits"},
      {"TooManyClasses", "node { name: 'b' linear { filters: 65537 } }",
       "output: the last node yields 1x1x65537"},
      {"NobodyReads",
       "node { name: 'b' linear { filters: 4 } }"
       "node { name: 'c' input: 'a' linear { filters: 4 } }",
       "graph.node[1] 'b': output: is read by no node"},
  };
  return *graphs;
}

class BadGraphTest : public ::testing::TestWithParam<std::string> {};

TEST_P(BadGraphTest, ErrorNamesNodeAndField) {
  for (const BadGraph& bad : BadGraphs()) {
    if (bad.name != GetParam()) continue;
    const auto shapes = Infer(absl::StrCat(
        "input { height: 10 width: 10 channels: 3 } node { name: 'a' "
        "activation: ACTIVATION_RELU "
        "conv2d { filters: 8 kernel_h: 3 kernel_w: 3 } }",
        bad.nodes));
    EXPECT_EQ(shapes.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(shapes.status().message(), HasSubstr(bad.message));
  }
}

std::vector<std::string> BadNames() {
  std::vector<std::string> names;
  for (const BadGraph& bad : BadGraphs()) names.push_back(bad.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Graphs, BadGraphTest, ::testing::ValuesIn(BadNames()),
                         [](const auto& param_info) {
                           return param_info.param;
                         });

TEST(InferShapesTest, PicturesAreBounded) {
  const auto message = [](std::string_view input) {
    return std::string(
        Infer(absl::StrCat("input { ", std::string(input),
                           " } node { name: 'a' linear { filters: 1 } }"))
            .status()
            .message());
  };
  EXPECT_EQ(message("height: 0 width: 1 channels: 1"),
            "graph.input.height: is 0, must be 1..32768");
  EXPECT_EQ(message("height: 1 width: 4294967295 channels: 1"),
            "graph.input.width: is 4294967295, must be 1..32768");
  EXPECT_EQ(message("height: 1 width: 1 channels: 2"),
            "graph.input.channels: is 2, must be 1 or 3");
  EXPECT_EQ(message("height: 32768 width: 32768 channels: 3"),
            "graph.input: 32768x32768x3 has more than 2147483647 elements");
}

TEST(InferShapesTest, NodesAndCostAreBounded) {
  EXPECT_EQ(
      Infer("input { height: 1 width: 1 channels: 1 }").status().message(),
      "graph.node: has 0 nodes, must have 1..4096");
  std::string chain = "input { height: 1024 width: 1024 channels: 1 }";
  for (int i = 0; i < 30; ++i) {
    absl::StrAppend(&chain, "node { name: 'c", i,
                    "' conv2d { filters: 100 kernel_h: 3 kernel_w: 3 padding { "
                    "top: 1 bottom: 1 left: 1 right: 1 } } }");
  }
  // 900 MMAC for the first, 94 GMAC for each later one: the 13th is too much.
  EXPECT_EQ(Infer(chain).status().message(),
            "graph.node[12] 'c12': cost: the graph needs more than "
            "1099511627776 multiply-accumulates a picture");

  model::v1::Graph graph;
  *graph.mutable_input() =
      testing::MakeTinyModel(testing::kTinyMlp, 1).header.graph().input();
  for (int i = 0; i < 4097; ++i) {
    auto* node = graph.add_node();
    node->set_name(absl::StrCat("n", i));
    node->mutable_linear()->set_filters(1);
  }
  EXPECT_EQ(InferShapes(graph).status().message(),
            "graph.node: has 4097 nodes, must have 1..4096");
  graph.mutable_node()->RemoveLast();
  EXPECT_TRUE(InferShapes(graph).ok());
}

TEST(InferShapesTest, GlobalPoolMapsAreBounded) {
  const auto infer = [](int side) {
    return Infer(absl::Substitute(
        "input { height: $0 width: $0 channels: 1 }"
        "node { name: 'a' conv2d { filters: 1 kernel_h: 1 kernel_w: 1 } }"
        "node { name: 'b' global_avg_pool {} }"
        "node { name: 'c' linear { filters: 2 } }",
        side));
  };
  EXPECT_TRUE(infer(256).ok());
  EXPECT_THAT(infer(257).status().message(),
              HasSubstr("graph.node[1] 'b': global_avg_pool input map: is "
                        "66049, must be 1..65536"));
}

TEST(ParseGraphTextTest, ErrorsSayLineAndColumn) {
  const auto bad = ParseGraphText("input { height: 1 }\nnode { nme: 'a' }");
  EXPECT_EQ(bad.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(bad.status().message(),
              HasSubstr("network text: line 2, column 11: "));
  EXPECT_FALSE(ParseGraphText("input { height: -1 }").ok());
  EXPECT_FALSE(ParseGraphText("node { weights: WEIGHT_KIND_FIVE }").ok());
}

}  // namespace
}  // namespace tern
