// A network on oneDNN, the peer: own weights for every layer, real chain of
// activations, fused ReLU and residual add, one thread.

#ifndef TERN_TESTS_BENCH_ONEDNN_NETWORK_H_
#define TERN_TESTS_BENCH_ONEDNN_NETWORK_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/kernels/conv.h"
#include "tests/bench/network.h"

namespace tern::bench {

enum class Peer { kInt8Direct, kInt8Winograd, kF32 };

// "onednn_int8_direct", "onednn_int8_winograd", "onednn_f32".
std::string_view PeerName(Peer peer);

enum class PeerOp { kConv, kMaxPool, kGlobalAverage };

struct PeerNode {
  PeerOp op = PeerOp::kConv;
  ConvGeometry geometry;  // of pools as well
  int input = -1;         // node, or -1: the picture
  int residual = -1;
  bool is_linear = false;
  bool relu = false;
};

class OneDnnNetwork {
 public:
  // kInt8Winograd takes Winograd for 3x3 stride-1 layers and direct elsewhere.
  // UNIMPLEMENTED where oneDNN has no implementation.
  static absl::StatusOr<std::unique_ptr<OneDnnNetwork>> Build(
      const std::vector<PeerNode>& nodes, int batch, Peer peer);
  ~OneDnnNetwork();

  void Run();

  // What oneDNN calls the implementation of the first convolution.
  const std::string& implementation() const;

 private:
  class Impl;
  explicit OneDnnNetwork(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

std::vector<PeerNode> PeerNodesOf(const Network& network);
PeerNode PeerNodeOf(const ConvGeometry& geometry);

}  // namespace tern::bench

#endif  // TERN_TESTS_BENCH_ONEDNN_NETWORK_H_
