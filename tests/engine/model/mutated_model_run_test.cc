// A resealed file that the reader takes must also load and run: its answers
// are finite and the same bits on every kernel table.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/model/model_format.h"
#include "tests/testing/forged_model.h"
#include "tests/testing/tables_to_test.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using testing::AsBytes;

class MutatedModelRunTest
    : public ::testing::TestWithParam<testing::NamedGraph> {
 protected:
  // Loads and runs the file on one table; empty where it is refused.
  std::vector<float> Run(const std::string& file, const KernelTable& table) {
    LoadOptions options;
    options.verify_golden = false;
    const auto model = Model::Load(AsBytes(file), table, options);
    if (!model.ok()) {
      EXPECT_GT(model.status().message().size(), 10u);
      return {};
    }
    std::vector<std::uint8_t> pictures =
        testing::RandomPicture((*model)->input(), 1);
    pictures.resize(2 * pictures.size(), 0xff);
    std::vector<float> logits(2 *
                              static_cast<std::size_t>((*model)->classes()));
    const absl::Status status =
        session_.Run(**model, pictures, 2, absl::MakeSpan(logits));
    EXPECT_TRUE(status.ok()) << status;
    return logits;
  }

  // Whether the file ran.
  bool AllTablesAgree(const std::string& file) {
    const std::vector<float> expected = Run(file, *tables_.back());
    for (const float logit : expected) EXPECT_TRUE(std::isfinite(logit));
    for (const KernelTable* table : tables_) {
      EXPECT_EQ(Run(file, *table), expected) << KernelTableName(*table);
    }
    return !expected.empty();
  }

  const std::vector<const KernelTable*> tables_ = TablesToTest();
  ThreadPool pool_{1};
  Session session_{&pool_};
};

TEST_P(MutatedModelRunTest, RunsAlikeOnEveryTableOrIsRefused) {
  const std::string file =
      testing::TinyModelBytes(testing::MakeTinyModel(GetParam().graph, 1));
  ASSERT_TRUE(AllTablesAgree(file));
  std::mt19937_64 random(1);
  const auto below = [&](std::size_t n) {
    return static_cast<std::size_t>(random() % n);
  };
  const std::size_t header =
      kModelPrefixBytes + testing::HeaderBytes(file).size();
  int ran = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string mutated = file;
    for (std::size_t flips = 1 + below(4); flips > 0; --flips) {
      // Half of the flips go to the header, half anywhere.
      const std::size_t at =
          below(2) == 0 ? kModelPrefixBytes + below(header - kModelPrefixBytes)
                        : below(file.size());
      mutated[at] ^= static_cast<char>(1 << below(8));
    }
    ran += AllTablesAgree(testing::Reseal(mutated));
    if (HasFailure()) FAIL() << "mutation " << i;
  }
  EXPECT_GT(ran, 20);
}

INSTANTIATE_TEST_SUITE_P(TinyModels, MutatedModelRunTest,
                         ::testing::ValuesIn(testing::TinyGraphs()),
                         [](const auto& param_info) {
                           return std::string(param_info.param.name);
                         });

}  // namespace
}  // namespace tern
