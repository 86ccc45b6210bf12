#include "tests/clients/cpp/cli_test.h"

#include <gmock/gmock.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

namespace tern::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(CliTest, UsageErrorsExitWithTwo) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"fly"},
      {"classify"},
      {"classify", "a.jpg", "--model=m", "--top_k=0"},
      {"classify", "a.jpg", "--model=m", "--batch=many"},
      {"classify", "a.jpg", "--model=m", "--json", "--csv"},
      {"classify", "a.jpg", "--model=m", "--draw=well"},
      {"classify", "a.jpg", "--model=m", "--timeout=soon"},
      {"classify", "a.jpg", "--model=m", "--timeout=-1"},
      {"models"},
      {"models", "unload", "m"},
      {"models", "delete", "m"},
      {"bench", "--model=m", "--concurrency=0"},
      {"completion", "fish"},
      {"health", "--config=/no/such/file"}};
  for (const auto& arguments : wrong) {
    EXPECT_EQ(RunAlone(arguments), 2) << ::testing::PrintToString(arguments);
    EXPECT_THAT(err_, AllOf(StartsWith("tern: "), HasSubstr("--help")));
    EXPECT_EQ(out_, "");
  }
}

TEST_F(CliTest, SaysWhichCommandsThereAre) {
  EXPECT_EQ(RunAlone({"--server=h:1", "fly", "--model=m"}), 2);
  EXPECT_THAT(err_, StartsWith("tern: no such command: 'fly'; want classify, "
                               "models, bench, health or completion\n"));
  EXPECT_EQ(RunAlone({"models"}), 2);
  EXPECT_THAT(err_, StartsWith("tern: a command is missing; want list, "));
  EXPECT_EQ(RunAlone({"models", "rename"}), 2);
  EXPECT_THAT(err_, StartsWith("tern: no such command: 'rename'; want list, "));
}

TEST_F(CliTest, HelpIsEverywhere) {
  for (const std::vector<std::string>& path : {std::vector<std::string>{},
                                               {"classify"},
                                               {"models"},
                                               {"models", "list"},
                                               {"models", "upload"},
                                               {"bench"},
                                               {"health"},
                                               {"completion"}}) {
    std::vector<std::string> arguments = path;
    arguments.push_back("--help");
    EXPECT_EQ(RunAlone(arguments), 0) << ::testing::PrintToString(path);
    EXPECT_THAT(out_, HasSubstr("--server HOST:PORT"));
    EXPECT_THAT(out_, HasSubstr("TERN_SERVER"));
  }
  EXPECT_EQ(RunAlone({"--version"}), 0);
  EXPECT_THAT(out_, StartsWith("tern "));
}

TEST_F(CliTest, TheServerComesFromEnvironmentOrConfiguration) {
  server_.on_list = [](const grpc::ServerContext&, const v1::ListModelsRequest&,
                       v1::ListModelsResponse*) { return grpc::Status::OK; };
  ::setenv("TERN_SERVER", server_.address().c_str(), 1);
  EXPECT_EQ(RunAlone({"models", "list"}), 0) << err_;
  ::unsetenv("TERN_SERVER");
  Write("tern.ini", "server=" + server_.address() + "\n");
  EXPECT_EQ(RunAlone({"models", "list"}), 0) << err_;
  // The command line wins.
  EXPECT_EQ(
      RunAlone({"models", "list", "--server=127.0.0.1:1", "--timeout=0.1"}), 1);
}

TEST_F(CliTest, HealthIsTheExitCode) {
  using grpc::health::v1::HealthCheckResponse;
  std::atomic<int> state = HealthCheckResponse::SERVING;
  server_.on_check = [&](const grpc::ServerContext&,
                         const grpc::health::v1::HealthCheckRequest& request,
                         HealthCheckResponse* response) {
    if (request.service() == "nobody") {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "unknown service");
    }
    response->set_status(
        static_cast<HealthCheckResponse::ServingStatus>(state.load()));
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run({"health"}), 0);
  EXPECT_EQ(out_, "serving\n");
  EXPECT_EQ(Run({"health", "--service=nobody"}), 1);
  state = HealthCheckResponse::NOT_SERVING;
  EXPECT_EQ(Run({"health"}), 1);
  EXPECT_EQ(out_, "not serving\n");
  EXPECT_EQ(RunAlone({"health", "--server=127.0.0.1:1"}), 1);
}

