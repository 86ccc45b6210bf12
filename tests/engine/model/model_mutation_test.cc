// Small models with every byte cut off and every bit flipped, as they are and
// with checksums and digest made to match again.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/model/model_file.h"
#include "engine/model/model_format.h"
#include "tests/testing/forged_model.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using testing::ExerciseModel;
using testing::MakeTinyModel;
using testing::Reseal;
using testing::TinyModelBytes;

// The smallest conv2d, linear, pool and residual in one graph.
constexpr std::string_view kSmallest = R"(
  input { height: 2 width: 2 channels: 1 }
  node { name: "a" activation: ACTIVATION_RELU
         conv2d { filters: 2 kernel_h: 1 kernel_w: 1 } }
  node { name: "b" residual: "a" activation: ACTIVATION_RELU
         weights: WEIGHT_KIND_GRID
         conv2d { filters: 2 kernel_h: 1 kernel_w: 1 } }
  node { name: "c" max_pool2d { kernel_h: 2 kernel_w: 1 } }
  node { name: "d" linear { filters: 2 } })";

std::string Smallest() {
  testing::TinyModel model = MakeTinyModel(kSmallest, 1);
  auto* golden = model.header.mutable_card()->mutable_golden();
  golden->set_image("abcd");
  for (int i = 0; i < 4; ++i) golden->add_node_hash(i);
  golden->add_logit(1);
  golden->add_logit(-1);
  auto* metric = model.header.mutable_card()->add_metric();
  metric->set_name("top1");
  metric->set_value(0.5);
  model.header.set_softmax_temperature(1.5);
  auto* extension = model.header.add_extension();
  extension->set_name("note");
  extension->set_value("x");
  return TinyModelBytes(model);
}

void ExpectRefused(const absl::Status& status, const std::string& where) {
  EXPECT_THAT(status.code(), AnyOf(Eq(absl::StatusCode::kInvalidArgument),
                                   Eq(absl::StatusCode::kDataLoss)))
      << where << ": " << status;
  EXPECT_GT(status.message().size(), 10u) << where;
}

TEST(MutationTest, EveryTruncationIsRefused) {
  const std::string file = Smallest();
  ASSERT_TRUE(ExerciseModel(file).ok()) << ExerciseModel(file);
  for (std::size_t size = 0; size < file.size(); ++size) {
    const std::string cut = file.substr(0, size);
    ExpectRefused(ExerciseModel(cut), "cut to " + std::to_string(size));
    ExpectRefused(ExerciseModel(Reseal(cut)),
                  "cut and resealed to " + std::to_string(size));
  }
}

TEST(MutationTest, BytesAfterTheEndAreRefused) {
  const std::string file = Smallest();
  for (std::size_t extra : {1, 31, 32, 64, 1000}) {
    const std::string longer = file + std::string(extra, '\0');
    ExpectRefused(ExerciseModel(longer), std::to_string(extra));
    ExpectRefused(ExerciseModel(Reseal(longer)), std::to_string(extra));
  }
}

TEST(MutationTest, EveryBitFlipIsRefused) {
  const std::string file = Smallest();
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::string flipped = file;
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    ExpectRefused(ExerciseModel(flipped), "bit " + std::to_string(bit));
  }
}

// Some flips give a valid model (another weight, another label); the rest are
// errors. Neither may do harm, which the sanitizers watch.
TEST(MutationTest, EveryResealedBitFlipIsRefusedOrAModel) {
  const std::string file = Smallest();
  const std::size_t area =
      file.size() - kModelDigestBytes - 9 * kModelAlignment;
  int models = 0;
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::string flipped = file;
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    const absl::Status status = ExerciseModel(Reseal(flipped));
    const std::string where = "bit " + std::to_string(bit);
    if (bit < 8 * kModelPrefixBytes) {
      ExpectRefused(status, where);
    } else if (status.ok()) {
      ++models;
    } else {
      ExpectRefused(status, where);
    }
  }
  // Every flip of a section's padding is seen, every flip of a sign bit or of
  // a bias gives a model: neither nothing nor everything passes.
  EXPECT_GT(models, 500);
  EXPECT_LT(models, static_cast<int>(8 * (file.size() - area)));
}

TEST(MutationTest, EveryByteValueInTheHeaderIsRefusedOrAModel) {
  const std::string file = Smallest();
  const std::size_t header = testing::HeaderBytes(file).size();
  for (std::size_t at = kModelPrefixBytes; at < kModelPrefixBytes + header;
       ++at) {
    for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      std::string changed = file;
      changed[at] = static_cast<char>(value);
      const absl::Status status = ExerciseModel(Reseal(changed));
      if (!status.ok()) ExpectRefused(status, "byte " + std::to_string(at));
    }
  }
}

}  // namespace
}  // namespace tern
