// Model files of old format versions read, load and answer as when they were
// written (README.md).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/model/model_file.h"
#include "engine/runtime/golden.h"
#include "tests/testing/forged_model.h"
#include "tests/testing/tables_to_test.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using testing::AsBytes;

const std::string kFolder = TERN_SOURCE_DIR "/tests/golden/v1/";

struct GoldenFile {
  std::string digest;
  std::string name;
};

std::vector<GoldenFile> GoldenFiles() {
  std::vector<GoldenFile> files;
  std::ifstream sums(kFolder + "SHA256SUMS");
  for (GoldenFile file; sums >> file.digest >> file.name;) {
    files.push_back(file);
  }
  return files;
}

std::string Content(const std::string& name) {
  std::ifstream in(kFolder + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(GoldenFilesTest, AreThere) { EXPECT_GE(GoldenFiles().size(), 4u); }

TEST(GoldenFilesTest, AreWhatWasFirstWrittenAndRead) {
  for (const GoldenFile& golden : GoldenFiles()) {
    const std::string bytes = Content(golden.name);
    const auto file = ModelFile::Read(AsBytes(bytes), ReadLimits());
    ASSERT_TRUE(file.ok()) << golden.name << ": " << file.status();
    EXPECT_EQ(file->digest(), golden.digest) << golden.name;
    EXPECT_TRUE(testing::ExerciseModel(bytes).ok()) << golden.name;
  }
}

TEST(GoldenFilesTest, AnswerOnEveryTableAsTheFileSays) {
  for (const GoldenFile& golden : GoldenFiles()) {
    const std::string bytes = Content(golden.name);
    const auto file = ModelFile::Read(AsBytes(bytes), ReadLimits());
    ASSERT_TRUE(file.ok()) << golden.name << ": " << file.status();
    const auto& stated = file->header().card().golden();
    for (const KernelTable* table : TablesToTest()) {
      const auto model = Model::Load(AsBytes(bytes), *table, {});
      ASSERT_TRUE(model.ok()) << golden.name << ": " << model.status();
      const std::vector<std::uint8_t> pictures =
          GoldenPictures(stated, (*model)->input_bytes());
      std::vector<float> logits(stated.logit_size());
      ThreadPool pool(1);
      Session session(&pool);
      ASSERT_TRUE(session
                      .Run(**model, pictures,
                           static_cast<int>(stated.seeded_images()) + 1,
                           absl::MakeSpan(logits))
                      .ok());
      EXPECT_THAT(logits, ::testing::ElementsAreArray(stated.logit()))
          << golden.name << " on " << table->name;
    }
  }
}

TEST(GoldenFilesTest, TheHeaderOfAllFeaturesIsKept) {
  const std::string bytes = Content("conv.twn");
  const auto file = ModelFile::Read(AsBytes(bytes), ReadLimits());
  ASSERT_TRUE(file.ok()) << file.status();
  const model::v1::Header& header = file->header();
  EXPECT_EQ(header.name(), "conv");
  EXPECT_EQ(header.softmax_temperature(), 1.5);
  EXPECT_EQ(header.quantization(0).bits(), 5u);
  EXPECT_EQ(header.preprocessing().cover_size(), 12u);
  EXPECT_EQ(header.card().fact(0).value(), "2026");
  EXPECT_EQ(header.card().metric(0).value(), 0.25);
  EXPECT_EQ(header.extension(0).name(), "note");
  EXPECT_EQ(header.label(3), "class 3");
}

}  // namespace
}  // namespace tern
