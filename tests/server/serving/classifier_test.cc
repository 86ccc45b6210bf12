#include "server/serving/classifier.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/image/preprocess.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/status_details.h"
#include "tests/engine/image/fixtures.h"
#include "tests/server/batching/gate.h"
#include "tests/server/serving/serving_test_base.h"

namespace tern::server {
namespace {

using absl::StatusCode;
using std::chrono::microseconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

// A call and its answer.
struct Asked {
  ClassifyReply reply;
  Gate done;
  std::shared_ptr<ClassifyCall> call;

  const ClassifyReply& Wait() {
    done.Wait();
    return reply;
  }
};

class ClassifierTest : public ServingTest {
 protected:
  void StartWith(std::string_view graph, ClassifierOptions options = {}) {
    Put("m", 1, ModelFileBytes(1, graph));
    Start();
    options.decode_threads = 2;
    classifier_ = std::make_unique<Classifier>(options, manager_.get(),
                                               &batcher_, &clock_);
    model_ = &Get("m").value()->model();
  }
  ~ClassifierTest() override {
    Release();
    batcher_.Drain(kNever);
  }

  std::unique_ptr<Asked> Ask(ClassifyRequest request) {
    auto asked = std::make_unique<Asked>();
    Asked* raw = asked.get();
    asked->call =
        classifier_->Classify(std::move(request), [raw](ClassifyReply reply) {
          EXPECT_FALSE(raw->done.IsOpen()) << "done was called twice";
          raw->reply = std::move(reply);
          raw->done.Open();
        });
    EXPECT_NE(asked->call, nullptr);
    return asked;
  }

  // Pictures by seed; their pixels live as long as the test.
  ClassifyRequest RawRequest(const std::vector<int>& seeds) {
    ClassifyRequest request;
    request.model.name = "m";
    request.return_logits = true;
    const auto& input = model_->input();
    for (const int seed : seeds) {
      pixels_.push_back(tern::testing::RandomPicture(input, seed));
      request.pictures.push_back({Picture::Kind::kRaw, pixels_.back(),
                                  input.height(), input.width(),
                                  input.channels()});
    }
    return request;
  }
  Picture Encoded(const std::string& fixture) {
    pixels_.push_back(ReadFixture(fixture));
    return {Picture::Kind::kEncoded, pixels_.back(), 0, 0, 0};
  }

  // What the engine alone says.
  static std::vector<float> Logits(const Model& model,
                                   absl::Span<const std::uint8_t> pixels) {
    ThreadPool pool(1);
    Session session(&pool);
    std::vector<float> logits(model.classes());
    EXPECT_TRUE(session.Run(model, pixels, 1, absl::MakeSpan(logits)).ok());
    return logits;
  }
  std::vector<float> LogitsOfFixture(const std::string& name) {
    const Image image = PreprocessEncoded(ReadFixture(name), model_->input(),
                                          model_->preprocessing(), {})
                            .value();
    return Logits(*model_, image.pixels);
  }

  // Keeps all executors busy until Release.
  void Plug() {
    const QueueId queue = batcher_.AddQueue(
        {.max_batch_size = 1},
        [this](int, absl::Span<const Row>) {
          if (++plugged_ == batcher_.executors()) all_plugged_.Open();
          release_.Wait();
          return absl::OkStatus();
        },
        nullptr);
    auto task = std::make_shared<Task>();
    task->max_rows = batcher_.executors();
    task->done = [](const TaskOutcome&) {};
    ASSERT_TRUE(batcher_.Admit(queue, task).ok());
    batcher_.Enqueue(task, std::vector<Row>(batcher_.executors()));
    all_plugged_.Wait();
  }
  void Release() { release_.Open(); }

