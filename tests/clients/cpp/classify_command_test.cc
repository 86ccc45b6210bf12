#include <gmock/gmock.h>

#include <chrono>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/clients/cpp/cli_test.h"

namespace tern::client {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string U32(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(value >> shift));
  }
  return bytes;
}

// Encoded pictures are classified by their first byte minus '0', raw ones by
// their first pixel; 'x' is refused.
class ClassifyCommandTest : public CliTest {
 protected:
  ClassifyCommandTest() {
    server_.on_classify = [this](const grpc::ServerContext&,
                                 const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
      const std::lock_guard<std::mutex> lock(mutex_);
      requests_.push_back(request);
      Answer(request, response);
      return grpc::Status::OK;
    };
    server_.on_get = [](const grpc::ServerContext&, const v1::GetModelRequest&,
                        v1::GetModelResponse* response) {
      for (const char* label : {"zero", "one", "two"}) {
        response->add_labels(label);
      }
      return grpc::Status::OK;
    };
  }

  static void Answer(const v1::ClassifyRequest& request,
                     v1::ClassifyResponse* response) {
    v1::AnsweredBy& by = *response->mutable_answered_by();
    by.set_model(request.model().name());
    by.set_version(3);
    by.set_isa("avx2");
    by.set_digest("0123456789abcdef");
    for (const v1::Image& image : request.images()) {
      v1::ImageResult& result = *response->add_results();
      result.set_batch_size(2);
      const std::string& bytes =
          image.has_raw() ? image.raw().pixels() : image.encoded();
      if (bytes.empty() || bytes[0] == 'x') {
        result.mutable_status()->set_code(3);
        result.mutable_status()->set_message(
            "images[7].encoded: JPEG: Not a JPEG file, \"x\"");
        continue;
      }
      const auto index = static_cast<std::uint32_t>(
          image.has_raw() ? bytes[0] : bytes[0] - '0');
      v1::ClassScore& score = *result.add_classes();
      score.set_index(index);
      score.set_label(index == 1 ? "one, the \"first\"" : "other");
      score.set_probability(0.75);
      score.set_logit(1.5F);
      if (request.return_logits()) {
        result.add_logits(static_cast<float>(index));
        result.add_logits(-0.5F);
      }
    }
  }

  // Five pictures of 2 x 2 with labels 0 1 2 0 1, recognisable as 0 1 2 2 1.
  std::string MakeIdx() {
    std::string pixels =
        std::string("\0\0\x08\x03", 4) + U32(5) + U32(2) + U32(2);
    for (const int value : {0, 1, 2, 2, 1}) {
      pixels += std::string(4, static_cast<char>(value));
    }
    Write("set/t10k-images-idx3-ubyte", pixels);
    Write(
        "set/t10k-labels-idx1-ubyte",
        std::string("\0\0\x08\x01", 4) + U32(5) + std::string("\0\1\2\0\1", 5));
    return "idx:" + Path("set");
  }

  std::vector<v1::ClassifyRequest> requests_;

 private:
  std::mutex mutex_;
};

TEST_F(ClassifyCommandTest, PrintsALineAPicture) {
  EXPECT_EQ(Run({"classify", Write("a.jpg", "1"), "--model=m", "--top_k=3"}),
            0);
  EXPECT_THAT(out_, HasSubstr("a.jpg  one, the \"first\" 75.00 %\n"));
  EXPECT_THAT(out_, HasSubstr("1 image in "));
  EXPECT_THAT(out_, HasSubstr("m version 3 (avx2, sha256 0123456789ab)"));
  EXPECT_EQ(err_, "");
  ASSERT_EQ(requests_.size(), 1U);
  EXPECT_EQ(requests_[0].top_k(), 3U);
  EXPECT_EQ(requests_[0].model().choice_case(), v1::ModelSpec::CHOICE_NOT_SET);
}

TEST_F(ClassifyCommandTest, AsksForTheVersion) {
  EXPECT_EQ(Run({"classify", "-", "--model=m", "--version=7"}, "2"), 0);
  EXPECT_EQ(requests_.at(0).model().version(), 7U);
  EXPECT_EQ(requests_.at(0).images(0).encoded(), "2");
}

