// RepositoryService over real sockets.

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"

namespace tern::server {
namespace {

using grpc::health::v1::HealthCheckResponse;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kLenet5;
using testing::kTinyMlp;

class RepositoryTest : public ServerTest {
 protected:
  // "model/version STATE" of each.
  std::vector<std::string> States() {
    std::vector<std::string> states;
    for (const v1::ModelStatus& status : ListModels()) {
      states.push_back(absl::StrCat(
          status.model(), "/", status.version(), " ",
          v1::ModelState_Name(status.state()).substr(sizeof("MODEL_STATE"))));
    }
    return states;
  }

  v1::UploadResponse uploaded_;
};

TEST_F(RepositoryTest, UploadsAreServedAtOnceAndSurviveARestart) {
  StartServer();
  EXPECT_THAT(States(), IsEmpty());
  const std::string file = ModelFileBytes(1, kLenet5);
  const grpc::Status status =
      Upload("shoes", 0, file, &uploaded_, {.chunk_bytes = 1000});
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(uploaded_.model(), "shoes");
  EXPECT_EQ(uploaded_.version(), 1u);
  EXPECT_EQ(uploaded_.digest(), DigestOf(file));
  EXPECT_FALSE(uploaded_.existed());
  v1::ClassifyResponse response;
  EXPECT_TRUE(Classify(RawRequest("shoes", kLenet5, 1), &response).ok());
  EXPECT_EQ(Health("shoes"), HealthCheckResponse::SERVING);

  RestartServer();
  EXPECT_THAT(States(), ElementsAre("shoes/1 READY"));
  EXPECT_TRUE(Classify(RawRequest("shoes", kLenet5, 1), &response).ok());
  EXPECT_EQ(response.answered_by().digest(), DigestOf(file));
}

TEST_F(RepositoryTest, TheSameBytesAgainAreANoOpOthersAConflict) {
  StartServer();
  const std::string first = ModelFileBytes(1);
  const std::string second = ModelFileBytes(2);
  ASSERT_TRUE(Upload("m", 1, first, &uploaded_).ok());
  ASSERT_TRUE(Upload("m", 1, first, &uploaded_).ok());
  EXPECT_TRUE(uploaded_.existed());
  const grpc::Status conflict = Upload("m", 1, second, &uploaded_);
  EXPECT_EQ(conflict.error_code(), grpc::ALREADY_EXISTS);
  ASSERT_TRUE(Upload("m", 0, second, &uploaded_).ok());
  EXPECT_EQ(uploaded_.version(), 2u);
  EXPECT_THAT(States(), Contains("m/2 READY"));
  v1::ClassifyResponse response;
  ASSERT_TRUE(Classify(RawRequest("m", kTinyMlp, 1), &response).ok());
  EXPECT_EQ(response.answered_by().version(), 2u);
  EXPECT_TRUE(IncomingIsEmpty());
}

TEST_F(RepositoryTest, BadUploadsAreRefusedAndLeaveNothing) {
  options_.max_model_bytes = 1 << 20;
  StartServer();
  const std::string file = ModelFileBytes(1);
  std::string corrupt = file;
  corrupt[corrupt.size() / 2] =
      static_cast<char>(corrupt[corrupt.size() / 2] ^ 1);
  struct Case {
    const char* what;
    std::string model;
    std::string bytes;
    grpc::StatusCode code;
    std::string field;
    std::string message;
    UploadVariant variant = {};
  };
  std::vector<Case> cases = {
      {"digest of other bytes", "m", corrupt, grpc::DATA_LOSS, "", "SHA-256"},
      {"too short", "m", file, grpc::INVALID_ARGUMENT, "chunk", "bytes"},
      {"too long", "m", file, grpc::INVALID_ARGUMENT, "chunk", "announced"},
      {"too large", "m", file, grpc::INVALID_ARGUMENT, "start.size", "1048576"},
      {"bad digest", "m", file, grpc::INVALID_ARGUMENT, "start.digest", "64"},
      {"corrupt with a true digest", "m", corrupt, grpc::DATA_LOSS, "", ""},
      {"not a model", "m", "hello", grpc::INVALID_ARGUMENT, "", ""},
      {"bad name", "../m", file, grpc::INVALID_ARGUMENT, "start.model", "../m"},
      {"no name", "", file, grpc::INVALID_ARGUMENT, "start.model", ""},
  };
  cases[0].variant.digest = DigestOf(file);
  cases[1].variant.size = file.size() + 1;
  cases[2].variant.size = file.size() - 1;
  cases[3].variant.size = (1 << 20) + 1;
  cases[4].variant.digest = "xyz";
  for (const auto& each : cases) {
    const grpc::Status status =
        Upload(each.model, 0, each.bytes, &uploaded_, each.variant);
    EXPECT_EQ(status.error_code(), each.code)
        << each.what << ": " << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(each.message)) << each.what;
    if (!each.field.empty()) {
      EXPECT_THAT(BadFields(status), ElementsAre(each.field)) << each.what;
    }
    EXPECT_TRUE(IncomingIsEmpty()) << each.what;
    EXPECT_THAT(States(), IsEmpty()) << each.what;
  }
}

TEST_F(RepositoryTest, MessagesOutOfOrderAreRefused) {
  StartServer();
  const auto send = [&](const std::vector<v1::UploadRequest>& messages) {
    grpc::ClientContext context;
    const auto writer = repository_stub_->Upload(&context, &uploaded_);
    for (const auto& message : messages) {
      if (!writer->Write(message)) break;
    }
    writer->WritesDone();
    return writer->Finish();
  };
  v1::UploadRequest chunk;
  chunk.set_chunk("x");
  v1::UploadRequest start;
  start.mutable_start()->set_model("m");
  start.mutable_start()->set_size(10);
  start.mutable_start()->set_digest(DigestOf("0123456789"));
  const struct {
    std::vector<v1::UploadRequest> messages;
    const char* field;
    const char* message;
  } cases[] = {
      {{}, "start", "want it in the first message, got none"},
      {{chunk}, "start", "want it in the first message, got a chunk"},
      {{start, start}, "start", "want it once, got it a second time"},
      {{v1::UploadRequest()}, "part", "want start or chunk, got neither"},
  };
  for (const auto& each : cases) {
    const grpc::Status status = send(each.messages);
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(each.message));
    EXPECT_THAT(BadFields(status), ElementsAre(each.field));
  }
  EXPECT_TRUE(IncomingIsEmpty());
}

