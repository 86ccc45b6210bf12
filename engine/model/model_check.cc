#include "engine/model/model_check.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"

namespace tern {
namespace {

using model::v1::ElementType;
using model::v1::Header;
using model::v1::NodeQuantization;

template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

bool IsScale(double value) { return value >= kMinScale && value <= kMaxScale; }

constexpr absl::string_view kScaleRange = "must be 2^-40..2^40";

absl::string_view TypeName(ElementType type) {
  switch (type) {
    case model::v1::ELEMENT_TYPE_U8:
      return "U8";
    case model::v1::ELEMENT_TYPE_S16:
      return "S16";
    case model::v1::ELEMENT_TYPE_F32:
      return "F32";
    default:
      return "unspecified";
  }
}

std::uint64_t ElementBytes(ElementType type) {
  switch (type) {
    case model::v1::ELEMENT_TYPE_S16:
      return 2;
    case model::v1::ELEMENT_TYPE_F32:
      return 4;
    default:
      return 1;
  }
}

// Types, scales and weight kinds of the nodes.
class NodeRules {
 public:
  NodeRules(const Header& header, const GraphShapes& shapes)
      : header_(header), shapes_(shapes) {}

  absl::Status Check() {
    for (index_ = 0; index_ < header_.graph().node_size(); ++index_) {
      TERN_RETURN_IF_ERROR(ScaleAndBits());
      TERN_RETURN_IF_ERROR(HasWeights(node()) ? Filters() : Window());
    }
    return absl::OkStatus();
  }

 private:
  const model::v1::Node& node() const { return header_.graph().node(index_); }
  const NodeShape& shape() const { return shapes_.node[index_]; }
  const NodeQuantization& own() const { return header_.quantization(index_); }
  bool is_last() const { return index_ + 1 == header_.graph().node_size(); }

  template <typename... Parts>
  absl::Status Error(const Parts&... parts) const {
    return Invalid(NodeLabel(header_.graph(), index_), ": ", parts...);
  }

  absl::Status WrongType(absl::string_view wanted) const {
    return Error("quantization.type: is ", TypeName(own().type()), ", must be ",
                 wanted);
  }

  absl::Status ScaleAndBits() const {
    const bool is_u8 = own().type() == model::v1::ELEMENT_TYPE_U8;
    if (own().type() == model::v1::ELEMENT_TYPE_F32 ? own().scale() != 0
                                                    : !IsScale(own().scale())) {
      return Error("quantization.scale: is ", own().scale(), ", ",
                   own().type() == model::v1::ELEMENT_TYPE_F32
                       ? "must be unset for F32"
                       : kScaleRange);
    }
    const std::uint32_t max_bits = is_u8 ? 8 : 0;
    if (own().bits() > max_bits) {
      return Error("quantization.bits: is ", own().bits(), ", must be ",
                   is_u8 ? "0..8" : "unset where the type is not U8");
    }
    return absl::OkStatus();
  }

  // Pools and flatten.
  absl::Status Window() const {
    if (is_last()) return Error("op: the logits need conv2d or linear");
    TERN_RETURN_IF_ERROR(ReadsU8());
    if (own().type() != model::v1::ELEMENT_TYPE_U8) {
      return WrongType("U8 for pools and flatten");
    }
    if (node().has_avg_pool2d() || node().has_global_avg_pool()) {
      return absl::OkStatus();
    }
    const NodeQuantization& input = header_.quantization(shape().input);
    if (own().scale() != input.scale()) {
      return Error("quantization.scale: is ", own().scale(),
                   ", must be that of its input, ", input.scale());
    }
    if (own().bits() != input.bits()) {
      return Error("quantization.bits: is ", own().bits(),
                   ", must be that of its input, ", input.bits());
    }
    return absl::OkStatus();
  }

  absl::Status Filters() const {
    TERN_RETURN_IF_ERROR(Kind());
    if (shape().input != kPictureInput) TERN_RETURN_IF_ERROR(ReadsU8());
    const bool relu = node().activation() == model::v1::ACTIVATION_RELU;
    if (is_last()) {
      if (own().type() != model::v1::ELEMENT_TYPE_F32) {
        return WrongType("F32 for the logits");
      }
      if (relu) return Error("activation: the logits have none");
      if (shape().residual != kNoResidual) {
        return Error("residual: the logits have none");
      }
    } else if (relu && own().type() != model::v1::ELEMENT_TYPE_U8) {
      return WrongType("U8 after ReLU");
    } else if (!relu && own().type() != model::v1::ELEMENT_TYPE_S16) {
      return WrongType("S16 without ReLU");
    }
    return absl::OkStatus();
  }

  absl::Status Kind() const {
    if (node().weights() == model::v1::WEIGHT_KIND_UNSPECIFIED) {
      return Error("weights: must be TERNARY or GRID in a model file");
    }
    if (node().weights() == model::v1::WEIGHT_KIND_TERNARY &&
        shape().input == kPictureInput &&
        header_.input_quantization().scale_size() != 1) {
      return Error("weights: ternary weights on the picture need one ",
                   "input_quantization.scale, there are ",
                   header_.input_quantization().scale_size());
    }
    return absl::OkStatus();
  }

  absl::Status ReadsU8() const {
    const ElementType type = header_.quantization(shape().input).type();
    if (type == model::v1::ELEMENT_TYPE_U8) return absl::OkStatus();
    return Error("input: ", NodeLabel(header_.graph(), shape().input),
                 " yields ", TypeName(type),
                 ", must be U8 (S16 is for residuals only)");
  }

