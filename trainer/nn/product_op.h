// ProductOp: conv2d and linear, with quantised weights.

#ifndef TERN_TRAINER_NN_PRODUCT_OP_H_
#define TERN_TRAINER_NN_PRODUCT_OP_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/model/graph.h"
#include "trainer/nn/dnnl_support.h"
#include "trainer/nn/op.h"
#include "trainer/nn/quantizer.h"

namespace tern::trainer {

// The numbers of one conv2d or linear node. Filters outermost (OHWI).
struct ProductWeights {
  WeightQuantizer quantizer = WeightQuantizer::kFloat;
  ScalePer scale_per = ScalePer::kFilter;
  Parameter latent;
  // Empty where batch norm or an affine follows.
  Parameter bias;
  // Of the last PrepareStep: weight = codes * scale.
  std::vector<float> codes;
  std::vector<float> scale;
};

struct ProductOptions {
  bool linear = false;
  bool with_bias = false;
  bool train = false;
};

class ProductOp : public Op {
 public:
  // `input` holds batch x in.c x in.h x in.w in any layout (linear: plain
  // batch x in.elements(), rows of NHWC). oneDNN chooses the output's layout.
  ProductOp(const std::string& name, const NodeShape& shape,
            const ProductOptions& options, TensorSlot* input, Shards* shards);
  ~ProductOp() override;

  ProductWeights& weights() { return weights_; }
  TensorSlot* output() { return &output_; }

  void PrepareStep(ThreadPool& pool) override;
  void Forward(int shard, Pass pass) override;
  void Backward(int shard) override;
  void FinishStep(ThreadPool& pool) override;

 private:
  struct Kernels;

  void Quantize(ThreadPool& pool);

  const ProductOptions options_;
  TensorSlot* const input_;
  Shards* const shards_;
  const std::unique_ptr<Kernels> kernels_;
  TensorSlot output_;
  ProductWeights weights_;
  std::vector<float> effective_;
  dnnl::memory plain_;  // a view of effective_
  dnnl::memory forward_weights_;
  dnnl::memory backward_weights_;
  dnnl::memory bias_;
  // For each shard.
  std::vector<dnnl::memory> weight_gradient_;
  std::vector<dnnl::memory> bias_gradient_;
};

}  // namespace tern::trainer

#endif  // TERN_TRAINER_NN_PRODUCT_OP_H_
