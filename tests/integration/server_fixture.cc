#include "tests/integration/server_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include "google/rpc/status.pb.h"
#include "grpcpp/create_channel.h"
#include "server/http/listen_socket.h"
#include "server/logging.h"

namespace tern::server {

const std::string_view kCostly = R"(
  input { height: 16 width: 16 channels: 1 }
  node {
    name: "conv1" activation: ACTIVATION_RELU
    conv2d { filters: 128 kernel_h: 1 kernel_w: 1 } }
  node {
    name: "conv2" activation: ACTIVATION_RELU
    conv2d { filters: 128 kernel_h: 5 kernel_w: 5
             padding { top: 2 bottom: 2 left: 2 right: 2 } } }
  node { name: "pool" global_avg_pool {} }
  node { name: "logits" linear { filters: 10 } })";

namespace {

// The first detail of that type.
template <typename Detail>
std::optional<Detail> DetailOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  for (const auto& any : details.details()) {
    Detail detail;
    if (any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

}  // namespace

BackgroundCall::BackgroundCall(v1::InferenceService::Stub* stub,
                               v1::ClassifyRequest request)
    : request_(std::move(request)), thread_([this, stub] {
        status_ = stub->Classify(&context_, request_, &response_);
      }) {}

BackgroundCall::~BackgroundCall() {
  Cancel();
  Join();
}

const grpc::Status& BackgroundCall::Join() {
  if (thread_.joinable()) thread_.join();
  return status_;
}

ServerTest::ServerTest() {
  InitLogging("text", "warn").IgnoreError();
  options_.model_repository = repository_.path();
  options_.grpc_address = "127.0.0.1:0";
  options_.http_address = "127.0.0.1:0";
}

ServerTest::~ServerTest() = default;

std::shared_ptr<grpc::Channel> ServerTest::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  // A connection of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(
      server_->grpc_address(), grpc::InsecureChannelCredentials(), arguments);
}

void ServerTest::StartServer() {
  ASSERT_TRUE(options_.Validate().ok()) << options_.Validate();
  auto server = Server::Start(options_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  channel_ = NewChannel();
  inference_ = v1::InferenceService::NewStub(channel_);
  repository_stub_ = v1::RepositoryService::NewStub(channel_);
  health_ = grpc::health::v1::Health::NewStub(channel_);
}

void ServerTest::RestartServer() {
  server_.reset();
  StartServer();
}

void ServerTest::PutModel(const std::string& model, std::uint64_t version,
                          const std::string& bytes) {
  PutFile(repository_ / absl::StrCat(model, "/", version, "/model.twn"), bytes);
}

grpc::Status ServerTest::Classify(const v1::ClassifyRequest& request,
                                  v1::ClassifyResponse* response,
                                  int timeout_ms) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(timeout_ms));
  return inference_->Classify(&context, request, response);
}

grpc::Status ServerTest::Upload(const std::string& model, std::uint64_t version,
                                const std::string& bytes,
                                v1::UploadResponse* response,
                                const UploadVariant& variant) {
  grpc::ClientContext context;
  const auto writer = repository_stub_->Upload(&context, response);
  v1::UploadRequest request;
  v1::UploadStart* start = request.mutable_start();
  start->set_model(model);
  start->set_version(version);
  start->set_size(variant.size != 0 ? variant.size : bytes.size());
  start->set_digest(variant.digest.empty() ? DigestOf(bytes) : variant.digest);
  start->set_store_only(variant.store_only);
  bool writing = writer->Write(request);
  int chunks = 0;
  for (std::size_t at = 0; writing && at < bytes.size();
       at += variant.chunk_bytes) {
    if (chunks++ == variant.abort_after_chunks) {
      context.TryCancel();
      break;
    }
    request.set_chunk(bytes.substr(at, variant.chunk_bytes));
    writing = writer->Write(request);
  }
  writer->WritesDone();
  return writer->Finish();
}

bool ServerTest::IncomingIsEmpty() {
  const std::filesystem::path incoming = repository_ / ".incoming";
  for (const auto& entry : std::filesystem::directory_iterator(incoming)) {
    if (entry.is_directory()) return false;
  }
  return true;
}

grpc::Status ServerTest::Load(const std::string& model, std::uint64_t version,
                              v1::LoadModelResponse* response) {
  grpc::ClientContext context;
  v1::LoadModelRequest request;
  request.set_model(model);
  request.set_version(version);
  return repository_stub_->LoadModel(&context, request, response);
}

grpc::Status ServerTest::Unload(const std::string& model,
                                std::uint64_t version) {
  grpc::ClientContext context;
  v1::UnloadModelRequest request;
  request.set_model(model);
  request.set_version(version);
  v1::UnloadModelResponse response;
  return repository_stub_->UnloadModel(&context, request, &response);
}

grpc::Status ServerTest::Delete(const std::string& model,
                                std::uint64_t version) {
  grpc::ClientContext context;
  v1::DeleteModelRequest request;
  request.set_model(model);
  request.set_version(version);
  v1::DeleteModelResponse response;
  return repository_stub_->DeleteModel(&context, request, &response);
}