TEST_F(RepositoryTest, AnUploadThatBreaksOffLeavesNothing) {
  StartServer();
  const std::string file = ModelFileBytes(1, kLenet5);
  for (const int chunks : {0, 1, 5}) {
    const grpc::Status status =
        Upload("m", 0, file, &uploaded_,
               {.chunk_bytes = 1024, .abort_after_chunks = chunks});
    EXPECT_EQ(status.error_code(), grpc::CANCELLED);
  }
  EXPECT_THAT(States(), IsEmpty());
  // The server may hear of it after the client.
  for (int i = 0; i < 500 && !IncomingIsEmpty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(IncomingIsEmpty());
}

TEST_F(RepositoryTest, SilentUploadsAreCutOffAndActiveOnesAreNot) {
  options_.upload_silence_ms = 1000;
  StartServer();
  const std::string file = ModelFileBytes(1);
  v1::UploadRequest start;
  start.mutable_start()->set_model("m");
  start.mutable_start()->set_size(file.size());
  start.mutable_start()->set_digest(DigestOf(file));
  grpc::ClientContext silent;
  const auto silent_writer = repository_stub_->Upload(&silent, &uploaded_);
  ASSERT_TRUE(silent_writer->Write(start));

  // Slower altogether than the limit, never silent for that long.
  v1::UploadResponse response;
  grpc::ClientContext active;
  const auto writer = repository_stub_->Upload(&active, &response);
  ASSERT_TRUE(writer->Write(start));
  constexpr std::size_t kPieces = 20;
  for (std::size_t i = 0; i < kPieces; ++i) {
    const std::size_t from = file.size() * i / kPieces;
    v1::UploadRequest chunk;
    chunk.set_chunk(file.substr(from, file.size() * (i + 1) / kPieces - from));
    ASSERT_TRUE(writer->Write(chunk));
    std::this_thread::sleep_for(std::chrono::milliseconds(80));
  }
  writer->WritesDone();
  const grpc::Status active_status = writer->Finish();
  EXPECT_TRUE(active_status.ok()) << active_status.error_message();
  EXPECT_EQ(silent_writer->Finish().error_code(), grpc::CANCELLED);
}

TEST_F(RepositoryTest, UploadsBeyondTheLimitAreTurnedAway) {
  StartServer();
  constexpr int kMax = 16;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientWriter<v1::UploadRequest>>> writers;
  std::vector<v1::UploadResponse> responses(kMax + 1);
  v1::UploadRequest start;
  start.mutable_start()->set_model("m");
  start.mutable_start()->set_size(10);
  start.mutable_start()->set_digest(DigestOf("0123456789"));
  for (int i = 0; i < kMax; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    writers.push_back(repository_stub_->Upload(
        contexts.back().get(), &responses[static_cast<std::size_t>(i)]));
    ASSERT_TRUE(writers.back()->Write(start));
  }
  const auto folders = [&] {
    std::ptrdiff_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(repository_ / ".incoming")) {
      count += entry.is_directory() ? 1 : 0;
    }
    return count;
  };
  while (folders() < kMax) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const grpc::Status refused = Upload("m", 0, ModelFileBytes(1), &uploaded_);
  EXPECT_EQ(refused.error_code(), grpc::RESOURCE_EXHAUSTED);
  for (int i = 0; i < kMax; ++i) {
    contexts[static_cast<std::size_t>(i)]->TryCancel();
    writers[static_cast<std::size_t>(i)]->Finish();
  }
}