TEST_F(ClassifyCommandTest, TheOnlyModelNeedNotBeNamed) {
  std::vector<std::pair<std::string, v1::ModelState>> models;
  server_.on_list = [&models](const grpc::ServerContext&,
                              const v1::ListModelsRequest&,
                              v1::ListModelsResponse* response) {
    for (const auto& [name, state] : models) {
      v1::ModelStatus& model = *response->add_models();
      model.set_model(name);
      model.set_state(state);
    }
    return grpc::Status::OK;
  };
  const std::string picture = Write("a.jpg", "1");
  models = {{"broken", v1::MODEL_STATE_FAILED},
            {"shoes", v1::MODEL_STATE_READY},
            {"shoes", v1::MODEL_STATE_READY}};
  EXPECT_EQ(Run({"classify", picture}), 0) << err_;
  EXPECT_EQ(requests_.back().model().name(), "shoes");
  EXPECT_EQ(Run({"bench", "--images", picture, "--count=1"}), 0) << err_;
  EXPECT_EQ(requests_.back().model().name(), "shoes");
  models.emplace_back("bags", v1::MODEL_STATE_READY);
  EXPECT_EQ(Run({"classify", picture}), 1);
  EXPECT_THAT(err_, HasSubstr("say which one, the server has bags, shoes"));
  models = {{"broken", v1::MODEL_STATE_FAILED}};
  EXPECT_EQ(Run({"bench", "--images", picture}), 1);
  EXPECT_THAT(err_, HasSubstr("no model that is ready"));
}

TEST_F(ClassifyCommandTest, TakesFoldersAndGlobs) {
  Write("f/b.PNG", "1");
  Write("f/deep/a.jpeg", "2");
  Write("f/readme.txt", "x");
  Write("g1.jpg", "1");
  Write("g2.jpg", "1");
  EXPECT_EQ(Run({"classify", Path("f"), Path("g?.jpg"), "--model=m", "--csv"}),
            0);
  std::vector<std::string> lines;
  std::istringstream in(out_);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  const std::string tail_one = ",,1,1,\"one, the \"\"first\"\"\",0.75,1.5,";
  EXPECT_THAT(
      lines, ElementsAre("source,truth,rank,index,label,probability,logit,"
                         "error",
                         Path("f/b.PNG") + tail_one,
                         Path("f/deep/a.jpeg") + ",,1,2,other,0.75,1.5,",
                         Path("g1.jpg") + tail_one, Path("g2.jpg") + tail_one));
}

TEST_F(ClassifyCommandTest, OneBadPictureFailsAlone) {
  EXPECT_EQ(Run({"classify", Write("a.jpg", "1"), Write("b.jpg", "x"),
                 Write("c.jpg", "2"), "--model=m", "--json"}),
            1);
  const auto json = nlohmann::json::parse(out_);
  ASSERT_EQ(json["results"].size(), 3U);
  EXPECT_EQ(json["results"][0]["classes"][0]["index"], 1);
  EXPECT_EQ(json["results"][1]["error"]["code"], 3);
  // Not where in the request it was.
  EXPECT_EQ(json["results"][1]["error"]["message"],
            "JPEG: Not a JPEG file, \"x\"");
  EXPECT_EQ(json["results"][2]["classes"][0]["probability"], 0.75);
  EXPECT_EQ(json["images"], 3);
  EXPECT_EQ(json["failed"], 1);
  EXPECT_TRUE(json["top1"].is_null());
  EXPECT_EQ(json["answered_by"]["version"], 3);
  EXPECT_EQ(err_, "tern: 1 of 3 pictures failed\n");
}

TEST_F(ClassifyCommandTest, AnUnreadableFileFailsAlone) {
  const std::string large = Write("large.jpg", "1");
  std::filesystem::resize_file(large, (16 << 20) + 1);
  EXPECT_EQ(Run({"classify", large, Write("a.jpg", "1"), "--model=m"}), 1);
  EXPECT_THAT(out_, HasSubstr("large.jpg  FAILED: more than 16777216 "));
  EXPECT_THAT(out_, HasSubstr("a.jpg      one, "));
}

