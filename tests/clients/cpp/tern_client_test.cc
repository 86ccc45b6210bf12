#include "clients/cpp/tern_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/clients/cpp/fake_server.h"

namespace tern::client {
namespace {

using ::testing::HasSubstr;

class ClientTest : public ::testing::Test {
 protected:
  // A file of `bytes` bytes that no two chunks of which are alike.
  std::string MakeFile(std::size_t bytes) {
    const std::string path = ::testing::TempDir() + "/tern_client_test." +
                             std::to_string(::getpid());
    std::ofstream file(path, std::ios::binary);
    for (std::size_t i = 0; i < bytes; ++i) {
      file.put(static_cast<char>(i * 31 + i / 1000));
    }
    files_.push_back(path);
    return path;
  }

  void TearDown() override {
    for (const std::string& path : files_) std::filesystem::remove(path);
  }

  FakeServer server_;
  Client client_{server_.address(), {.timeout = absl::Seconds(20)}};

 private:
  std::vector<std::string> files_;
};

TEST_F(ClientTest, ClassifiesWithADeadline) {
  server_.on_classify = [](const grpc::ServerContext& context,
                           const v1::ClassifyRequest& request,
                           v1::ClassifyResponse* response) {
    const absl::Duration left =
        absl::FromChrono(context.deadline()) - absl::Now();
    EXPECT_GT(left, absl::Seconds(5));
    EXPECT_LT(left, absl::Seconds(21));
    response->mutable_answered_by()->set_model(request.model().name());
    return grpc::Status::OK;
  };
  v1::ClassifyRequest request;
  request.mutable_model()->set_name("m");
  const auto response = client_.Classify(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->answered_by().model(), "m");
}

TEST_F(ClientTest, TriesAgainWhenPushedBack) {
  std::atomic<int> calls = 0;
  absl::Time last = absl::InfinitePast();
  server_.on_classify = [&](const grpc::ServerContext&,
                            const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    const absl::Time now = absl::Now();
    EXPECT_GE(now - last, absl::Milliseconds(70));
    last = now;
    return ++calls < 3 ? PushBack(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                  "queue full", 70)
                       : grpc::Status::OK;
  };
  EXPECT_TRUE(client_.Classify({}).ok());
  EXPECT_EQ(calls, 3);
}

TEST_F(ClientTest, GivesUpAfterMaxAttempts) {
  std::atomic<int> calls = 0;
  server_.on_classify = [&](const grpc::ServerContext&,
                            const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    ++calls;
    return PushBack(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue full", 1);
  };
  Client client(server_.address(), {.max_attempts = 3});
  EXPECT_EQ(client.Classify({}).status(),
            absl::ResourceExhaustedError("queue full"));
  EXPECT_EQ(calls, 3);
}

TEST_F(ClientTest, AWaitPastTheDeadlineIsNotBegun) {
  server_.on_classify = [&](const grpc::ServerContext&,
                            const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    return PushBack(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue full",
                    3'600'000);
  };
  const absl::Time start = absl::Now();
  EXPECT_TRUE(absl::IsResourceExhausted(client_.Classify({}).status()));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(ClientTest, ErrorsAreTheServers) {
  std::atomic<int> calls = 0;
  server_.on_classify = [&](const grpc::ServerContext&,
                            const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    ++calls;
    return BadField("request refused", "images[3].raw", "want 784, got 5");
  };
  EXPECT_EQ(client_.Classify({}).status(),
            absl::InvalidArgumentError(
                "request refused; images[3].raw: want 784, got 5"));
  EXPECT_EQ(calls, 1);
}

TEST_F(ClientTest, UploadsAFileInPieces) {
  const std::string path = MakeFile(700'000);
  server_.on_upload = [&](const grpc::ServerContext&,
                          const std::vector<v1::UploadRequest>& requests,
                          v1::UploadResponse* response) {
    const v1::UploadStart& start = requests.at(0).start();
    EXPECT_EQ(start.model(), "m");
    EXPECT_EQ(start.version(), 4U);
    EXPECT_EQ(start.size(), 700'000U);
    std::string bytes;
    for (std::size_t i = 1; i < requests.size(); ++i) {
      bytes += requests[i].chunk();
    }
    EXPECT_GT(requests.size(), 3U);
    std::ifstream file(path, std::ios::binary);
    EXPECT_EQ(bytes, std::string(std::istreambuf_iterator<char>(file), {}));
    response->set_digest(start.digest());
    response->set_version(4);
    return grpc::Status::OK;
  };
  std::vector<std::uint64_t> progress;
  const auto response = client_.Upload(
      path, "m", 4, [&](std::uint64_t sent) { progress.push_back(sent); });
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->version(), 4U);
  EXPECT_TRUE(std::is_sorted(progress.begin(), progress.end()));
  EXPECT_EQ(progress.back(), 700'000U);
}

TEST_F(ClientTest, SendsTheSha256) {
  const std::string path = MakeFile(0);
  std::ofstream(path) << "abc";
  server_.on_upload = [&](const grpc::ServerContext&,
                          const std::vector<v1::UploadRequest>& requests,
                          v1::UploadResponse* response) {
    // FIPS 180-2, appendix B.1.
    EXPECT_EQ(requests.at(0).start().digest(),
              "ba7816bf8f01cfea414140de5dae2223"
              "b00361a396177a9cb410ff61f20015ad");
    response->set_digest("something else");
    return grpc::Status::OK;
  };
  EXPECT_THAT(client_.Upload(path, "m", 0, nullptr).status().message(),
              HasSubstr("the server stored something else"));
}

TEST_F(ClientTest, RepeatsAnUnnumberedUploadOnlyWhenPushedBack) {
  const std::string path = MakeFile(10);
  std::atomic<int> calls = 0;
  server_.on_upload = [&](const grpc::ServerContext&,
                          const std::vector<v1::UploadRequest>& requests,
                          v1::UploadResponse* response) {
    response->set_digest(requests.at(0).start().digest());
    switch (++calls) {
      case 1:
        return PushBack(grpc::StatusCode::UNAVAILABLE, "draining", 1);
      case 2:
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "lost");
      default:
        return grpc::Status::OK;
    }
  };
  EXPECT_EQ(client_.Upload(path, "m", 0, nullptr).status(),
            absl::UnavailableError("lost"));
  EXPECT_EQ(calls, 2);
  calls = 0;
  EXPECT_TRUE(client_.Upload(path, "m", 1, nullptr).ok());
  EXPECT_EQ(calls, 3);
}

TEST_F(ClientTest, AnUploadRefusedEarlyGivesTheRefusal) {
  const std::string path = MakeFile(3'000'000);
  server_.on_upload = [&](const grpc::ServerContext&,
                          const std::vector<v1::UploadRequest>&,
                          v1::UploadResponse*) {
    return grpc::Status(grpc::StatusCode::ALREADY_EXISTS, "other bytes");
  };
  EXPECT_EQ(client_.Upload(path, "m", 1, nullptr).status(),
            absl::AlreadyExistsError("other bytes"));
}

TEST_F(ClientTest, UploadNamesAMissingFile) {
  const absl::Status status =
      client_.Upload("/no/such/file.twn", "m", 1, nullptr).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(status.message(), HasSubstr("/no/such/file.twn"));
}

TEST_F(ClientTest, ManagesModels) {
  server_.on_list = [](const grpc::ServerContext&,
                       const v1::ListModelsRequest& request,
                       v1::ListModelsResponse* response) {
    response->add_models()->set_model(request.model() + "!");
    return grpc::Status::OK;
  };
  server_.on_get = [](const grpc::ServerContext&,
                      const v1::GetModelRequest& request,
                      v1::GetModelResponse* response) {
    response->set_classes(static_cast<std::uint32_t>(request.version()));
    return grpc::Status::OK;
  };
  server_.on_load = [](const grpc::ServerContext&,
                       const v1::LoadModelRequest& request,
                       v1::LoadModelResponse* response) {
    response->mutable_status()->set_version(request.version());
    return grpc::Status::OK;
  };
  server_.on_unload = [](const grpc::ServerContext&,
                         const v1::UnloadModelRequest& request,
                         v1::UnloadModelResponse*) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, request.model());
  };
  EXPECT_EQ(client_.ListModels("m")->models(0).model(), "m!");
  EXPECT_EQ(client_.GetModel("m", 7)->classes(), 7U);
  EXPECT_EQ(client_.LoadModel("m", 8)->version(), 8U);
  EXPECT_EQ(client_.UnloadModel("gone", 1), absl::NotFoundError("gone"));
  EXPECT_TRUE(absl::IsUnimplemented(client_.DeleteModel("m", 1)));
}

TEST_F(ClientTest, AsksForHealth) {
  using grpc::health::v1::HealthCheckResponse;
  server_.on_check = [](const grpc::ServerContext&,
                        const grpc::health::v1::HealthCheckRequest& request,
                        HealthCheckResponse* response) {
    response->set_status(request.service().empty()
                             ? HealthCheckResponse::SERVING
                             : HealthCheckResponse::NOT_SERVING);
    return grpc::Status::OK;
  };
  EXPECT_TRUE(*client_.IsServing(""));
  EXPECT_FALSE(*client_.IsServing("m"));
}

TEST_F(ClientTest, NobodyThereIsUnavailable) {
  Client client("127.0.0.1:1", {.max_attempts = 2});
  EXPECT_TRUE(absl::IsUnavailable(client.Classify({}).status()));
  EXPECT_TRUE(absl::IsUnavailable(client.IsServing("").status()));
}

}  // namespace
}  // namespace tern::client
