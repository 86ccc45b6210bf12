// Health, reflection, metrics, limits of the HTTP door and the drain, on a
// server of this process.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"

namespace tern::server {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;
using testing::kLenet5;
using testing::kTinyMlp;
using ::testing::StartsWith;

class OperationsTest : public ServerTest {};

// One Watch stream, read on a thread of its own.
class Watch {
 public:
  Watch(grpc::health::v1::Health::Stub* stub, const std::string& service) {
    HealthCheckRequest request;
    request.set_service(service);
    reader_ = stub->Watch(&context_, request);
    thread_ = std::thread([this] {
      HealthCheckResponse response;
      while (reader_->Read(&response)) {
        MutexLock lock(&mu_);
        seen_.push_back(response.status());
        news_.SignalAll();
      }
      status_ = reader_->Finish();
    });
  }
  ~Watch() {
    if (thread_.joinable()) {
      context_.TryCancel();
      thread_.join();
    }
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Returns when that is the latest; states between may be skipped.
  void WaitFor(HealthCheckResponse::ServingStatus status) {
    MutexLock lock(&mu_);
    while (seen_.empty() || seen_.back() != status) news_.Wait(&mu_);
  }
  // The server's last word.
  grpc::Status Join() {
    thread_.join();
    return status_;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader_;
  grpc::Status status_;
  Mutex mu_;
  CondVar news_;
  std::vector<HealthCheckResponse::ServingStatus> seen_;
  std::thread thread_;
};

TEST_F(OperationsTest, HealthKnowsServerServicesAndModels) {
  PutModel("m", 1, ModelFileBytes(1));
  PutModel("bad", 1, "x");
  StartServer();
  for (const char* name :
       {"", "tern.v1.InferenceService", "tern.v1.RepositoryService", "m"}) {
    EXPECT_EQ(Health(name), HealthCheckResponse::SERVING) << name;
  }
  EXPECT_EQ(Health("bad"), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health("unknown"), HealthCheckResponse::SERVICE_UNKNOWN);
  EXPECT_THAT(HttpGet("/healthz/live"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(HttpGet("/healthz/ready"), StartsWith("HTTP/1.1 200"));
}

TEST_F(OperationsTest, WatchTellsEveryChangeUntilTheEnd) {
  StartServer();
  Watch whole(health_.get(), "");
  Watch model(health_.get(), "m");
  whole.WaitFor(HealthCheckResponse::SERVING);
  model.WaitFor(HealthCheckResponse::SERVICE_UNKNOWN);
  v1::UploadResponse uploaded;
  ASSERT_TRUE(Upload("m", 1, ModelFileBytes(1), &uploaded).ok());
  model.WaitFor(HealthCheckResponse::SERVING);
  server_->Stop();
  whole.WaitFor(HealthCheckResponse::NOT_SERVING);
  model.WaitFor(HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(whole.Join().error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(model.Join().error_code(), grpc::UNAVAILABLE);
}

TEST_F(OperationsTest, WatchersThatLeaveAreForgotten) {
  StartServer();
  for (int i = 0; i < 50; ++i) {
    Watch(health_.get(), "").WaitFor(HealthCheckResponse::SERVING);
  }
  EXPECT_EQ(Health(""), HealthCheckResponse::SERVING);
}

// grpc.reflection.v1alpha by hand, since Debian has no stub for it:
// ServerReflectionRequest{list_services (field 7): "*"}.
TEST_F(OperationsTest, ReflectionListsTheServices) {
  StartServer();
  grpc::GenericStub stub(channel_);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto stream = stub.PrepareCall(
      &context,
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  stream->StartCall(nullptr);
  ASSERT_TRUE(wait());
  const grpc::Slice request(std::string("\x3a\x01*"));
  stream->Write(grpc::ByteBuffer(&request, 1), nullptr);
  ASSERT_TRUE(wait());
  grpc::ByteBuffer reply;
  stream->Read(&reply, nullptr);
  ASSERT_TRUE(wait());
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(reply.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  for (const char* name :
       {"tern.v1.InferenceService", "tern.v1.RepositoryService",
        "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}) {
    EXPECT_THAT(bytes, HasSubstr(name));
  }
  stream->WritesDone(nullptr);
  ASSERT_TRUE(wait());
  grpc::Status status;
  stream->Finish(&status, nullptr);
  ASSERT_TRUE(wait());
  EXPECT_TRUE(status.ok());
  queue.Shutdown();
}

TEST_F(OperationsTest, MetricsCountTheTraffic) {
  PutModel("m", 1, ModelFileBytes(1, kLenet5));
  StartServer();
  v1::ClassifyResponse response;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(Classify(RawRequest("m", kLenet5, 1, 3), &response).ok());
  }
  v1::ClassifyRequest mixed = RawRequest("m", kLenet5, 1);
  mixed.add_images()->set_encoded("not a picture");
  ASSERT_TRUE(Classify(mixed, &response).ok());
  for (int i = 0; i < 4; ++i) {
    Classify(RawRequest("unknown", kLenet5, 1), &response);
  }
  ListModels();
  const testing::Exposition now = Metrics();
  const auto value = [&](const std::string& series) {
    const auto found = now.find(series);
    EXPECT_NE(found, now.end()) << series;
    return found == now.end() ? -1 : found->second;
  };
  const std::string method = R"(method="InferenceService.Classify")";
  const std::string model = R"({model="m",version="1"})";
  EXPECT_EQ(value(R"(tern_requests_total{code="OK",)" + method + "}"), 11);
  EXPECT_EQ(value(R"(tern_requests_total{code="NOT_FOUND",)" + method + "}"),
            4);
  EXPECT_EQ(value("tern_request_seconds_count{" + method + "}"), 15);
  EXPECT_EQ(value("tern_inferences_total" + model), 31);
  EXPECT_EQ(value("tern_batch_size_sum" + model), 31);
  EXPECT_EQ(value("tern_executions_total" + model),
            value("tern_inference_seconds_count" + model));
  EXPECT_EQ(value("tern_queue_seconds_count" + model), 11);
  EXPECT_EQ(value("tern_decode_seconds_count" + model), 1);
  EXPECT_EQ(value("tern_queue_requests" + model), 0);
  EXPECT_EQ(value("tern_queue_bytes" + model), 0);
  EXPECT_EQ(value(R"(tern_model_state{model="m",state="READY",version="1"})"),
            1);
  EXPECT_GT(value("tern_model_float32_bytes" + model),
            8 * value("tern_model_packed_bytes" + model));
  EXPECT_GT(value("tern_arena_bytes"), 0);
  EXPECT_EQ(value(R"(tern_model_loads_total{model="m",result="ok"})"), 1);
  EXPECT_EQ(value("tern_ready"), 1);
}

TEST_F(OperationsTest, SlowHttpSendersDelayNobody) {
  PutModel("m", 1, ModelFileBytes(1));
  StartServer();
  std::vector<std::thread> slow;
  for (int i = 0; i < 20; ++i) {
    slow.emplace_back(
        [&] { HttpExchangeBytes(server_->http_address(), "GET /metr"); });
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(HttpGet("/healthz/live"), StartsWith("HTTP/1.1 200"));
  }
  // They end when the server does.
  server_->Stop();
  for (std::thread& each : slow) each.join();
}

// Calls that wait in the queue for company when the drain begins.
TEST_F(OperationsTest, DrainFinishesEveryRequestThatWasTakenIn) {
  PutModel("m", 1, ModelFileBytes(1));
  options_.max_queue_delay_us = 2'000'000;
  StartServer();
  constexpr int kCalls = 16;
  std::vector<std::unique_ptr<BackgroundCall>> calls;
  for (int i = 0; i < kCalls; ++i) {
    calls.push_back(std::make_unique<BackgroundCall>(
        inference_.get(), RawRequest("m", kTinyMlp, 1)));
  }
  // A machine that sleeps through those two seconds has answered some. They
  // are counted first, so that none counts twice.
  double taken_in = 0;
  while (taken_in < kCalls) {
    taken_in = Metric(SeriesOf("tern_inferences_total", "m"));
    taken_in += Metric(SeriesOf("tern_queue_requests", "m"));
  }
  server_->Stop();
  for (const auto& call : calls) {
    EXPECT_TRUE(call->Join().ok()) << call->Join().error_message();
  }
}

TEST_F(OperationsTest, DrainTurnsNewRequestsAwayWithUnavailable) {
  PutModel("m", 1, ModelFileBytes(3, kLenet5));
  options_.drain_delay_ms = 100;
  StartServer();
  const v1::ClassifyRequest request = RawRequest("m", kLenet5, 1, 8);
  std::atomic<int> answered{0};
  std::atomic<int> failed{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> clients;
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < 16; ++i) channels.push_back(NewChannel());
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&, i] {
      const auto stub =
          v1::InferenceService::NewStub(channels[static_cast<std::size_t>(i)]);
      for (;;) {
        grpc::ClientContext context;
        v1::ClassifyResponse response;
        const grpc::Status status =
            stub->Classify(&context, request, &response);
        if (status.ok()) {
          ++answered;
          continue;
        }
        // A call that came after the door closed.
        if (status.error_code() == grpc::UNAVAILABLE) {
          ++refused;
        } else {
          ++failed;
          ADD_FAILURE() << status.error_code() << " " << status.error_message();
        }
        return;
      }
    });
  }
  while (answered < 100) std::this_thread::yield();
  server_->Stop();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(refused, 16);
}

TEST_F(OperationsTest, StoppingTwiceAndAtOnceIsFine) {
  StartServer();
  server_->Stop();
  server_->Stop();
  server_.reset();
}

TEST_F(OperationsTest, ATakenPortIsAnErrorThatNamesIt) {
  StartServer();
  ServerOptions second = options_;
  const testing::TempDir other;
  second.model_repository = other.path();
  second.grpc_address = server_->grpc_address();
  const auto grpc_taken = Server::Start(second);
  EXPECT_EQ(grpc_taken.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(grpc_taken.status().message()),
              HasSubstr(server_->grpc_address()));
  second.grpc_address = "127.0.0.1:0";
  second.http_address = server_->http_address();
  const auto http_taken = Server::Start(second);
  EXPECT_EQ(http_taken.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(http_taken.status().message()),
              HasSubstr(server_->http_address()));
}

TEST_F(OperationsTest, StartFailuresSayWhatToChange) {
  options_.model_repository = "/does/not/exist";
  EXPECT_THAT(std::string(Server::Start(options_).status().message()),
              HasSubstr("/does/not/exist"));
}

double MedianMs(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class IdleTest : public ServerTest {
 protected:
  // Calls `gap` apart; milliseconds of each, the first (connecting) left out.
  std::vector<double> Calls(int count, std::chrono::milliseconds gap) {
    const v1::ClassifyRequest request = RawRequest("m", kLenet5, 1);
    std::vector<double> times;
    for (int i = 0; i <= count; ++i) {
      v1::ClassifyResponse response;
      const auto start = std::chrono::steady_clock::now();
      EXPECT_TRUE(Classify(request, &response).ok());
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - start;
      if (i > 0) times.push_back(took.count());
      std::this_thread::sleep_for(gap);
    }
    return times;
  }
};

// gRPC's callback API would sleep up to 100 ms here (median 65).
TEST_F(IdleTest, AnIdleServerAnswersAtOnce) {
  PutModel("m", 1, ModelFileBytes(3, kLenet5));
  StartServer();
  EXPECT_LE(MedianMs(Calls(5, std::chrono::milliseconds(1050))), 20.0);
}

}  // namespace
}  // namespace tern::server
