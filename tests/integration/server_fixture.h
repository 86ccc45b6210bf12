// ServerTest: a server of this process on free ports, over a repository of
// small models, and the stubs to talk to it over real sockets.

#ifndef TERN_TESTS_INTEGRATION_SERVER_FIXTURE_H_
#define TERN_TESTS_INTEGRATION_SERVER_FIXTURE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "server/server.h"
#include "tern/v1/inference.grpc.pb.h"
#include "tern/v1/repository.grpc.pb.h"
#include "tests/server/serving/serving_test_base.h"
#include "tests/testing/exposition.h"
#include "tests/testing/temp_dir.h"

namespace tern::server {

// How an upload strays from the right way.
struct UploadVariant {
  std::size_t chunk_bytes = 1 << 16;
  bool store_only = false;
  // Other than those of the bytes, where set.
  std::string digest = {};
  std::uint64_t size = 0;
  // Cancel after that many chunks.
  int abort_after_chunks = -1;
};

// A Classify call on a thread of its own; the end cancels it.
class BackgroundCall {
 public:
  // `stub` must outlive the call.
  BackgroundCall(v1::InferenceService::Stub* stub, v1::ClassifyRequest request);
  ~BackgroundCall();
  BackgroundCall(const BackgroundCall&) = delete;
  BackgroundCall& operator=(const BackgroundCall&) = delete;

  void Cancel() { context_.TryCancel(); }
  // Waits for the answer.
  const grpc::Status& Join();

 private:
  const v1::ClassifyRequest request_;
  grpc::ClientContext context_;
  v1::ClassifyResponse response_;
  grpc::Status status_;
  std::thread thread_;
};

// A model for tests of time, 16x16 grey: a hundred million multiplications a
// picture. By plain loops (--isa=reference) no processor does that in one
// millisecond, however fast it is.
extern const std::string_view kCostly;

class ServerTest : public ::testing::Test {
 protected:
  ServerTest();
  ~ServerTest() override;

  // Serves repository_. Options may be changed before.
  void StartServer();
  // Ends it and starts another one on the same repository.
  void RestartServer();

  // Puts a model file into the repository; for before StartServer.
  void PutModel(const std::string& model, std::uint64_t version,
                const std::string& bytes);

  grpc::Status Classify(const v1::ClassifyRequest& request,
                        v1::ClassifyResponse* response,
                        int timeout_ms = 30'000);
  grpc::Status Upload(const std::string& model, std::uint64_t version,
                      const std::string& bytes, v1::UploadResponse* response,
                      const UploadVariant& variant = {});
  grpc::Status Load(const std::string& model, std::uint64_t version,
                    v1::LoadModelResponse* response);
  grpc::Status Unload(const std::string& model, std::uint64_t version);
  grpc::Status Delete(const std::string& model, std::uint64_t version);
  // Whether no upload has left anything half done.
  bool IncomingIsEmpty();
  std::vector<v1::ModelStatus> ListModels(const std::string& model = "");
  // SERVING and so on; SERVICE_UNKNOWN where Check says NOT_FOUND.
  grpc::health::v1::HealthCheckResponse::ServingStatus Health(
      const std::string& service);
  testing::Exposition Metrics();
  // One series of them; 0 where it is not exported.
  double Metric(const std::string& series);
  // Whether it has that value, or gets it within a minute.
  ::testing::AssertionResult MetricBecomes(const std::string& series,
                                           double value);
  std::string HttpGet(const std::string& path);

  std::shared_ptr<grpc::Channel> NewChannel() const;

  testing::TempDir repository_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::InferenceService::Stub> inference_;
  std::unique_ptr<v1::RepositoryService::Stub> repository_stub_;
  std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

// One raw picture of seed `seed` for a model of `graph`.
v1::ClassifyRequest RawRequest(const std::string& model, std::string_view graph,
                               std::uint64_t seed, int pictures = 1);
// The logits of all its pictures by an engine of our own, on plain kernels.
std::vector<float> OfflineLogits(const std::string& file,
                                 const v1::ClassifyRequest& request);
// Those of all results.
std::vector<float> AllLogits(const v1::ClassifyResponse& response);
bool SameBits(const std::vector<float>& a, const std::vector<float>& b);
// Name of a metric of a model's version 1, as /metrics writes it.
std::string SeriesOf(const std::string& metric, const std::string& model);
std::string DroppedSeries(const std::string& model, const std::string& reason);
// The fields that the status's BadRequest detail names.
std::vector<std::string> BadFields(const grpc::Status& status);
// What its RetryInfo detail says.
std::optional<std::chrono::nanoseconds> RetryDelay(const grpc::Status& status);
// Answer to GET, head and body; empty where the server closes at once.
std::string HttpGet(const std::string& address, const std::string& path);
// The same; sends `request` as it is.
std::string HttpExchangeBytes(const std::string& address,
                              const std::string& request);

}  // namespace tern::server

#endif  // TERN_TESTS_INTEGRATION_SERVER_FIXTURE_H_
