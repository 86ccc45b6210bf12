// Classify over real sockets: answers, refusals, deadlines, batching.

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/image/fixtures.h"
#include "tests/integration/server_fixture.h"

namespace tern::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kLenet5;
using testing::kTinyConv;
using testing::kTinyMlp;

class ClassifyTest : public ServerTest {
 protected:
  void Serve() {
    PutModel("mlp", 1, ModelFileBytes(1, kTinyMlp));
    PutModel("conv", 1, ModelFileBytes(2, kTinyConv));
    PutModel("lenet", 1, ModelFileBytes(3, kLenet5));
    StartServer();
  }
  // A request that does not fill a batch waits a minute, queued, although
  // nothing else runs.
  void ParkIncompleteBatches() { options_.max_queue_delay_us = 60'000'000; }
  static std::string Queued(const std::string& model) {
    return SeriesOf("tern_queue_requests", model);
  }
  static std::string Inferences(const std::string& model) {
    return SeriesOf("tern_inferences_total", model);
  }
};

TEST_F(ClassifyTest, RawPixelsGetTheBestClassesFirst) {
  Serve();
  v1::ClassifyRequest request = RawRequest("lenet", kLenet5, 5, 3);
  request.set_return_logits(true);
  v1::ClassifyResponse response;
  const grpc::Status status = Classify(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.results_size(), 3);
  for (const v1::ImageResult& result : response.results()) {
    EXPECT_EQ(result.status().code(), 0);
    ASSERT_EQ(result.classes_size(), 5);
    EXPECT_EQ(result.logits_size(), 10);
    EXPECT_GE(result.batch_size(), 1u);
    double last = 2;
    for (const v1::ClassScore& score : result.classes()) {
      EXPECT_LE(score.probability(), last);
      last = score.probability();
      EXPECT_EQ(score.logit(), result.logits(static_cast<int>(score.index())));
    }
  }
  EXPECT_EQ(response.answered_by().model(), "lenet");
  EXPECT_EQ(response.answered_by().version(), 1u);
  EXPECT_EQ(response.answered_by().digest(),
            DigestOf(ModelFileBytes(3, kLenet5)));
  EXPECT_EQ(response.answered_by().isa(),
            std::string(KernelTableName(**SelectKernels("auto"))));
  EXPECT_EQ(response.answered_by().server_version(), ServerVersion());
  EXPECT_GE(response.times().total_us(), response.times().inference_us());
}

