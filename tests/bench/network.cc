#include "tests/bench/network.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <tuple>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/ops/geometry.h"

namespace tern::bench {
namespace {

auto Key(const ConvGeometry& g) {
  return std::tie(g.in_h, g.in_w, g.in_c, g.out_h, g.out_w, g.filters,
                  g.kernel_h, g.kernel_w, g.stride_h, g.stride_w);
}

// Taps along one dimension that lie inside the input, over all outputs.
double TapsInside(int in, int out, int kernel, int stride, int pad) {
  double taps = 0;
  for (int o = 0; o < out; ++o) {
    for (int k = 0; k < kernel; ++k) {
      const int at = o * stride + k - pad;
      if (at >= 0 && at < in) ++taps;
    }
  }
  return taps;
}

}  // namespace

absl::StatusOr<Network> ReadNetwork(const std::string& folder,
                                    const std::string& name) {
  const std::string path = folder + "/" + name + ".textproto";
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError("cannot read the network file " + path);
  }
  std::ostringstream text;
  text << file.rdbuf();
  Network network;
  network.name = name;
  TERN_ASSIGN_OR_RETURN(network.graph, ParseGraphText(text.str()));
  TERN_ASSIGN_OR_RETURN(network.shapes, InferShapes(network.graph));
  return network;
}

std::vector<NamedLayer> LayersOf(const Network& network) {
  std::vector<NamedLayer> layers;
  for (int i = 0; i < network.graph.node_size(); ++i) {
    const model::v1::Node& node = network.graph.node(i);
    if (!HasWeights(node)) continue;
    NamedLayer layer;
    layer.network = network.name;
    layer.name = node.name();
    layer.geometry = ConvGeometryOf(node, network.shapes.node[i]);
    const ConvGeometry& g = layer.geometry;
    if (std::any_of(layers.begin(), layers.end(), [&g](const NamedLayer& l) {
          return Key(l.geometry) == Key(g);
        })) {
      continue;
    }
    layer.macs = static_cast<double>(network.shapes.node[i].macs);
    layer.executed_macs =
        TapsInside(g.in_h, g.out_h, g.kernel_h, g.stride_h, g.pad_top) *
        TapsInside(g.in_w, g.out_w, g.kernel_w, g.stride_w, g.pad_left) *
        g.in_c * g.filters;
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace tern::bench