  std::deque<std::vector<std::uint8_t>> pixels_;
  std::atomic<int> plugged_{0};
  Gate all_plugged_, release_;
  const Model* model_ = nullptr;
  std::unique_ptr<Classifier> classifier_;
};

TEST_F(ClassifierTest, RawPixelsGiveTheEnginesLogits) {
  StartWith(testing::kTinyMlp);
  const auto asked = Ask(RawRequest({1, 2, 3}));
  const ClassifyReply& reply = asked->Wait();
  ASSERT_TRUE(reply.status.ok()) << reply.status;
  ASSERT_THAT(reply.results, SizeIs(3));
  for (int i = 0; i < 3; ++i) {
    const PictureResult& result = reply.results[i];
    EXPECT_TRUE(result.status.ok());
    EXPECT_EQ(result.logits, Logits(*model_, pixels_[i]));
    EXPECT_EQ(result.batch_size, 3);
    // Three classes, five asked for by default.
    ASSERT_THAT(result.classes, SizeIs(3));
    EXPECT_EQ(result.classes[0].logit,
              *std::max_element(result.logits.begin(), result.logits.end()));
    EXPECT_EQ(result.classes[0].logit, result.logits[result.classes[0].index]);
  }
  EXPECT_EQ(reply.servable->version(), 1u);
  EXPECT_EQ(reply.servable->model().digest(),
            DigestOf(ModelFileBytes(1, testing::kTinyMlp)));
}

TEST_F(ClassifierTest, LogitsOnlyWhenAskedForAndTopKIsBounded) {
  StartWith(testing::kTinyMlp);
  ClassifyRequest request = RawRequest({1});
  request.return_logits = false;
  request.top_k = 2;
  EXPECT_THAT(Ask(request)->Wait().results[0].logits, IsEmpty());
  EXPECT_THAT(Ask(request)->Wait().results[0].classes, SizeIs(2));
  request.top_k = 4'000'000'000;
  EXPECT_THAT(Ask(request)->Wait().results[0].classes, SizeIs(3));
}

TEST_F(ClassifierTest, EncodedPicturesAreDecodedAsTheModelSays) {
  StartWith(testing::kTinyConv);
  ClassifyRequest request = RawRequest({7});
  for (const char* name : {"progressive.jpg", "palette_4.png", "grey_16.png"}) {
    request.pictures.push_back(Encoded(name));
  }
  const auto asked = Ask(request);
  const ClassifyReply& reply = asked->Wait();
  ASSERT_TRUE(reply.status.ok()) << reply.status;
  ASSERT_THAT(reply.results, SizeIs(4));
  EXPECT_EQ(reply.results[0].logits, Logits(*model_, pixels_[0]));
  EXPECT_EQ(reply.results[1].logits, LogitsOfFixture("progressive.jpg"));
  EXPECT_EQ(reply.results[2].logits, LogitsOfFixture("palette_4.png"));
  EXPECT_EQ(reply.results[3].logits, LogitsOfFixture("grey_16.png"));
}

TEST_F(ClassifierTest, ABadPictureFailsAloneAndIsNamed) {
  StartWith(testing::kTinyConv);
  ClassifyRequest request = RawRequest({1, 2, 3});
  request.pictures[1].width += 1;
  request.pictures.push_back(Encoded("progressive.jpg"));
  request.pictures.push_back({Picture::Kind::kEncoded, pixels_[0], 0, 0, 0});
  request.pictures.push_back({});
  request.pictures[2].bytes.remove_suffix(1);
  const auto asked = Ask(request);
  const ClassifyReply& reply = asked->Wait();
  ASSERT_TRUE(reply.status.ok()) << reply.status;
  ASSERT_THAT(reply.results, SizeIs(6));
  EXPECT_EQ(reply.results[0].logits, Logits(*model_, pixels_[0]));
  EXPECT_EQ(reply.results[3].logits, LogitsOfFixture("progressive.jpg"));
  EXPECT_EQ(reply.results[3].batch_size, 2);
  const auto& results = reply.results;
  EXPECT_EQ(FieldOf(results[1].status), "images[1].raw");
  EXPECT_THAT(Message(results[1].status),
              HasSubstr("takes 9x8x3 pixels, got 9x9x3"));
  EXPECT_EQ(FieldOf(results[2].status), "images[2].raw.pixels");
  EXPECT_THAT(Message(results[2].status), HasSubstr("want 216 bytes, got 215"));
  EXPECT_EQ(FieldOf(results[4].status), "images[4].encoded");
  EXPECT_EQ(FieldOf(results[5].status), "images[5]");
  EXPECT_THAT(results[4].classes, IsEmpty());
}

TEST_F(ClassifierTest, OnlyBadPicturesIsStillAnAnswer) {
  StartWith(testing::kTinyConv);
  ClassifyRequest request = RawRequest({1});
  request.pictures[0].channels = 1;
  const auto raw = Ask(request);
  EXPECT_TRUE(raw->Wait().status.ok());
  EXPECT_EQ(raw->reply.results[0].status.code(), StatusCode::kInvalidArgument);
  request.pictures = {{Picture::Kind::kEncoded, pixels_[0], 0, 0, 0}};
  const auto encoded = Ask(request);
  EXPECT_TRUE(encoded->Wait().status.ok());
  EXPECT_EQ(encoded->reply.results[0].status.code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Get("m").value()->stats().execution_count, 0u);
}

TEST_F(ClassifierTest, ARequestLargerThanABatchComesBackInOrder) {
  StartWith(testing::kTinyMlp);
  std::vector<int> seeds(100);
  for (int i = 0; i < 100; ++i) seeds[i] = i;
  const auto asked = Ask(RawRequest(seeds));
  const ClassifyReply& reply = asked->Wait();
  ASSERT_TRUE(reply.status.ok());
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(reply.results[i].logits, Logits(*model_, pixels_[i])) << i;
    EXPECT_LE(reply.results[i].batch_size, 8);
  }
  EXPECT_EQ(Get("m").value()->stats().inference_count, 100u);
}

TEST_F(ClassifierTest, RequestsOfManyCallersRunTogether) {
  StartWith(testing::kTinyMlp);
  Plug();
  std::vector<std::unique_ptr<Asked>> asked;
  for (int i = 0; i < 5; ++i) asked.push_back(Ask(RawRequest({i})));
  Release();
  for (int i = 0; i < 5; ++i) {
    const ClassifyReply& reply = asked[i]->Wait();
    EXPECT_EQ(reply.results[0].batch_size, 5);
    EXPECT_EQ(reply.results[0].logits, Logits(*model_, pixels_[i]));
  }
  const QueueStats stats = Get("m").value()->stats();
  EXPECT_EQ(stats.inference_count, 5u);
  EXPECT_EQ(stats.execution_count, 1u);
}

TEST_F(ClassifierTest, BadRequestsAreRefusedBeforeClassifyReturns) {
  ClassifierOptions options;
  options.max_pictures = 3;
  StartWith(testing::kTinyMlp, options);
  const auto refused = [&](const ClassifyRequest& request) {
    const auto asked = Ask(request);
    EXPECT_TRUE(asked->done.IsOpen());
    asked->call->Cancel();  // harmless
    return asked->Wait().status;
  };
  EXPECT_EQ(FieldOf(refused(RawRequest({}))), "images");
  const absl::Status many = refused(RawRequest({1, 2, 3, 4}));
  EXPECT_EQ(FieldOf(many), "images");
  EXPECT_THAT(Message(many), HasSubstr("want 1..3 pictures, got 4"));
  ClassifyRequest request = RawRequest({1});
  request.priority = 101;
  EXPECT_EQ(FieldOf(refused(request)), "priority");
  request = RawRequest({1});
  request.model.name = "nobody";
  EXPECT_EQ(refused(request).code(), StatusCode::kNotFound);
  request = RawRequest({1});
  request.deadline = clock_.Now();
  EXPECT_EQ(refused(request).code(), StatusCode::kDeadlineExceeded);
}

TEST_F(ClassifierTest, AFullQueueRefusesWithAdvice) {
  queue_options_.max_requests = 1;
  StartWith(testing::kTinyMlp);
  Plug();
  const auto first = Ask(RawRequest({1}));
  const auto second = Ask(RawRequest({2}));
  EXPECT_EQ(second->Wait().status.code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryDelayOf(second->reply.status).has_value());
  Release();
  EXPECT_TRUE(first->Wait().status.ok());
}

TEST_F(ClassifierTest, BytesOfARequestCountBothSidesOfDecoding) {
  queue_options_.max_bytes = 100;  // a picture has 216 pixels
  StartWith(testing::kTinyConv);
  EXPECT_EQ(Ask(RawRequest({1}))->Wait().status.code(),
            StatusCode::kResourceExhausted);
  ClassifyRequest request = RawRequest({});
  pixels_.push_back({1, 2, 3});
  request.pictures = {{Picture::Kind::kEncoded, pixels_.back(), 0, 0, 0}};
  EXPECT_EQ(Ask(request)->Wait().status.code(), StatusCode::kResourceExhausted);
}

TEST_F(ClassifierTest, ACancelledRequestEndsAtOnce) {
  StartWith(testing::kTinyMlp);
  Plug();
  const auto asked = Ask(RawRequest({1}));
  EXPECT_FALSE(asked->done.IsOpen());
  asked->call->Cancel();
  EXPECT_EQ(asked->Wait().status.code(), StatusCode::kCancelled);
  asked->call->Cancel();
  Release();
  EXPECT_TRUE(Ask(RawRequest({2}))->Wait().status.ok());
  EXPECT_EQ(Get("m").value()->stats().inference_count, 1u);
}

TEST_F(ClassifierTest, AnExpiredRequestEndsThoughNobodyIsFree) {
  StartWith(testing::kTinyMlp);
  Plug();
  ClassifyRequest request = RawRequest({1});
  request.deadline = clock_.Now() + std::chrono::hours(1);
  const auto asked = Ask(request);
  clock_.Advance(std::chrono::hours(1));
  EXPECT_EQ(asked->Wait().status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(asked->reply.results, IsEmpty());
}

TEST_F(ClassifierTest, StageTimesAddUp) {
  StartWith(testing::kTinyMlp);
  Plug();
  const auto asked = Ask(RawRequest({1}));
  clock_.Advance(microseconds(70));
  Release();
  const ClassifyReply& reply = asked->Wait();
  EXPECT_EQ(reply.queue_time, microseconds(70));
  EXPECT_EQ(reply.total_time, microseconds(70));
  EXPECT_EQ(reply.inference_time, Nanos(0));
  EXPECT_EQ(reply.decode_time, Nanos(0));
}

TEST_F(ClassifierTest, VersionsChangeUnderLoadWithoutAnError) {
  StartWith(testing::kTinyMlp);
  constexpr int kUploads = 8;
  std::map<std::string, std::vector<float>> want;  // by digest
  std::vector<std::string> files;
  for (int i = 0; i < kUploads; ++i) files.push_back(ModelFileBytes(i + 10));
  const ClassifyRequest request = RawRequest({1});
  const auto expect_of = [&](const std::string& file) {
    const auto model =
        Model::Load(tern::testing::AsBytes(file), model_->kernels(), {});
    want[(*model)->digest()] = Logits(**model, pixels_[0]);
  };
  expect_of(ModelFileBytes(1));
  for (const std::string& file : files) expect_of(file);

  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      while (!stop) {
        const auto asked = Ask(request);
        const ClassifyReply& reply = asked->Wait();
        ASSERT_TRUE(reply.status.ok()) << reply.status;
        EXPECT_EQ(reply.results[0].logits,
                  want.at(reply.servable->model().digest()));
      }
    });
  }
  for (const std::string& file : files) {
    EXPECT_TRUE(Upload("m", 0, file).ok());
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(Answers("m"), 1u + kUploads);
}