TEST_F(CliTest, ListsModels) {
  server_.on_list = [](const grpc::ServerContext&,
                       const v1::ListModelsRequest& request,
                       v1::ListModelsResponse* response) {
    EXPECT_TRUE(request.model().empty() || request.model() == "m");
    v1::ModelStatus& ready = *response->add_models();
    ready.set_model("m");
    ready.set_version(2);
    ready.set_state(v1::MODEL_STATE_READY);
    ready.set_digest("0123456789abcdef");
    ready.set_file_bytes(2048);
    ready.set_packed_bytes(3 << 20);
    ready.set_inference_count(9);
    v1::ModelStatus& failed = *response->add_models();
    failed.set_model("m");
    failed.set_version(10);
    failed.set_state(v1::MODEL_STATE_FAILED);
    failed.mutable_error()->set_code(15);
    failed.mutable_error()->set_message("layer conv2 differs");
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run({"models", "list"}), 0);
  EXPECT_EQ(out_,
            "MODEL  VERSION  STATE   FILE     IN MEMORY  AS FLOAT32  IMAGES  "
            "SHA-256\n"
            "m      2        ready   2.0 KiB  3.0 MiB    -           9       "
            "0123456789ab\n"
            "m      10       failed  -        -          -           0         "
            "            layer conv2 differs\n");
  EXPECT_EQ(Run({"models", "list", "m", "--json"}), 0);
  const auto json = nlohmann::json::parse(out_);
  EXPECT_EQ(json["models"][0]["packed_bytes"], 3 << 20);
  EXPECT_EQ(json["models"][1]["error"], "layer conv2 differs");
}

TEST_F(CliTest, SaysHowAFirstModelComes) {
  server_.on_list = [](const grpc::ServerContext&, const v1::ListModelsRequest&,
                       v1::ListModelsResponse*) { return grpc::Status::OK; };
  EXPECT_EQ(Run({"models", "list"}), 0);
  EXPECT_THAT(out_, StartsWith("MODEL  VERSION"));
  EXPECT_THAT(err_, HasSubstr("tern models upload FILE.twn --model=NAME"));
}

TEST_F(CliTest, AnUploadWithoutAFileDoesNotBlameTheServer) {
  EXPECT_EQ(Run({"models", "upload", Path("absent.twn"), "--model=m"}), 1);
  EXPECT_EQ(err_,
            "tern: " + Path("absent.twn") + ": No such file or directory\n");
}

TEST_F(CliTest, ShowsAModel) {
  server_.on_get = [](const grpc::ServerContext&,
                      const v1::GetModelRequest& request,
                      v1::GetModelResponse* response) {
    if (request.version() == 9) {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "no version 9");
    }
    response->mutable_status()->set_model(request.model());
    response->mutable_input()->set_height(28);
    response->add_labels("shoe");
    auto* metric = response->mutable_card()->add_metric();
    metric->set_name("top1");
    metric->set_split("test");
    metric->set_value(0.9125);
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run({"models", "status", "m"}), 0);
  EXPECT_THAT(out_, HasSubstr("top1 (test)  0.9125\n"));
  EXPECT_THAT(out_, HasSubstr("28 x 0 x 0"));
  EXPECT_EQ(Run({"models", "status", "--model=m", "--json"}), 0);
  EXPECT_EQ(nlohmann::json::parse(out_)["labels"][0], "shoe");
  EXPECT_EQ(Run({"models", "status", "m", "--version=9"}), 1);
  EXPECT_THAT(err_, HasSubstr("no version 9"));
}

TEST_F(CliTest, ChangesModels) {
  server_.on_load = [](const grpc::ServerContext&,
                       const v1::LoadModelRequest& request,
                       v1::LoadModelResponse* response) {
    response->mutable_status()->set_version(request.version() + 4);
    response->mutable_status()->set_state(v1::MODEL_STATE_READY);
    return grpc::Status::OK;
  };
  server_.on_unload = [](const grpc::ServerContext&,
                         const v1::UnloadModelRequest& request,
                         v1::UnloadModelResponse*) {
    EXPECT_EQ(request.version(), 2U);
    return grpc::Status::OK;
  };
  server_.on_upload = [](const grpc::ServerContext&,
                         const std::vector<v1::UploadRequest>& requests,
                         v1::UploadResponse* response) {
    response->set_digest(requests.at(0).start().digest());
    response->set_version(5);
    response->set_existed(requests.at(0).start().version() == 5);
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run({"models", "load", "m"}), 0);
  EXPECT_EQ(out_, "m version 4: ready\n");
  EXPECT_EQ(Run({"models", "unload", "m", "--version=2"}), 0);
  EXPECT_EQ(out_, "m version 2: unloaded\n");
  EXPECT_EQ(Run({"models", "delete", "m", "--version=2"}), 1);
  EXPECT_THAT(err_, HasSubstr("UNIMPLEMENTED"));
  const std::string file = Write("a.twn", "bytes");
  EXPECT_EQ(Run({"models", "upload", file, "--model=m"}), 0) << err_;
  EXPECT_EQ(out_, "m version 5: uploaded\n");
  EXPECT_EQ(Run({"models", "upload", file, "m", "--version=5", "--json"}), 0);
  EXPECT_EQ(nlohmann::json::parse(out_)["result"], "was there already");
}