TEST_F(ClassifyTest, LogitsAreTheEnginesOwnToTheLastBit) {
  Serve();
  const struct {
    const char* model;
    std::string_view graph;
    std::uint64_t seed;
  } cases[] = {
      {"mlp", kTinyMlp, 1}, {"conv", kTinyConv, 2}, {"lenet", kLenet5, 3}};
  for (const auto& each : cases) {
    for (const int pictures : {1, 2, 7, 33, 70}) {
      v1::ClassifyRequest request =
          RawRequest(each.model, each.graph, 100, pictures);
      request.set_return_logits(true);
      v1::ClassifyResponse response;
      const grpc::Status status = Classify(request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      EXPECT_TRUE(SameBits(
          AllLogits(response),
          OfflineLogits(ModelFileBytes(each.seed, each.graph), request)))
          << each.model << " with " << pictures << " pictures";
    }
  }
}

TEST_F(ClassifyTest, TopKCutsTheListAndZeroMeansFive) {
  Serve();
  const struct {
    std::uint32_t top_k;
    int expected;
  } cases[] = {{0, 5}, {1, 1}, {3, 3}, {10, 10}, {4'000'000'000, 10}};
  for (const auto& each : cases) {
    v1::ClassifyRequest request = RawRequest("lenet", kLenet5, 5);
    request.set_top_k(each.top_k);
    v1::ClassifyResponse response;
    ASSERT_TRUE(Classify(request, &response).ok());
    EXPECT_EQ(response.results(0).classes_size(), each.expected);
    EXPECT_EQ(response.results(0).logits_size(), 0);
  }
}

TEST_F(ClassifyTest, ABadPictureFailsAlone) {
  Serve();
  v1::ClassifyRequest request;
  request.mutable_model()->set_name("conv");
  const Bytes png = ReadFixture("grey_8.png");
  request.add_images()->set_encoded(std::string(png.begin(), png.end()));
  request.add_images()->set_encoded("not a picture");
  request.add_images();
  *request.add_images() = RawRequest("conv", kTinyConv, 1).images(0);
  *request.add_images() = request.images(3);
  request.mutable_images(4)->mutable_raw()->mutable_pixels()->pop_back();
  *request.add_images() = request.images(3);
  request.mutable_images(5)->mutable_raw()->set_width(1);
  request.add_images()->set_encoded(std::string(png.begin(), png.begin() + 40));
  v1::ClassifyResponse response;
  const grpc::Status status = Classify(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.results_size(), 7);
  std::vector<int> codes;
  for (const auto& result : response.results()) {
    codes.push_back(result.status().code());
    EXPECT_EQ(result.classes_size() > 0, result.status().code() == 0);
  }
  EXPECT_THAT(codes, ElementsAre(0, 3, 3, 0, 3, 3, 3));
  EXPECT_THAT(response.results(1).status().message(),
              HasSubstr("images[1].encoded: "));
  EXPECT_EQ(response.results(2).status().message(),
            "images[2]: want encoded or raw, got neither");
  EXPECT_EQ(response.results(4).status().message(),
            "images[4].raw.pixels: want 216 bytes, got 215");
  EXPECT_THAT(response.results(5).status().message(),
              HasSubstr("images[5].raw: the model takes "));
}

TEST_F(ClassifyTest, BadRequestsNameTheFieldWhatIsWantedAndWhatCame) {
  options_.max_pictures = 4;
  Serve();
  const auto expect = [&](const v1::ClassifyRequest& request,
                          grpc::StatusCode code, const std::string& field,
                          const std::string& message) {
    v1::ClassifyResponse response;
    const grpc::Status status = Classify(request, &response);
    EXPECT_EQ(status.error_code(), code) << message;
    EXPECT_THAT(status.error_message(), HasSubstr(message));
    if (field.empty()) {
      EXPECT_THAT(BadFields(status), IsEmpty());
    } else {
      EXPECT_THAT(BadFields(status), ElementsAre(field));
    }
  };
  const v1::ClassifyRequest good = RawRequest("mlp", kTinyMlp, 1);
  v1::ClassifyRequest bad = good;
  bad.clear_images();
  expect(bad, grpc::INVALID_ARGUMENT, "images", "want 1..4 pictures, got 0");
  bad = RawRequest("mlp", kTinyMlp, 1, 5);
  expect(bad, grpc::INVALID_ARGUMENT, "images", "want 1..4 pictures, got 5");
  bad = good;
  bad.set_priority(101);
  expect(bad, grpc::INVALID_ARGUMENT, "priority", "want -100..100, got 101");
  bad = good;
  bad.clear_model();
  expect(bad, grpc::INVALID_ARGUMENT, "model.name", "model.name: ");
  bad = good;
  bad.mutable_model()->set_name("../../etc");
  expect(bad, grpc::NOT_FOUND, "", "'../../etc'");
  bad = good;
  bad.mutable_model()->set_name("unknown");
  expect(bad, grpc::NOT_FOUND, "", "'unknown'");
  bad = good;
  bad.mutable_model()->set_version(7);
  expect(bad, grpc::NOT_FOUND, "", "7");
  bad = good;
  bad.mutable_model()->set_alias("stable");
  expect(bad, grpc::NOT_FOUND, "", "stable");
}

TEST_F(ClassifyTest, MessagesBeyondTheLimitAreRefused) {
  options_.max_message_bytes = 1 << 16;
  Serve();
  v1::ClassifyRequest request;
  request.mutable_model()->set_name("mlp");
  request.add_images()->set_encoded(std::string(1 << 17, 'x'));
  v1::ClassifyResponse response;
  EXPECT_EQ(Classify(request, &response).error_code(),
            grpc::RESOURCE_EXHAUSTED);
  // The connection lives on.
  EXPECT_TRUE(Classify(RawRequest("mlp", kTinyMlp, 1), &response).ok());
}

TEST_F(ClassifyTest, FullQueuesSayWhenToTryAgain) {
  options_.queue_capacity = 1;
  ParkIncompleteBatches();
  Serve();
  const v1::ClassifyRequest request = RawRequest("mlp", kTinyMlp, 1);
  BackgroundCall parked(inference_.get(), request);
  ASSERT_TRUE(MetricBecomes(Queued("mlp"), 1));
  grpc::ClientContext context;
  v1::ClassifyResponse response;
  const grpc::Status status =
      inference_->Classify(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
  const auto delay = RetryDelay(status);
  ASSERT_TRUE(delay.has_value());
  EXPECT_GT(*delay, std::chrono::nanoseconds(0));
  // The same for clients that leave retries to gRPC.
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, trailers.end());
  EXPECT_EQ(std::string(pushback->second.data(), pushback->second.size()),
            absl::StrCat(
                std::chrono::ceil<std::chrono::milliseconds>(*delay).count()));
  EXPECT_EQ(Metric(DroppedSeries("mlp", "queue_requests")), 1);
}

TEST_F(ClassifyTest, RequestsLargerThanTheQueueNeedNotTryAgain) {
  options_.queue_capacity_bytes = 20;
  Serve();
  v1::ClassifyResponse response;
  const grpc::Status status =
      Classify(RawRequest("mlp", kTinyMlp, 1), &response);
  EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_FALSE(RetryDelay(status).has_value());
}

// The client library gives up at the deadline by itself; that the server
// refused is what its words and its counters say. Whoever computes this within
// the deadline does two hundred billion multiplications a second.
TEST_F(ClassifyTest, DeadlinesThatCannotBeMetAreRefused) {
  options_.isa = "reference";
  options_.threads = 1;
  options_.max_pictures = 65'536;
  PutModel("costly", 1, ModelFileBytes(1, kCostly));
  StartServer();
  v1::ClassifyResponse response;
  const grpc::Status status = Classify(
      RawRequest("costly", kCostly, 1, options_.max_pictures), &response);
  EXPECT_EQ(status.error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), HasSubstr("predicted to be done in"));
  EXPECT_EQ(Metric(DroppedSeries("costly", "predicted_late")), 1);
  EXPECT_EQ(Metric(Inferences("costly")), 0);
}

// Likewise: whatever the server does, the client hears CANCELLED.
TEST_F(ClassifyTest, CancelledCallsAreDropped) {
  ParkIncompleteBatches();
  Serve();
  BackgroundCall parked(inference_.get(), RawRequest("lenet", kLenet5, 1));
  ASSERT_TRUE(MetricBecomes(Queued("lenet"), 1));
  parked.Cancel();
  EXPECT_EQ(parked.Join().error_code(), grpc::CANCELLED);
  EXPECT_TRUE(MetricBecomes(DroppedSeries("lenet", "cancelled"), 1));
  EXPECT_TRUE(MetricBecomes(Queued("lenet"), 0));
  EXPECT_EQ(Metric(Inferences("lenet")), 0);
}

TEST_F(ClassifyTest, SixtyFourClientsFormBatchesAndEachGetsItsOwnAnswer) {
  Serve();
  constexpr int kClients = 64;
  constexpr int kCalls = 30;
  const std::string file = ModelFileBytes(3, kLenet5);
  std::vector<v1::ClassifyRequest> requests;
  std::vector<std::vector<float>> expected;
  for (int i = 0; i < kClients; ++i) {
    requests.push_back(
        RawRequest("lenet", kLenet5, 1000 + static_cast<std::uint64_t>(i)));
    requests.back().set_return_logits(true);
    expected.push_back(OfflineLogits(file, requests.back()));
  }
  std::vector<int> wrong(kClients, 0);
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      const auto index = static_cast<std::size_t>(i);
      for (int n = 0; n < kCalls; ++n) {
        v1::ClassifyResponse response;
        if (!Classify(requests[index], &response).ok() ||
            !SameBits(AllLogits(response), expected[index])) {
          ++wrong[index];
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, std::vector<int>(kClients, 0));
  const v1::ModelStatus status = ListModels("lenet").at(0);
  EXPECT_EQ(status.inference_count(), static_cast<unsigned>(kClients * kCalls));
  EXPECT_LT(status.execution_count(), status.inference_count() / 2);
  RecordProperty("inferences", static_cast<int>(status.inference_count()));
  RecordProperty("executions", static_cast<int>(status.execution_count()));
  std::printf("%d inferences in %d executions\n",
              static_cast<int>(status.inference_count()),
              static_cast<int>(status.execution_count()));
}

}  // namespace
}  // namespace tern::server