TEST_F(ClassifyCommandTest, NamesThatLeadNowhereFailBeforeAnyCall) {
  std::filesystem::create_directories(Path("empty"));
  EXPECT_EQ(Run({"classify", Path("empty"), "--model=m"}), 1);
  EXPECT_THAT(err_, HasSubstr("no .jpg, .jpeg or .png file in this folder"));
  EXPECT_EQ(Run({"classify", Path("*.gif"), "--model=m"}), 1);
  EXPECT_THAT(err_, HasSubstr("*.gif: matches no file"));
  EXPECT_TRUE(requests_.empty());
}

TEST_F(ClassifyCommandTest, DataSetsHaveAnAccuracy) {
  EXPECT_EQ(Run({"classify", MakeIdx(), "--model=m", "--json", "--batch=2"}),
            0);
  const auto json = nlohmann::json::parse(out_);
  EXPECT_EQ(json["images"], 5);
  EXPECT_EQ(json["labelled"], 5);
  EXPECT_EQ(json["correct"], 4);
  EXPECT_EQ(json["top1"], 0.8);
  EXPECT_EQ(json["results"][3]["truth"], 0);
  EXPECT_EQ(json["results"][3]["source"], "test[3]");
  EXPECT_EQ(requests_.size(), 3U);
  for (const v1::ClassifyRequest& request : requests_) {
    EXPECT_LE(request.images_size(), 2);
    EXPECT_EQ(request.images(0).raw().height(), 2U);
    EXPECT_EQ(request.images(0).raw().channels(), 1U);
  }
}

TEST_F(ClassifyCommandTest, DataSetRangesIncludeBothEnds) {
  EXPECT_EQ(Run({"classify", MakeIdx() + ":test:1-3", "--model=m"}), 0);
  EXPECT_THAT(out_, HasSubstr("test[1]"));
  EXPECT_THAT(out_, HasSubstr("test[3]  other 75.00 %  (is zero)"));
  EXPECT_THAT(out_, HasSubstr("; 2 of 3 right, 66.67 %"));
  EXPECT_EQ(Run({"classify", MakeIdx() + ":4", "--model=m"}), 0);
  EXPECT_THAT(out_, HasSubstr("1 of 1 right"));
  EXPECT_EQ(Run({"classify", MakeIdx() + ":3-5", "--model=m"}), 1);
  EXPECT_THAT(err_, HasSubstr("the test part has pictures 0 to 4"));
  EXPECT_EQ(Run({"classify", MakeIdx() + ":train", "--model=m"}), 1);
  EXPECT_THAT(err_, HasSubstr("train-images-idx3-ubyte"));
}

TEST_F(ClassifyCommandTest, DumpsEveryLogitInOrder) {
  const std::string file = Path("logits.f32");
  EXPECT_EQ(Run({"classify", MakeIdx(), "--model=m", "--batch=2",
                 "--dump_logits=" + file}),
            0);
  const std::string bytes = ReadBack(file);
  float logits[10];
  ASSERT_EQ(bytes.size(), sizeof(logits));
  std::memcpy(logits, bytes.data(), sizeof(logits));
  EXPECT_THAT(logits,
              ElementsAre(0, -0.5F, 1, -0.5F, 2, -0.5F, 2, -0.5F, 1, -0.5F));
}

TEST_F(ClassifyCommandTest, NoLogitsFileUnlessWhole) {
  const std::string file = Path("out/logits.f32");
  Write("out/keep", "");
  EXPECT_EQ(Run({"classify", Write("a.jpg", "1"), Write("b.jpg", "x"),
                 "--model=m", "--dump_logits=" + file}),
            1);
  EXPECT_THAT(err_, HasSubstr("no logits were written"));
  EXPECT_FALSE(std::filesystem::exists(file));
  // No temporary file is left either.
  const std::filesystem::directory_iterator left(Path("out"));
  EXPECT_EQ(std::distance(begin(left), end(left)), 1);
}