TEST_F(ClassifierTest, MixedStressAnswersEveryoneOnce) {
  queue_options_.max_requests = 6;
  StartWith(testing::kTinyConv);
  const ClassifyRequest raw = RawRequest({1, 2});
  ClassifyRequest mixed = raw;
  mixed.pictures.push_back(Encoded("progressive.jpg"));
  mixed.pictures.push_back(Encoded("grey_8.png"));
  mixed.pictures.push_back({});
  const std::vector<float> want = Logits(*model_, pixels_[0]);
  const std::vector<float> want_jpg = LogitsOfFixture("progressive.jpg");
  std::atomic<int> answered{0}, running{4};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < 60; ++i) {
        ClassifyRequest request = (caller + i) % 2 == 0 ? raw : mixed;
        if (i % 5 == 0) request.deadline = clock_.Now() + microseconds(200);
        const auto asked = Ask(request);
        if (i % 7 == 0) asked->call->Cancel();
        const ClassifyReply& reply = asked->Wait();
        if (!reply.status.ok()) continue;
        ++answered;
        EXPECT_EQ(reply.results[0].logits, want);
        if (reply.results.size() == 2) continue;
        EXPECT_EQ(reply.results[2].logits, want_jpg);
        EXPECT_FALSE(reply.results[4].status.ok());
      }
      --running;
    });
  }
  while (running > 0) {
    clock_.Advance(microseconds(1));
    std::this_thread::yield();
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_GT(answered, 0);
  EXPECT_EQ(Get("m").value()->stats().requests, 0);
}

}  // namespace
}  // namespace tern::server
