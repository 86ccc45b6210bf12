// PoolOp: max, average (padding counts as zeros) and global average pooling.

#ifndef TERN_TRAINER_NN_POOL_OP_H_
#define TERN_TRAINER_NN_POOL_OP_H_

#include <vector>

#include "engine/model/graph.h"
#include "trainer/nn/dnnl_support.h"
#include "trainer/nn/op.h"

namespace tern::trainer {

class PoolOp : public Op {
 public:
  // The window is shape's kernel, stride and padding.
  PoolOp(const NodeShape& shape, bool max, TensorSlot* input, Shards* shards);

  TensorSlot* output() { return &output_; }

  void Forward(int shard, Pass pass) override;
  void Backward(int shard) override;

 private:
  struct Kernels {
    Kernel forward;
    Kernel backward;
    dnnl::memory::desc output;
    dnnl::memory::desc workspace;
    Kernels(const NodeShape& shape, bool max, const dnnl::memory::desc& input,
            Shards* shards, bool train);
  };

  TensorSlot* const input_;
  const Kernels kernels_;
  TensorSlot output_;
  std::vector<dnnl::memory> workspace_;  // where each maximum was
};

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NN_POOL_OP_H_
