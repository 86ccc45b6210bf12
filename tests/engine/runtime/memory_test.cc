// What a loaded model costs: the slope of this process's memory over many
// loaded copies, after classifying with them.

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "engine/engine.h"
#include "engine/runtime/golden.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using testing::MakeTinyModel;
using testing::RandomPicture;
using testing::TinyModel;

// Anonymous memory only: pages of libraries count by how many other processes
// map them at the moment. Models are read into anonymous memory whole.
double PssBytes() {
  // Free memory that the allocator keeps is not the models'.
  malloc_trim(0);
  std::ifstream file("/proc/self/smaps_rollup");
  std::string word;
  while (file >> word) {
    double kilobytes = 0;
    if (word == "Pss_Anon:" && file >> kilobytes) return 1024 * kilobytes;
  }
  ADD_FAILURE() << "cannot read Pss";
  return 0;
}

// At least `count` pictures.
void Classify(const Model& model, Session& session, int count) {
  constexpr int kBatch = 10;
  const std::vector<std::uint8_t> pixels(kBatch * model.input_bytes(), 100);
  std::vector<float> logits(std::size_t{kBatch} * model.classes());
  for (int done = 0; done < count; done += kBatch) {
    ASSERT_TRUE(
        session.Run(model, pixels, kBatch, absl::MakeSpan(logits)).ok());
  }
}

// float32 bytes of the model for each byte that one more copy of it takes, when
// the copies have classified a thousand pictures.
double BytesSaved(const TinyModel& tiny, int copies) {
  const std::string path =
      ::testing::TempDir() + "/memory_test_" +
      ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".twn";
  {
    const auto file =
        WriteModelWithGolden(tiny.header, tiny.weights, 1,
                             RandomPicture(tiny.header.graph().input(), 1));
    EXPECT_TRUE(file.ok()) << file.status();
    std::ofstream(path, std::ios::binary) << *file;
  }
  const KernelTable& kernels = **SelectKernels("auto");
  ThreadPool pool(1);
  Session session(&pool);
  std::vector<std::shared_ptr<const Model>> models;
  double before = 0;
  // The first copies pay for what all share.
  const int warm_up = 4;
  for (int i = 0; i < copies + warm_up; ++i) {
    if (i == warm_up) before = PssBytes();
    auto model = Model::LoadFile(path, kernels, {});
    EXPECT_TRUE(model.ok()) << model.status();
    Classify(**model, session, (1000 + copies - 1) / copies);
    models.push_back(*std::move(model));
  }
  const double slope = (PssBytes() - before) / copies;
  std::printf("%.0f bytes a copy, packed %llu, float32 %llu\n", slope,
              static_cast<unsigned long long>(models[0]->packed_bytes()),
              static_cast<unsigned long long>(models[0]->float32_bytes()));
  std::remove(path.c_str());
  return static_cast<double>(models[0]->float32_bytes()) / slope;
}

TEST(ModelMemory, ALenet5TakesATwelfthOfFloat32) {
  TinyModel tiny = MakeTinyModel(testing::kLenet5, 1);
  // As the trainer leaves it: a grid layer last.
  model::v1::Graph graph = tiny.header.graph();
  graph.mutable_node(graph.node_size() - 1)
      ->set_weights(model::v1::WEIGHT_KIND_GRID);
  EXPECT_GE(BytesSaved(MakeTinyModel(graph, 1), 100), 12);
}

TEST(ModelMemory, AVgg7TakesAFifteenthOfFloat32) {
  std::ifstream file(TERN_NETWORKS "/vgg7.textproto");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_GE(BytesSaved(MakeTinyModel(text.str(), 1), 30), 15);
}

}  // namespace
}  // namespace tern