TEST_F(RepositoryTest, StoredModelsWaitUntilTheyAreLoaded) {
  StartServer();
  ASSERT_TRUE(
      Upload("m", 3, ModelFileBytes(1), &uploaded_, {.store_only = true}).ok());
  EXPECT_THAT(States(), ElementsAre("m/3 UNLOADED"));
  v1::ClassifyResponse response;
  EXPECT_EQ(Classify(RawRequest("m", kTinyMlp, 1), &response).error_code(),
            grpc::NOT_FOUND);
  v1::LoadModelResponse loaded;
  ASSERT_TRUE(Load("m", 3, &loaded).ok());
  EXPECT_EQ(loaded.status().state(), v1::MODEL_STATE_READY);
  EXPECT_GT(loaded.status().packed_bytes(), 0u);
  EXPECT_TRUE(Classify(RawRequest("m", kTinyMlp, 1), &response).ok());
}

TEST_F(RepositoryTest, UnloadStopsServingAndDeleteRemovesTheFile) {
  PutModel("m", 1, ModelFileBytes(1));
  StartServer();
  ASSERT_TRUE(Unload("m", 1).ok());
  EXPECT_THAT(States(), ElementsAre("m/1 UNLOADED"));
  EXPECT_EQ(Health("m"), HealthCheckResponse::NOT_SERVING);
  v1::ClassifyResponse response;
  EXPECT_EQ(Classify(RawRequest("m", kTinyMlp, 1), &response).error_code(),
            grpc::NOT_FOUND);
  EXPECT_EQ(Unload("m", 1).error_code(), grpc::NOT_FOUND);
  ASSERT_TRUE(Delete("m", 1).ok());
  EXPECT_THAT(States(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(repository_ / "m/1"));
  EXPECT_EQ(Health("m"), HealthCheckResponse::SERVICE_UNKNOWN);
  EXPECT_EQ(Delete("m", 1).error_code(), grpc::NOT_FOUND);
}

TEST_F(RepositoryTest, GetModelTellsWhatItTakesAndGives) {
  const std::string file = ModelFileBytes(1, kLenet5);
  PutModel("m", 1, file);
  StartServer();
  grpc::ClientContext context;
  v1::GetModelRequest request;
  request.set_model("m");
  v1::GetModelResponse response;
  ASSERT_TRUE(repository_stub_->GetModel(&context, request, &response).ok());
  EXPECT_EQ(response.input().height(), 28u);
  EXPECT_EQ(response.classes(), 10u);
  EXPECT_EQ(response.status().version(), 1u);
  EXPECT_EQ(response.status().file_bytes(), file.size());
  EXPECT_GT(response.status().float32_bytes(),
            8 * response.status().packed_bytes());
  EXPECT_FALSE(response.card().has_golden());
}

TEST_F(RepositoryTest, CallsAboutNothingAreRefusedByFieldOrNotFound) {
  StartServer();
  v1::LoadModelResponse loaded;
  EXPECT_EQ(Load("m", 1, &loaded).error_code(), grpc::NOT_FOUND);
  const grpc::Status bad_name = Load("M", 1, &loaded);
  EXPECT_EQ(bad_name.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(BadFields(bad_name), ElementsAre("model"));
  const grpc::Status no_version = Unload("m", 0);
  EXPECT_EQ(no_version.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(BadFields(no_version), ElementsAre("version"));
  EXPECT_THAT(BadFields(Delete("m", 0)), ElementsAre("version"));
  grpc::ClientContext context;
  v1::ListModelsRequest request;
  request.set_model("unknown");
  v1::ListModelsResponse response;
  EXPECT_EQ(
      repository_stub_->ListModels(&context, request, &response).error_code(),
      grpc::NOT_FOUND);
}

TEST_F(RepositoryTest, ABadFileFailsAloneAndSaysWhy) {
  PutModel("good", 1, ModelFileBytes(1));
  PutModel("bad", 1, "not a model");
  StartServer();
  EXPECT_THAT(States(), ElementsAre("bad/1 FAILED", "good/1 READY"));
  const v1::ModelStatus status = ListModels("bad").at(0);
  EXPECT_THAT(status.error().code(), AnyOf(3, 15));
  EXPECT_NE(status.error().message(), "");
  v1::ClassifyResponse response;
  const grpc::Status refused =
      Classify(RawRequest("bad", kTinyMlp, 1), &response);
  EXPECT_EQ(refused.error_code(), grpc::UNAVAILABLE);
  EXPECT_TRUE(Classify(RawRequest("good", kTinyMlp, 1), &response).ok());
}

}  // namespace
}  // namespace tern::server
