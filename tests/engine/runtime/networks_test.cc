// Whole networks, residual blocks with identity and strided shortcuts among
// them: every table, with the planner's choice and with each kernel forced,
// equals the reference.

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "engine/engine.h"
#include "engine/kernels/kernels.h"
#include "tests/testing/tables_to_test.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using testing::AsBytes;
using testing::MakeTinyModel;
using testing::RandomPicture;

std::string FileOf(const std::string& network) {
  std::ifstream file(TERN_NETWORKS "/" + network + ".textproto");
  EXPECT_TRUE(file) << network;
  std::stringstream text;
  text << file.rdbuf();
  return testing::TinyModelBytes(MakeTinyModel(text.str(), 11));
}

std::shared_ptr<const Model> Load(const std::string& file,
                                  const KernelTable& kernels,
                                  const std::string& conv_kernel) {
  LoadOptions options;
  options.verify_golden = false;
  options.conv_kernel = conv_kernel;
  auto model = Model::Load(AsBytes(file), kernels, options);
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

std::vector<float> LogitsOf(const Model& model, int batch, int threads) {
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < batch; ++i) {
    const auto picture = RandomPicture(model.input(), 50 + i);
    pixels.insert(pixels.end(), picture.begin(), picture.end());
  }
  ThreadPool pool(threads);
  Session session(&pool);
  std::vector<float> logits(std::size_t{1} * batch * model.classes());
  const absl::Status status =
      session.Run(model, pixels, batch, absl::MakeSpan(logits));
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

// The planner's choice, and each kernel of the table.
std::vector<std::string> ForcedKernels(const KernelTable& table) {
  std::vector<std::string> forced = {""};
  for (const ConvKernel* kernel : table.conv) forced.emplace_back(kernel->name);
  return forced;
}

// The kernels that a model's ternary layers run on.
std::set<std::string> KernelsOf(const Model& model) {
  std::set<std::string> kernels;
  for (const StepInfo& step : model.steps()) kernels.insert(step.kernel);
  return kernels;
}

class NetworkTest : public ::testing::TestWithParam<std::string> {};

TEST_P(NetworkTest, EqualsTheReference) {
  const std::string file = FileOf(GetParam());
  const auto reference = Load(file, ReferenceKernels(), "");
  constexpr int kBatch = 3;
  const std::vector<float> expected = LogitsOf(*reference, kBatch, 2);
  const std::vector<float> first(expected.begin(),
                                 expected.begin() + reference->classes());
  for (const KernelTable* table : TablesToTest()) {
    for (const std::string& forced : ForcedKernels(*table)) {
      const auto model = Load(file, *table, forced);
      for (const int threads : {1, 2}) {
        EXPECT_EQ(LogitsOf(*model, kBatch, threads), expected)
            << table->name << " '" << forced << "' threads " << threads;
        // A single picture may run on other kernels.
        EXPECT_EQ(LogitsOf(*model, 1, threads), first)
            << table->name << " '" << forced << "' threads " << threads;
      }
    }
  }
}

// A silent fall-back would leave the equality tests green and the path
// untested.
TEST_P(NetworkTest, AForcedKernelIsTheOneThatRuns) {
  const std::string file = FileOf(GetParam());
  for (const KernelTable* table : TablesToTest()) {
    for (const ConvKernel* forced : table->conv) {
      const std::set<std::string> kernels =
          KernelsOf(*Load(file, *table, std::string(forced->name)));
      EXPECT_EQ(kernels.count(std::string(forced->name)), 1)
          << table->name << " " << forced->name;
      // Winograd alone does not apply to every layer.
      if (forced->name == "winograd") continue;
      for (const ConvKernel* other : table->conv) {
        if (other == forced) continue;
        EXPECT_EQ(kernels.count(std::string(other->name)), 0)
            << table->name << " " << forced->name << " " << other->name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, NetworkTest,
                         ::testing::Values("vgg7", "resnet20", "resnet18"),
                         [](const auto& param_info) {
                           return param_info.param;
                         });

// Sessions share a model's packed weights and nothing else.
TEST(Session, ManyRunOneModelAtTheSameTime) {
  const std::string file = FileOf("resnet20");
  const auto kernels = SelectKernels("auto");
  ASSERT_TRUE(kernels.ok());
  const auto model = Load(file, **kernels, "");
  const std::vector<float> expected = LogitsOf(*model, 4, 1);
  std::vector<std::vector<float>> logits(4);
  {
    ThreadPool owners(4);
    owners.ParallelFor(logits.size(), [&](std::size_t i) {
      for (int round = 0; round < 3; ++round) {
        logits[i] = LogitsOf(*model, 4, static_cast<int>(i % 2) + 1);
      }
    });
  }
  for (const std::vector<float>& actual : logits) EXPECT_EQ(actual, expected);
}

}  // namespace
}  // namespace tern