std::vector<v1::ModelStatus> ServerTest::ListModels(const std::string& model) {
  grpc::ClientContext context;
  v1::ListModelsRequest request;
  request.set_model(model);
  v1::ListModelsResponse response;
  const grpc::Status status =
      repository_stub_->ListModels(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return {response.models().begin(), response.models().end()};
}

grpc::health::v1::HealthCheckResponse::ServingStatus ServerTest::Health(
    const std::string& service) {
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = health_->Check(&context, request, &response);
  if (status.error_code() == grpc::NOT_FOUND) {
    return grpc::health::v1::HealthCheckResponse::SERVICE_UNKNOWN;
  }
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.status();
}

testing::Exposition ServerTest::Metrics() {
  const std::string answer = HttpGet("/metrics");
  std::string error;
  testing::Exposition exposition = testing::ParseExposition(
      answer.substr(answer.find("\r\n\r\n") + 4), &error);
  EXPECT_EQ(error, "");
  return exposition;
}

double ServerTest::Metric(const std::string& series) {
  const testing::Exposition now = Metrics();
  const auto found = now.find(series);
  return found == now.end() ? 0 : found->second;
}

::testing::AssertionResult ServerTest::MetricBecomes(const std::string& series,
                                                     double value) {
  double last = 0;
  for (int i = 0; i < 6000; ++i) {
    last = Metric(series);
    if (last == value) return ::testing::AssertionSuccess();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return ::testing::AssertionFailure()
         << series << ": want " << value << ", got " << last;
}

std::string ServerTest::HttpGet(const std::string& path) {
  return server::HttpGet(server_->http_address(), path);
}

v1::ClassifyRequest RawRequest(const std::string& model, std::string_view graph,
                               std::uint64_t seed, int pictures) {
  const model::v1::Image input =
      testing::MakeTinyModel(graph, 1).header.graph().input();
  v1::ClassifyRequest request;
  request.mutable_model()->set_name(model);
  for (int i = 0; i < pictures; ++i) {
    const auto pixels =
        testing::RandomPicture(input, seed + static_cast<std::uint64_t>(i));
    v1::RawImage* raw = request.add_images()->mutable_raw();
    raw->set_height(input.height());
    raw->set_width(input.width());
    raw->set_channels(input.channels());
    raw->set_pixels(std::string(pixels.begin(), pixels.end()));
  }
  return request;
}

std::vector<float> OfflineLogits(const std::string& file,
                                 const v1::ClassifyRequest& request) {
  const auto model =
      Model::Load(testing::AsBytes(file), **SelectKernels("reference"), {})
          .value();
  ThreadPool pool(1);
  Session session(&pool);
  std::vector<float> all;
  for (const v1::Image& image : request.images()) {
    std::vector<float> logits(static_cast<std::size_t>(model->classes()));
    EXPECT_TRUE(session
                    .Run(*model, testing::AsBytes(image.raw().pixels()), 1,
                         absl::MakeSpan(logits))
                    .ok());
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> AllLogits(const v1::ClassifyResponse& response) {
  std::vector<float> all;
  for (const v1::ImageResult& result : response.results()) {
    all.insert(all.end(), result.logits().begin(), result.logits().end());
  }
  return all;
}

std::vector<std::string> BadFields(const grpc::Status& status) {
  std::vector<std::string> fields;
  if (const auto bad_request = DetailOf<google::rpc::BadRequest>(status)) {
    for (const auto& violation : bad_request->field_violations()) {
      fields.push_back(violation.field());
    }
  }
  return fields;
}

std::optional<std::chrono::nanoseconds> RetryDelay(const grpc::Status& status) {
  const auto info = DetailOf<google::rpc::RetryInfo>(status);
  if (!info.has_value()) return std::nullopt;
  return std::chrono::seconds(info->retry_delay().seconds()) +
         std::chrono::nanoseconds(info->retry_delay().nanos());
}

std::string SeriesOf(const std::string& metric, const std::string& model) {
  return absl::StrCat(metric, "{model=\"", model, "\",version=\"1\"}");
}

std::string DroppedSeries(const std::string& model, const std::string& reason) {
  return absl::StrCat("tern_dropped_requests_total{model=\"", model,
                      "\",reason=\"", reason, "\",version=\"1\"}");
}

std::string HttpGet(const std::string& address, const std::string& path) {
  return HttpExchangeBytes(
      address,
      "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

std::string HttpExchangeBytes(const std::string& address,
                              const std::string& request) {
  const HostPort host_port = ParseHostPort(address).value();
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(host_port.port);
  inet_pton(AF_INET, host_port.host.c_str(), &to.sin_addr);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) {
    send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    char buffer[4096];
    ssize_t got = 0;
    while ((got = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
      answer.append(buffer, static_cast<std::size_t>(got));
    }
  }
  close(fd);
  return answer;
}

}  // namespace tern::server
