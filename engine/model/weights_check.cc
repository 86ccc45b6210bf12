#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/model/model_check.h"

namespace tern {
namespace {

// The numbers of one node. Errors name the node, the filter and the value.
class WeightRules {
 public:
  WeightRules(std::string label, const NodeShape& shape)
      : label_(std::move(label)),
        filters_(static_cast<std::size_t>(shape.out.c)),
        filter_size_(static_cast<std::size_t>(shape.filter_size)) {}

  absl::Status Ternary(const NodeWeights& weights) const {
    TERN_RETURN_IF_ERROR(
        Size("ternary", weights.ternary.size(), filters_ * filter_size_));
    TERN_RETURN_IF_ERROR(Size("grid", weights.grid.size(), 0));
    for (std::size_t i = 0; i < weights.ternary.size(); ++i) {
      const std::int8_t code = weights.ternary[i];
      if (code < -1 || code > 1) {
        return Error("ternary[", i, "]: is ", int{code},
                     ", must be -1, 0 or 1");
      }
    }
    return absl::OkStatus();
  }

  absl::Status Grid(const NodeWeights& weights) const {
    TERN_RETURN_IF_ERROR(Size("ternary", weights.ternary.size(), 0));
    TERN_RETURN_IF_ERROR(
        Size("grid", weights.grid.size(), filters_ * filter_size_));
    for (std::size_t k = 0; k < filters_; ++k) {
      std::int64_t magnitude = 0;
      for (std::size_t i = 0; i < filter_size_; ++i) {
        magnitude += std::abs(int{weights.grid[k * filter_size_ + i]});
      }
      if (magnitude > kMaxGridMagnitude) {
        return Error("grid: magnitudes of filter ", k, " sum to ", magnitude,
                     ", must be at most ", kMaxGridMagnitude);
      }
    }
    return absl::OkStatus();
  }

  // The comparisons are such that a NaN fails them.
  absl::Status Epilogue(const NodeWeights& weights) const {
    TERN_RETURN_IF_ERROR(
        Size("multiplier", weights.multiplier.size(), filters_));
    TERN_RETURN_IF_ERROR(Size("bias", weights.bias.size(), filters_));
    for (std::size_t k = 0; k < filters_; ++k) {
      const float multiplier = weights.multiplier[k];
      if (!(multiplier >= 0 && multiplier <= kMaxMultiplier)) {
        return Error("multiplier[", k, "]: is ", multiplier,
                     ", must be 0..2^60");
      }
      const float bias = weights.bias[k];
      if (!(bias >= -kMaxBias && bias <= kMaxBias)) {
        return Error("bias[", k, "]: is ", bias, ", must be -2^100..2^100");
      }
    }
    return absl::OkStatus();
  }

  absl::Status None(const NodeWeights& weights) const {
    TERN_RETURN_IF_ERROR(Size("ternary", weights.ternary.size(), 0));
    TERN_RETURN_IF_ERROR(Size("grid", weights.grid.size(), 0));
    TERN_RETURN_IF_ERROR(Size("multiplier", weights.multiplier.size(), 0));
    return Size("bias", weights.bias.size(), 0);
  }

 private:
  template <typename... Parts>
  absl::Status Error(const Parts&... parts) const {
    return absl::InvalidArgumentError(absl::StrCat(label_, " ", parts...));
  }

  absl::Status Size(absl::string_view field, std::size_t is,
                    std::size_t wanted) const {
    if (is == wanted) return absl::OkStatus();
    return Error(field, ": has ", is, " values, must have ", wanted);
  }

  const std::string label_;
  const std::size_t filters_;
  const std::size_t filter_size_;
};

}  // namespace

absl::Status CheckNodeWeights(const model::v1::Header& header,
                              const GraphShapes& shapes, int node,
                              const NodeWeights& weights) {
  const WeightRules rules(NodeLabel(header.graph(), node), shapes.node[node]);
  switch (header.graph().node(node).weights()) {
    case model::v1::WEIGHT_KIND_TERNARY:
      TERN_RETURN_IF_ERROR(rules.Ternary(weights));
      return rules.Epilogue(weights);
    case model::v1::WEIGHT_KIND_GRID:
      TERN_RETURN_IF_ERROR(rules.Grid(weights));
      return rules.Epilogue(weights);
    default:
      return rules.None(weights);
  }
}

}  // namespace tern
