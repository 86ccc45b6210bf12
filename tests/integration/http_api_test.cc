// The HTTP door's classification, over real sockets.

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/engine/image/fixtures.h"
#include "tests/integration/server_fixture.h"

namespace tern::server {
namespace {

using ::testing::HasSubstr;
using testing::kTinyConv;
using ::testing::StartsWith;

class HttpApiTest : public ServerTest {
 protected:
  struct Answer {
    std::string head;
    nlohmann::json body;
  };
  static Answer Split(const std::string& bytes) {
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string::npos) return {bytes, {}};
    return {bytes.substr(0, end + 2),
            nlohmann::json::parse(bytes.substr(end + 4), nullptr, false)};
  }
  Answer Get(const std::string& path) { return Split(HttpGet(path)); }
  Answer Post(const std::string& path, const std::string& body,
              const std::string& type = "application/x-www-form-urlencoded") {
    return Split(HttpExchangeBytes(
        server_->http_address(),
        absl::StrCat("POST ", path,
                     " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                     "Content-Type: ",
                     type, "\r\nContent-Length: ", body.size(), "\r\n\r\n",
                     body)));
  }
  static std::string Fixture(const std::string& name) {
    const Bytes bytes = ReadFixture(name);
    return {bytes.begin(), bytes.end()};
  }
  void Serve() {
    PutModel("conv", 1, ModelFileBytes(2, kTinyConv));
    StartServer();
  }
};

TEST_F(HttpApiTest, AnswersWhatGrpcAnswers) {
  Serve();
  const std::string png = Fixture("grey_8.png");
  const Answer answer =
      Post("/v1/models/conv:classify?logits=true&top_k=2", png);
  ASSERT_THAT(answer.head, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/json\r\n"));

  v1::ClassifyRequest request;
  request.mutable_model()->set_name("conv");
  request.add_images()->set_encoded(png);
  request.set_top_k(2);
  request.set_return_logits(true);
  v1::ClassifyResponse response;
  ASSERT_TRUE(Classify(request, &response).ok());
  const v1::ImageResult& expected = response.results(0);
  const nlohmann::json& result = answer.body["results"][0];
  ASSERT_EQ(result["classes"].size(), 2u);
  EXPECT_EQ(result["classes"][0]["index"], expected.classes(0).index());
  EXPECT_EQ(result["classes"][0]["logit"].get<float>(),
            expected.classes(0).logit());
  EXPECT_NEAR(result["classes"][1]["probability"].get<double>(),
              expected.classes(1).probability(), 1e-12);
  ASSERT_EQ(result["logits"].size(),
            static_cast<std::size_t>(expected.logits_size()));
  for (int i = 0; i < expected.logits_size(); ++i) {
    EXPECT_EQ(result["logits"][static_cast<std::size_t>(i)].get<float>(),
              expected.logits(i));
  }
  EXPECT_EQ(answer.body["answered_by"]["model"], "conv");
  EXPECT_EQ(answer.body["answered_by"]["digest"],
            response.answered_by().digest());
}

TEST_F(HttpApiTest, VersionsAndJpegsWork) {
  Serve();
  const std::string jpeg = Fixture("grey.jpg");
  EXPECT_THAT(Post("/v1/models/conv/versions/1:classify", jpeg).head,
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Post("/v1/models/conv/versions/2:classify", jpeg).head,
              StartsWith("HTTP/1.1 404"));
}

TEST_F(HttpApiTest, WhatCannotBeDoneInTimeIsNotRun) {
  options_.isa = "reference";
  options_.threads = 1;
  options_.http_timeout_ms = 1;
  PutModel("costly", 1, ModelFileBytes(1, kCostly));
  StartServer();
  const Answer answer =
      Post("/v1/models/costly:classify", Fixture("grey_8.png"));
  EXPECT_THAT(answer.head, StartsWith("HTTP/1.1 504"));
  EXPECT_EQ(answer.body["error"]["status"], "DEADLINE_EXCEEDED");
  // The second where that millisecond is over before the server looks.
  EXPECT_EQ(Metric(DroppedSeries("costly", "predicted_late")) +
                Metric(DroppedSeries("costly", "expired")),
            1);
  EXPECT_EQ(Metric(SeriesOf("tern_inferences_total", "costly")), 0);
}

TEST_F(HttpApiTest, ErrorsSayWhatGrpcWouldSay) {
  options_.max_http_body_bytes = 100'000;
  Serve();
  const std::string png = Fixture("grey_8.png");
  const struct {
    std::string path;
    std::string body;
    int code;
    std::string status;
    std::string message;
    std::string field;
  } cases[] = {
      {"/v1/models/unknown:classify", png, 404, "NOT_FOUND", "'unknown'", ""},
      {"/v1/models/conv:classify", "", 400, "INVALID_ARGUMENT",
       "body: want a JPEG or PNG file, got nothing", "body"},
      {"/v1/models/conv:classify", "text", 400, "INVALID_ARGUMENT",
       "body: image: not a JPEG or PNG file", "body"},
      // As curl -d @FILE sends it.
      {"/v1/models/conv:classify", absl::StrReplaceAll(png, {{"\r\n", ""}}),
       400, "INVALID_ARGUMENT", "--data-binary", "body"},
      {"/v1/models/conv:classify?top_k=-1", png, 400, "INVALID_ARGUMENT",
       "top_k: want a number 0..4294967295, got '-1'", "top_k"},
      {"/v1/models/conv:classify?priority=101", png, 400, "INVALID_ARGUMENT",
       "priority: want a number -100..100, got '101'", "priority"},
      {"/v1/models/conv:classify?logits=1", png, 400, "INVALID_ARGUMENT",
       "logits: want true or false, got '1'", "logits"},
      {"/v1/models/conv:classify?topk=1", png, 400, "INVALID_ARGUMENT",
       "topk: no such option", "topk"},
      {"/v1/models/conv/versions/x:classify", png, 400, "INVALID_ARGUMENT",
       "version: want a number, got 'x'", "version"},
      {"/v1/models/conv:classify", std::string(100'001, 'x'), 413,
       "RESOURCE_EXHAUSTED", "want at most 100000 bytes, got 100001", ""},
      {"/v1/models", png, 405, "UNIMPLEMENTED", "takes GET", ""},
      {"/v1/nothing", png, 404, "NOT_FOUND", "no page", ""},
  };
  for (const auto& each : cases) {
    const Answer answer = Post(each.path, each.body);
    EXPECT_THAT(answer.head, StartsWith(absl::StrCat("HTTP/1.1 ", each.code)))
        << each.path;
    ASSERT_TRUE(answer.body.contains("error")) << each.path;
    const nlohmann::json& error = answer.body["error"];
    EXPECT_EQ(error["code"], each.code);
    EXPECT_EQ(error["status"], each.status);
    EXPECT_THAT(error["message"].get<std::string>(), HasSubstr(each.message));
    if (each.field.empty()) continue;
    EXPECT_EQ(error["details"][0]["fieldViolations"][0]["field"], each.field);
  }
}

TEST_F(HttpApiTest, AFormIsNoPicture) {
  Serve();
  const Answer answer = Post("/v1/models/conv:classify",
                             "--b\r\nContent-Type: image/png\r\n\r\n" +
                                 Fixture("grey_8.png") + "\r\n--b--\r\n",
                             "Multipart/form-data; boundary=b");
  EXPECT_THAT(answer.head, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer.body["error"]["message"].get<std::string>(),
              StartsWith("body: want the file's bytes alone, got a form"));
}

TEST_F(HttpApiTest, ListsModels) {
  PutModel("bad", 3, "x");
  Serve();
  const Answer answer = Get("/v1/models");
  ASSERT_THAT(answer.head, StartsWith("HTTP/1.1 200"));
  const nlohmann::json& models = answer.body["models"];
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0]["model"], "bad");
  EXPECT_EQ(models[0]["version"], "3");
  EXPECT_EQ(models[0]["state"], "MODEL_STATE_FAILED");
  EXPECT_NE(models[0]["error"]["message"], "");
  EXPECT_EQ(models[1]["model"], "conv");
  EXPECT_EQ(models[1]["state"], "MODEL_STATE_READY");
}

TEST_F(HttpApiTest, CallsAreCounted) {
  Serve();
  Post("/v1/models/conv:classify", Fixture("grey_8.png"));
  Post("/v1/models/conv:classify", "text");
  const testing::Exposition now = Metrics();
  EXPECT_EQ(now.at(R"(tern_requests_total{code="OK",method="Http.Classify"})"),
            1);
  EXPECT_EQ(
      now.at(
          R"(tern_requests_total{code="INVALID_ARGUMENT",method="Http.Classify"})"),
      1);
}

}  // namespace
}  // namespace tern::server