TEST_F(ClassifyCommandTest, DrawsPicturesBesideTheirClasses) {
  EXPECT_EQ(Run({"classify", MakeIdx() + ":2", "--model=m", "--draw=always"}),
            0);
  // Dark, 2 x 2 pixels are two columns of one line; what comes below the
  // picture keeps its distance.
  EXPECT_THAT(out_, StartsWith("    test[2]  (is two)\n    \n    other "));
  EXPECT_THAT(out_, HasSubstr("other  75.00 % ###############\n"));
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
  palette_ = Palette::kTrueColor;
  EXPECT_EQ(Run({"classify", MakeIdx() + ":2", "--model=m", "--draw=always"}),
            0);
  EXPECT_THAT(out_, StartsWith("\x1b[38;2;2;2;2m\x1b[48;2;2;2;2m\xe2\x96\x80"));
  // Not a terminal: auto draws nothing.
  EXPECT_EQ(Run({"classify", MakeIdx() + ":2", "--model=m"}), 0);
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
}

TEST_F(ClassifyCommandTest, LongRunsShowProgressOnATerminal) {
  server_.on_classify = [](const grpc::ServerContext&,
                           const v1::ClassifyRequest& request,
                           v1::ClassifyResponse* response) {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    Answer(request, response);
    return grpc::Status::OK;
  };
  std::vector<std::string> arguments = {"classify", "--model=m", "--batch=1"};
  for (int i = 0; i < 16; ++i) arguments.push_back(Write("a.jpg", "1"));
  err_is_terminal_ = true;
  EXPECT_EQ(Run(arguments), 0);
  EXPECT_THAT(err_, ContainsRegex("1[0-9]/16 images  [0-9]+ images/s  "));
  // Wiped at the end.
  EXPECT_THAT(err_, EndsWith("\r\x1b[K"));
}

TEST_F(ClassifyCommandTest, ASectionOfTheConfigurationNamesTheModel) {
  Write("tern.ini", "[classify]\nmodel=fashion\ntop_k=2\n");
  EXPECT_EQ(Run({"classify", Write("a.jpg", "1")}), 0) << err_;
  EXPECT_EQ(requests_.at(0).model().name(), "fashion");
  EXPECT_EQ(requests_.at(0).top_k(), 2U);
  EXPECT_EQ(Run({"models", "list"}), 1);
  EXPECT_THAT(err_, HasSubstr("UNIMPLEMENTED"));
  ::setenv("TERN_MODEL", "shoes", 1);
  Write("tern.ini", "");
  EXPECT_EQ(Run({"classify", Path("a.jpg")}), 0) << err_;
  EXPECT_EQ(requests_.back().model().name(), "shoes");
  ::unsetenv("TERN_MODEL");
}

TEST_F(ClassifyCommandTest, ErrorsSayWhatToDo) {
  server_.on_classify = [](const grpc::ServerContext&,
                           const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no model 'm'");
  };
  EXPECT_EQ(Run({"classify", Write("a.jpg", "1"), "--model=m"}), 1);
  EXPECT_THAT(err_, HasSubstr("NOT_FOUND: no model 'm'"));
  EXPECT_THAT(err_,
              HasSubstr("tern models list --server=" + server_.address()));
  EXPECT_EQ(RunAlone({"classify", Write("a.jpg", "1"), "--model=m",
                      "--server=127.0.0.1:1", "--timeout=100ms"}),
            1);
  EXPECT_THAT(err_, HasSubstr("no answer from 127.0.0.1:1. Check that"));
  EXPECT_EQ(Run({"classify", "/no/such.jpg", "--model=m"}), 1);
  EXPECT_EQ(err_, "tern: /no/such.jpg: No such file or directory\n");
  EXPECT_EQ(Run({"classify", "-", "--model=m"}), 1);
  EXPECT_EQ(err_, "tern: -: standard input is empty\n");
  EXPECT_EQ(Run({"classify", "idx::test", "--model=m"}), 1);
  EXPECT_THAT(err_, HasSubstr("the folder is missing"));
}

TEST_F(ClassifyCommandTest, SaysWhichTimeoutPassed) {
  server_.on_classify = [](const grpc::ServerContext& context,
                           const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    while (!context.IsCancelled()) std::this_thread::yield();
    return grpc::Status::CANCELLED;
  };
  EXPECT_EQ(
      Run({"classify", Write("a.jpg", "1"), "--model=m", "--timeout=50ms"}), 1);
  EXPECT_THAT(err_, HasSubstr("took longer than --timeout=50ms"));
}

}  // namespace
}  // namespace tern::client
