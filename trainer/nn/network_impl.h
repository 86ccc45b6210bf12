// The parts of a Network and how they are put together. Private to trainer/nn.

#ifndef TERN_TRAINER_NN_NETWORK_IMPL_H_
#define TERN_TRAINER_NN_NETWORK_IMPL_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "trainer/nn/batch_norm_op.h"
#include "trainer/nn/network.h"
#include "trainer/nn/product_op.h"
#include "trainer/nn/simple_ops.h"

namespace tern::trainer {

class Network::Impl {
 public:
  // What a node became. Ops are owned by `ops`.
  struct NodeOps {
    TensorSlot* output = nullptr;
    ProductOp* product = nullptr;
    // kFolded: the affine.
    BatchNormOp* batch_norm = nullptr;
    bool observed = false;
    // The node whose range gives this one's scale; -1: not a u8 tensor.
    int range_owner = -1;
    // ReLU and rounding move behind the max pool that alone reads this node:
    // they commute with the maximum, and there are fewer elements there.
    bool activation_after_pool = false;
  };

  Impl(model::v1::Graph graph_in, GraphShapes shapes_in,
       NetworkOptions options_in)
      : graph(std::move(graph_in)),
        shapes(std::move(shapes_in)),
        options(std::move(options_in)),
        shards(options.shards, options.shard_batch),
        node(shapes.node.size()),
        range(shapes.node.size()) {}

  absl::Status Build();

  model::v1::Graph graph;
  GraphShapes shapes;
  NetworkOptions options;
  Shards shards;
  std::unique_ptr<TensorSlot> picture;
  std::vector<std::unique_ptr<Op>> ops;
  // All but the picture.
  std::vector<TensorSlot*> slots;
  std::vector<NodeOps> node;
  std::vector<ActivationRange> range;
  // Activations that are rounded to u8.
  std::vector<ActivationOp*> rounded;
  TensorSlot* logits = nullptr;

 private:
  template <typename T, typename... Args>
  T* Add(Args&&... args);
  // The same for ops that make a new tensor.
  template <typename T, typename... Args>
  T* AddWithOutput(Args&&... args);

  bool IsLast(int i) const { return i + 1 == static_cast<int>(node.size()); }
  void FindMovedActivations();
  absl::Status BuildProduct(int i);
  absl::Status BuildPool(int i);
  void AddActivation(int i, TensorSlot* tensor);
  absl::Status AddResidual(int i, TensorSlot* tensor);
  TensorSlot* InputOf(int i);
  TensorSlot* AsVector(TensorSlot* tensor);
  bool folded() const { return options.form == Form::kFolded; }
  float ScaleOf(int i) const {
    return options.output_scale[static_cast<std::size_t>(i)];
  }
};

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NN_NETWORK_IMPL_H_