class BenchCommandTest : public CliTest {
 protected:
  BenchCommandTest() {
    server_.on_get = [](const grpc::ServerContext&, const v1::GetModelRequest&,
                        v1::GetModelResponse* response) {
      response->mutable_input()->set_height(4);
      response->mutable_input()->set_width(3);
      response->mutable_input()->set_channels(1);
      return grpc::Status::OK;
    };
    server_.on_classify = [this](const grpc::ServerContext&,
                                 const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
      // The probe is answered; then every fourth request is refused.
      if (++calls_ % 4 == 0) {
        return PushBack(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", 1);
      }
      for (const v1::Image& image : request.images()) {
        EXPECT_EQ(image.raw().pixels().size(), 12U);
        response->add_results()->set_batch_size(4);
      }
      return grpc::Status::OK;
    };
  }
  std::atomic<int> calls_ = 0;
};

TEST_F(BenchCommandTest, CountsWhatHappened) {
  EXPECT_EQ(Run({"bench", "--model=m", "--count=40", "--concurrency=3",
                 "--batch=2", "--json"}),
            0);
  const auto json = nlohmann::json::parse(out_);
  EXPECT_EQ(calls_, 41);
  EXPECT_EQ(json["requests"], 30);
  EXPECT_EQ(json["images"], 60);
  EXPECT_EQ(json["errors"]["RESOURCE_EXHAUSTED"], 10);
  EXPECT_EQ(json["mean_batch"], 4);
  EXPECT_LE(json["p50_ms"], json["p90_ms"]);
  EXPECT_LE(json["p90_ms"], json["p99_ms"]);
  EXPECT_LE(json["p99_ms"], json["max_ms"]);
  EXPECT_GT(json["p50_ms"], 0);
  EXPECT_NEAR(json["images_per_second"].get<double>(),
              60 / json["seconds"].get<double>(), 1e-6);
}

TEST_F(BenchCommandTest, EndsWithTheTime) {
  EXPECT_EQ(Run({"bench", "--model=m", "--duration=50ms"}), 0);
  EXPECT_THAT(out_, HasSubstr("8 callers, 1 images a request"));
  EXPECT_THAT(out_, HasSubstr("errors RESOURCE_EXHAUSTED: "));
}

TEST_F(BenchCommandTest, AFirstErrorEndsIt) {
  server_.on_classify = [](const grpc::ServerContext&,
                           const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    return BadField("refused", "images[0]", "want 784 bytes");
  };
  EXPECT_EQ(Run({"bench", "--model=m"}), 1);
  EXPECT_THAT(err_, HasSubstr("images[0]: want 784 bytes"));
}

// What bash offers after `tern WORDS...`, the last one unfinished.
std::string Complete(const std::string& script, const std::string& words,
                     int last) {
  const std::string command = "bash --norc -c 'source " + script +
                              "; COMP_WORDS=(tern " + words +
                              "); COMP_CWORD=" + std::to_string(last) +
                              "; _tern; echo \"${COMPREPLY[@]}\"'";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(
      ::popen(command.c_str(), "r"), &::pclose);
  char line[4096] = "";
  EXPECT_NE(std::fgets(line, sizeof(line), pipe.get()), nullptr);
  return line;
}

TEST_F(CliTest, BashCompletesCommandsAndOptions) {
  ASSERT_EQ(RunAlone({"completion", "bash"}), 0);
  const std::string script = Write("completion.sh", out_);
  EXPECT_EQ(Complete(script, "cl", 1), "classify\n");
  EXPECT_EQ(Complete(script, "models un", 2), "unload\n");
  EXPECT_EQ(Complete(script, "classify --dump", 2), "--dump_logits=\n");
  EXPECT_EQ(Complete(script, "models list --js", 3), "--json\n");
  EXPECT_EQ(Complete(script, "bench --serv", 2), "--server=\n");
  ASSERT_EQ(RunAlone({"completion", "zsh"}), 0);
  EXPECT_THAT(out_, HasSubstr("bashcompinit"));
}

}  // namespace
}  // namespace tern::client
