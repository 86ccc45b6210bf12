#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/model/model_file.h"
#include "trainer/commands/command.h"
#include "trainer/run/read_file.h"

namespace tern::trainer {
namespace {

using nlohmann::json;

struct InspectCommand {
  std::string model;
  std::string isa;
  bool json = false;
};

std::string OpName(const model::v1::Node& node, const NodeShape& shape) {
  const std::string window = absl::StrCat(shape.kernel_h, "x", shape.kernel_w);
  const std::string stride =
      shape.stride_h == 1 && shape.stride_w == 1
          ? ""
          : absl::StrCat("/", shape.stride_h,
                         shape.stride_h == shape.stride_w
                             ? ""
                             : absl::StrCat("x", shape.stride_w));
  if (node.has_conv2d()) return absl::StrCat("conv2d ", window, stride);
  if (node.has_linear()) return "linear";
  if (node.has_max_pool2d()) return absl::StrCat("max_pool2d ", window, stride);
  if (node.has_avg_pool2d()) return absl::StrCat("avg_pool2d ", window, stride);
  return node.has_flatten() ? "flatten" : "global_avg_pool";
}

std::string ShapeName(const Shape& shape) {
  return absl::StrCat(shape.h, "x", shape.w, "x", shape.c);
}

std::string TypeName(const model::v1::NodeQuantization& quantization) {
  switch (quantization.type()) {
    case model::v1::ELEMENT_TYPE_U8:
      return "u8";
    case model::v1::ELEMENT_TYPE_S16:
      return "s16";
    default:
      return "f32";
  }
}

// Bits that hold every code of the grid, sign included.
int GridBits(const std::vector<std::int16_t>& codes) {
  int largest = 0;
  for (const int code : codes) largest = std::max(largest, std::abs(code));
  int bits = 1;
  while (largest >> (bits - 1) != 0) ++bits;
  return bits;
}

json DescribeWeights(const NodeWeights& weights, std::uint64_t file_bytes) {
  const bool ternary = !weights.ternary.empty();
  const std::size_t count =
      ternary ? weights.ternary.size() : weights.grid.size();
  const auto zeros =
      ternary ? std::count(weights.ternary.begin(), weights.ternary.end(), 0)
              : std::count(weights.grid.begin(), weights.grid.end(), 0);
  return {{"kind", ternary ? "ternary" : "grid"},
          {"count", count},
          {"bits", ternary ? 2 : GridBits(weights.grid)},
          {"sparsity", static_cast<double>(zeros) / static_cast<double>(count)},
          {"file_bytes", file_bytes},
          {"float32_bytes", count * sizeof(float)}};
}

absl::StatusOr<json> DescribeNodes(const ModelFile& file) {
  const model::v1::Header& header = file.header();
  json nodes = json::array();
  for (int i = 0; i < header.graph().node_size(); ++i) {
    const model::v1::Node& node = header.graph().node(i);
    const NodeShape& shape = file.shapes().node[static_cast<std::size_t>(i)];
    const auto name_of = [&](int index) {
      return index == kPictureInput ? "image"
                                    : header.graph().node(index).name();
    };
    json entry = {{"name", node.name()},
                  {"op", OpName(node, shape)},
                  {"input", name_of(shape.input)},
                  {"input_shape", {shape.in.h, shape.in.w, shape.in.c}},
                  {"output_shape", {shape.out.h, shape.out.w, shape.out.c}},
                  {"output_type", TypeName(header.quantization(i))},
                  {"output_scale", header.quantization(i).scale()},
                  {"macs", shape.macs},
                  {"relu", node.activation() == model::v1::ACTIVATION_RELU}};
    if (shape.residual != kNoResidual) {
      entry["residual"] = name_of(shape.residual);
    }
    if (HasWeights(node)) {
      TERN_ASSIGN_OR_RETURN(const NodeWeights weights, file.Weights(i));
      std::uint64_t bytes = 0;
      for (const model::v1::Tensor& tensor : header.tensor()) {
        const bool mine = static_cast<int>(tensor.node()) == i &&
                          tensor.role() == model::v1::TENSOR_ROLE_WEIGHTS;
        if (mine) bytes = tensor.bytes();
      }
      entry["weights"] = DescribeWeights(weights, bytes);
    }
    nodes.push_back(entry);
  }
  return nodes;
}

json DescribeCard(const model::v1::Card& card) {
  json facts = json::object();
  for (const model::v1::Fact& fact : card.fact()) {
    facts[fact.name()] = fact.value();
  }
  json metrics = json::array();
  for (const model::v1::Metric& metric : card.metric()) {
    metrics.push_back({{"name", metric.name()},
                       {"split", metric.split()},
                       {"value", metric.value()}});
  }
  return {{"facts", facts}, {"metrics", metrics}};
}

absl::StatusOr<json> Describe(const ModelFile& file, const Model& model) {
  TERN_ASSIGN_OR_RETURN(const json nodes, DescribeNodes(file));
  json steps = json::array();
  for (const StepInfo& step : model.steps()) {
    steps.push_back({{"nodes", step.nodes},
                     {"kernel", step.kernel},
                     {"packed_bytes", step.packed_bytes}});
  }
  const auto ratio = [&](std::uint64_t bytes) {
    return static_cast<double>(model.float32_bytes()) /
           static_cast<double>(bytes);
  };
  return json{{"name", file.header().name()},
              {"digest", model.digest()},
              {"input",
               {{"height", model.input().height()},
                {"width", model.input().width()},
                {"channels", model.input().channels()}}},
              {"classes", model.classes()},
              {"labels", model.labels()},
              {"weights", file.shapes().weights},
              {"macs", model.macs_per_image()},
              {"file_bytes", model.file_bytes()},
              {"packed_bytes", model.packed_bytes()},
              {"float32_bytes", model.float32_bytes()},
              {"file_ratio", ratio(model.file_bytes())},
              {"packed_ratio", ratio(model.packed_bytes())},
              {"isa", std::string(KernelTableName(model.kernels()))},
              {"nodes", nodes},
              {"steps", steps},
              {"card", DescribeCard(model.card())}};
}

void PrintNode(const ModelFile& file, const json& node, int i) {
  const NodeShape& shape = file.shapes().node[static_cast<std::size_t>(i)];
  std::string weights;
  if (node.contains("weights")) {
    const json& w = node["weights"];
    weights = absl::StrFormat(
        "%s, %d weights, %d bits, %.1f %% zero", w["kind"].get<std::string>(),
        w["count"].get<std::int64_t>(), w["bits"].get<int>(),
        w["sparsity"].get<double>() * 100);
  }
  absl::PrintF("  %-10s %-16s %-11s -> %-11s %-4s %11d  %s%s\n",
               node["name"].get<std::string>(), node["op"].get<std::string>(),
               ShapeName(shape.in), ShapeName(shape.out),
               node["output_type"].get<std::string>(), shape.macs, weights,
               node.contains("residual")
                   ? absl::StrCat(" + ", node["residual"].get<std::string>())
                   : "");
}

void Print(const ModelFile& file, const json& text) {
  absl::PrintF("%s  sha256 %s\n", text["name"].get<std::string>(),
               text["digest"].get<std::string>());
  absl::PrintF("  %-10s %-16s %-11s    %-11s %-4s %11s  weights\n", "node",
               "op", "input", "output", "type", "macs");
  for (int i = 0; i < file.header().graph().node_size(); ++i) {
    PrintNode(file, text["nodes"][static_cast<std::size_t>(i)], i);
  }
  absl::PrintF("kernels (%s):\n", text["isa"].get<std::string>());
  for (const json& step : text["steps"]) {
    absl::PrintF("  %-24s %9d bytes packed  %s\n",
                 step["nodes"].get<std::string>(),
                 step["packed_bytes"].get<std::int64_t>(),
                 step["kernel"].get<std::string>());
  }
  absl::PrintF(
      "file %d bytes (%.1fx smaller than float32), in memory %d (%.1fx), "
      "float32 %d\n",
      text["file_bytes"].get<std::int64_t>(), text["file_ratio"].get<double>(),
      text["packed_bytes"].get<std::int64_t>(),
      text["packed_ratio"].get<double>(),
      text["float32_bytes"].get<std::int64_t>());
  for (const json& metric : text["card"]["metrics"]) {
    absl::PrintF("%s %s %.4f\n", metric["split"].get<std::string>(),
                 metric["name"].get<std::string>(),
                 metric["value"].get<double>());
  }
  for (const auto& [name, value] : text["card"]["facts"].items()) {
    absl::PrintF("%s: %s\n", name, value.get<std::string>());
  }
}

absl::Status Run(const InspectCommand& command) {
  TERN_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model,
                        LoadModel(command.model, command.isa));
  TERN_ASSIGN_OR_RETURN(const std::vector<std::uint8_t> bytes,
                        ReadFile(command.model));
  TERN_ASSIGN_OR_RETURN(const ModelFile file, ModelFile::Read(bytes, {}));
  TERN_ASSIGN_OR_RETURN(const json text, Describe(file, *model));
  if (command.json) {
    std::printf("%s\n", text.dump(2).c_str());
  } else {
    Print(file, text);
  }
  return absl::OkStatus();
}

}  // namespace

Command AddInspect(CLI::App& app) {
  auto command = std::make_shared<InspectCommand>();
  CLI::App* sub = app.add_subcommand(
      "inspect", "Show a .twn file: graph, shapes, bits, sizes, kernels, card");
  sub->add_option("MODEL", command->model, "The .twn file")->required();
  AddIsaOption(sub, &command->isa);
  sub->add_flag("--json", command->json, "Print as JSON");
  return {sub, [] { return absl::OkStatus(); },
          [command] { return Run(*command); }};
}

}  // namespace tern::trainer
