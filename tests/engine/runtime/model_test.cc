// Models from file bytes to logits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <thread>

#include "engine/engine.h"
#include "engine/kernels/kernels.h"
#include "engine/runtime/golden.h"
#include "tests/testing/tables_to_test.h"
#include "tests/testing/tiny_model.h"

// From libgomp, declared here because clang has no omp.h of its own.
extern "C" void omp_set_num_threads(int);

namespace tern {
namespace {

using tern::testing::AsBytes;
using tern::testing::MakeTinyModel;
using tern::testing::NamedGraph;
using tern::testing::RandomPicture;
using tern::testing::TinyGraphs;
using tern::testing::TinyModel;
using ::testing::HasSubstr;

std::string FileOf(const TinyModel& model) {
  const auto file =
      WriteModelWithGolden(model.header, model.weights, 42,
                           RandomPicture(model.header.graph().input(), 7));
  EXPECT_TRUE(file.ok()) << file.status();
  return *file;
}

std::shared_ptr<const Model> LoadOrDie(const std::string& file,
                                       const KernelTable& kernels) {
  auto model = Model::Load(AsBytes(file), kernels, {});
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

std::vector<std::uint8_t> Pictures(const Model& model, int count) {
  std::vector<std::uint8_t> pictures;
  for (int i = 0; i < count; ++i) {
    const auto picture = RandomPicture(model.input(), 100 + i);
    pictures.insert(pictures.end(), picture.begin(), picture.end());
  }
  return pictures;
}

std::vector<float> Logits(const Model& model,
                          absl::Span<const std::uint8_t> pictures, int threads,
                          int batch) {
  ThreadPool pool(threads);
  Session session(&pool);
  const std::size_t count = pictures.size() / model.input_bytes();
  std::vector<float> logits(count * model.classes());
  for (std::size_t i = 0; i < count; i += batch) {
    const std::size_t n = std::min<std::size_t>(batch, count - i);
    const absl::Status status = session.Run(
        model,
        pictures.subspan(i * model.input_bytes(), n * model.input_bytes()),
        static_cast<int>(n),
        absl::MakeSpan(logits).subspan(i * model.classes(),
                                       n * model.classes()));
    EXPECT_TRUE(status.ok()) << status;
  }
  return logits;
}

class EveryTinyModel : public ::testing::TestWithParam<NamedGraph> {};

TEST_P(EveryTinyModel, AnswersAlikeForAllTablesBatchesAndThreads) {
  const std::string file = FileOf(MakeTinyModel(GetParam().graph, 3));
  const auto reference = LoadOrDie(file, ReferenceKernels());
  const std::vector<std::uint8_t> pictures = Pictures(*reference, 33);
  const std::vector<float> expected = Logits(*reference, pictures, 1, 1);
  for (const KernelTable* table : TablesToTest()) {
    const auto model = LoadOrDie(file, *table);
    for (const int threads : {1, 2, 4}) {
      for (const int batch : {1, 2, 7, 8, 9, 33}) {
        EXPECT_EQ(Logits(*model, pictures, threads, batch), expected)
            << table->name << " threads " << threads << " batch " << batch;
      }
    }
  }
}

TEST_P(EveryTinyModel, GoldenFailureNamesTheNode) {
  const TinyModel tiny = MakeTinyModel(GetParam().graph, 3);
  const auto file =
      WriteModelWithGolden(tiny.header, tiny.weights, 42,
                           RandomPicture(tiny.header.graph().input(), 7));
  ASSERT_TRUE(file.ok());
  const auto read = ModelFile::Read(AsBytes(*file), {});
  ASSERT_TRUE(read.ok());
  model::v1::Header header = read->header();
  for (int i = 0; i < header.graph().node_size(); ++i) {
    model::v1::Header changed = header;
    changed.mutable_card()->mutable_golden()->set_node_hash(
        i, header.card().golden().node_hash(i) ^ 1);
    const auto bytes = WriteModel(changed, tiny.weights);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    const auto model = Model::Load(AsBytes(*bytes), ReferenceKernels(), {});
    EXPECT_EQ(model.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(model.status().message()),
                HasSubstr("'" + header.graph().node(i).name() +
                          "' is the first whose output differs"));
  }
}

INSTANTIATE_TEST_SUITE_P(Graphs, EveryTinyModel,
                         ::testing::ValuesIn(TinyGraphs()),
                         [](const auto& param_info) {
                           return std::string(param_info.param.name);
                         });

TEST(Model, ChangedLogitFailsTheGoldenTest) {
  const TinyModel tiny = MakeTinyModel(tern::testing::kTinyMlp, 1);
  const auto read = ModelFile::Read(AsBytes(FileOf(tiny)), {});
  ASSERT_TRUE(read.ok());
  model::v1::Header header = read->header();
  auto& golden = *header.mutable_card()->mutable_golden();
  golden.set_logit(4, golden.logit(4) + 1);
  const auto bytes = WriteModel(header, tiny.weights);
  ASSERT_TRUE(bytes.ok());
  const auto model = Model::Load(AsBytes(*bytes), ReferenceKernels(), {});
  EXPECT_EQ(model.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(model.status().message()), HasSubstr("logit 4 is "));
}

// The golden pictures are more than one: a kernel that serves single pictures
// alone must be tried as well.
TEST(Model, AKernelForSomeBatchesHasToPassTheGoldenTest) {
  ConvKernel wrong = kConvReference;
  wrong.name = "wrong";
  wrong.predicted_ns = [](const ConvGeometry& g, int batch) {
    return batch == 1 ? 0 : 2 * kConvReference.predicted_ns(g, batch);
  };
  wrong.run = [](const ConvCall& call, int threads, int task,
                 std::byte* scratch) {
    std::vector<std::uint8_t> dark(call.geometry->in_c * 1000, 0);
    ConvCall other = call;
    other.input = dark.data();
    kConvReference.run(other, threads, task, scratch);
  };
  const ConvKernel* const conv[] = {&kConvReference, &wrong};
  KernelTable table = ReferenceKernels();
  table.conv = conv;
  const TinyModel tiny = MakeTinyModel(tern::testing::kTinyMlp, 1);
  const std::string file = FileOf(tiny);
  const auto model = Model::Load(AsBytes(file), table, {});
  EXPECT_EQ(model.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(model.status().message()),
              HasSubstr("golden test, batch 1: logit 0 is "));
}

TEST(Model, StepsSayWhichBatchesRunOnWhichKernel) {
  ConvKernel single = kConvReference;
  single.name = "single";
  single.predicted_ns = [](const ConvGeometry& g, int batch) {
    return batch == 1 ? 0 : 2 * kConvReference.predicted_ns(g, batch);
  };
  const ConvKernel* const conv[] = {&kConvReference, &single};
  KernelTable table = ReferenceKernels();
  table.conv = conv;
  const auto model =
      LoadOrDie(FileOf(MakeTinyModel(tern::testing::kTinyMlp, 1)), table);
  EXPECT_EQ(model->steps()[0].kernel, "single 1, reference 2-64");
}

TEST(Model, WithoutGoldenTestIsRefusedUnlessAskedFor) {
  const std::string file =
      tern::testing::TinyModelBytes(MakeTinyModel(tern::testing::kTinyMlp, 1));
  const auto refused = Model::Load(AsBytes(file), ReferenceKernels(), {});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("card.golden"));
  LoadOptions options;
  options.verify_golden = false;
  EXPECT_TRUE(Model::Load(AsBytes(file), ReferenceKernels(), options).ok());
}

TEST(Model, KeepsNoGoldenData) {
  const auto model = LoadOrDie(
      FileOf(MakeTinyModel(tern::testing::kTinyMlp, 1)), ReferenceKernels());
  EXPECT_FALSE(model->card().has_golden());
}

// Threads of this process.
std::ptrdiff_t CountThreads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

// oneDNN's OpenMP would start one for each CPU at the first grid layer that a
// thread loads, which takes longer than all the rest of a server's start.
TEST(Model, LoadingStartsNoThreads) {
  const std::string file = FileOf(MakeTinyModel(tern::testing::kTinyGrid, 1));
  std::thread loader([&file] {
    // A thread that has not met oneDNN, as on a machine with four CPUs.
    omp_set_num_threads(4);
    const std::ptrdiff_t before = CountThreads();
    LoadOrDie(file, ReferenceKernels());
    EXPECT_EQ(CountThreads(), before);
  });
  loader.join();
}

TEST(Session, SizesThatDoNotFitAreErrors) {
  const auto model = LoadOrDie(
      FileOf(MakeTinyModel(tern::testing::kTinyMlp, 1)), ReferenceKernels());
  ThreadPool pool(1);
  Session session(&pool);
  std::vector<float> logits(model->classes());
  const std::vector<std::uint8_t> pixels(model->input_bytes());
  EXPECT_TRUE(session.Run(*model, pixels, 1, absl::MakeSpan(logits)).ok());
  for (const int batch : {-1, 0, 2}) {
    EXPECT_EQ(session.Run(*model, pixels, batch, absl::MakeSpan(logits)).code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(
      session.Run(*model, pixels, 1, absl::MakeSpan(logits).subspan(1)).code(),
      absl::StatusCode::kInvalidArgument);
}

TEST(TopK, OrdersByLogitThenIndex) {
  const std::vector<float> logits = {1, 3, 2, 3};
  const auto top = TopK(logits, 3, 1);
  ASSERT_EQ(top.size(), 3);
  EXPECT_EQ(top[0].index, 1);
  EXPECT_EQ(top[1].index, 3);
  EXPECT_EQ(top[2].index, 2);
  EXPECT_NEAR(top[0].probability, 1 / (2 + std::exp(-1.0) + std::exp(-2.0)),
              1e-12);
}

TEST(TopK, TemperatureDividesTheLogits) {
  const std::vector<float> logits = {1, 3, 2};
  const auto top = TopK(logits, 1, 0.25);
  ASSERT_EQ(top.size(), 1);
  EXPECT_NEAR(top[0].probability, 1 / (1 + std::exp(-4.0) + std::exp(-8.0)),
              1e-12);
}

TEST(TopK, LargeLogitsDoNotOverflow) {
  const std::vector<float> logits = {3e38F, -3e38F};
  const auto top = TopK(logits, 5, 1e-6);
  ASSERT_EQ(top.size(), 2);
  EXPECT_EQ(top[0].probability, 1);
  EXPECT_EQ(top[1].probability, 0);
}

}  // namespace
}  // namespace tern