  const Header& header_;
  const GraphShapes& shapes_;
  int index_ = 0;
};

absl::Status CheckInputQuantization(const Header& header) {
  const auto& input = header.input_quantization();
  const int channels = static_cast<int>(header.graph().input().channels());
  if (input.scale_size() != 1 && input.scale_size() != channels) {
    return Invalid("input_quantization.scale: has ", input.scale_size(),
                   " values, must have 1 or ", channels);
  }
  for (int i = 0; i < input.scale_size(); ++i) {
    if (!IsScale(input.scale(i))) {
      return Invalid("input_quantization.scale[", i, "]: is ", input.scale(i),
                     ", ", kScaleRange);
    }
  }
  if (input.zero_point_size() != 0 && input.zero_point_size() != channels) {
    return Invalid("input_quantization.zero_point: has ",
                   input.zero_point_size(), " values, must have 0 or ",
                   channels);
  }
  for (int i = 0; i < input.zero_point_size(); ++i) {
    if (input.zero_point(i) > 255) {
      return Invalid("input_quantization.zero_point[", i, "]: is ",
                     input.zero_point(i), ", must be 0..255");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPreprocessing(const Header& header) {
  const auto& preprocessing = header.preprocessing();
  if (preprocessing.resize() == model::v1::Preprocessing::RESIZE_STRETCH) {
    if (preprocessing.cover_size() == 0) return absl::OkStatus();
    return Invalid("preprocessing.cover_size: is ", preprocessing.cover_size(),
                   ", is for RESIZE_COVER only");
  }
  if (preprocessing.resize() != model::v1::Preprocessing::RESIZE_COVER) {
    return Invalid("preprocessing.resize: unknown value ",
                   static_cast<int>(preprocessing.resize()));
  }
  // The upper bound keeps the cost of a picture in proportion to its use.
  const std::uint32_t side =
      std::max(header.graph().input().height(), header.graph().input().width());
  if (preprocessing.cover_size() < side ||
      preprocessing.cover_size() > 4 * side) {
    return Invalid("preprocessing.cover_size: is ", preprocessing.cover_size(),
                   ", must be ", side, "..", 4 * side);
  }
  return absl::OkStatus();
}

absl::Status CheckGolden(const Header& header, const GraphShapes& shapes) {
  if (!header.card().has_golden()) return absl::OkStatus();
  const auto& golden = header.card().golden();
  const auto size = [](absl::string_view field, std::int64_t is,
                       std::int64_t wanted) {
    if (is == wanted) return absl::OkStatus();
    return Invalid("card.golden.", field, ": has ", is, " values, must have ",
                   wanted);
  };
  if (golden.seeded_images() > kMaxSeededGoldenImages) {
    return Invalid("card.golden.seeded_images: is ", golden.seeded_images(),
                   ", must be 0..", kMaxSeededGoldenImages);
  }
  TERN_RETURN_IF_ERROR(size("image",
                            static_cast<std::int64_t>(golden.image().size()),
                            shapes.picture.elements()));
  TERN_RETURN_IF_ERROR(
      size("node_hash", golden.node_hash_size(), header.graph().node_size()));
  TERN_RETURN_IF_ERROR(
      size("logit", golden.logit_size(),
           (std::int64_t{golden.seeded_images()} + 1) * shapes.classes));
  for (int i = 0; i < golden.logit_size(); ++i) {
    if (!std::isfinite(golden.logit(i))) {
      return Invalid("card.golden.logit[", i, "]: is not finite");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCard(const Header& header) {
  for (int i = 0; i < header.card().metric_size(); ++i) {
    if (!std::isfinite(header.card().metric(i).value())) {
      return Invalid("card.metric[", i, "].value: is not finite");
    }
  }
  for (int i = 0; i < header.extension_size(); ++i) {
    const auto& extension = header.extension(i);
    if (extension.name().empty()) {
      return Invalid("extension[", i, "].name: is empty");
    }
    if (extension.critical()) {
      return Invalid("extension[", i, "] '", extension.name(),
                     "': is critical and unknown to this version");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GraphShapes> CheckHeader(const Header& header) {
  TERN_ASSIGN_OR_RETURN(GraphShapes shapes, InferShapes(header.graph()));
  TERN_RETURN_IF_ERROR(CheckInputQuantization(header));
  if (header.quantization_size() != header.graph().node_size()) {
    return Invalid("quantization: has ", header.quantization_size(),
                   " entries, must have one for each of ",
                   header.graph().node_size(), " nodes");
  }
  TERN_RETURN_IF_ERROR(NodeRules(header, shapes).Check());
  if (header.label_size() != 0 && header.label_size() != shapes.classes) {
    return Invalid("label: has ", header.label_size(),
                   " entries, must have 0 or ", shapes.classes);
  }
  TERN_RETURN_IF_ERROR(CheckPreprocessing(header));
  TERN_RETURN_IF_ERROR(CheckGolden(header, shapes));
  TERN_RETURN_IF_ERROR(CheckCard(header));
  const double temperature = header.softmax_temperature();
  if (temperature != 0 &&
      !(temperature >= kMinTemperature && temperature <= kMaxTemperature)) {
    return Invalid("softmax_temperature: is ", temperature,
                   ", must be unset or 1e-6..1e6");
  }
  return shapes;
}

model::v1::Limits ComputeLimits(const Header& header,
                                const GraphShapes& shapes) {
  std::uint64_t activation_bytes = 0;
  for (int i = 0; i < header.quantization_size(); ++i) {
    activation_bytes +=
        static_cast<std::uint64_t>(shapes.node[i].out.elements()) *
        ElementBytes(header.quantization(i).type());
  }
  model::v1::Limits limits;
  limits.set_macs(static_cast<std::uint64_t>(shapes.macs));
  limits.set_activation_bytes(activation_bytes);
  limits.set_float32_bytes(
      static_cast<std::uint64_t>(shapes.weights + shapes.filters) *
      sizeof(float));
  return limits;
}

}  // namespace tern
