// The program itself: exit codes, messages, and a run from pictures to logits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/sha256.h"
#include "tests/trainer/synthetic.h"
#include "trainer/run/read_file.h"

namespace tern::trainer {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Result {
  int code = -1;
  std::string out;
  std::string err;
};

std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Result Trainer(const std::string& arguments) {
  const std::string out = TempPath("out");
  const std::string err = TempPath("err");
  const std::string command =
      std::string(TERN_TRAINER) + " " + arguments + " >" + out + " 2>" + err;
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, Slurp(out), Slurp(err)};
}

void WriteIdx(const std::string& path, const std::vector<std::uint32_t>& dims,
              const std::vector<std::uint8_t>& data) {
  std::ofstream out(path, std::ios::binary);
  const auto put = [&out](std::uint32_t byte) {
    out.put(static_cast<char>(byte & 0xFF));
  };
  put(0);
  put(0);
  put(8);
  put(static_cast<std::uint32_t>(dims.size()));
  for (const std::uint32_t dim : dims) {
    for (const int shift : {24, 16, 8, 0}) put(dim >> shift);
  }
  out.write(reinterpret_cast<const char*>(data.data()),
            static_cast<std::streamsize>(data.size()));
}

// An IDX folder of SyntheticData; returns "--data=idx:DIR".
std::string DataOption() {
  const std::string dir = TempPath("data");
  std::filesystem::create_directories(dir);
  const auto write = [&dir](const char* prefix, const Dataset& data) {
    const auto n = static_cast<std::uint32_t>(data.images());
    WriteIdx(dir + "/" + prefix + "-images-idx3-ubyte",
             {n, kSyntheticSide, kSyntheticSide}, data.pixels);
    WriteIdx(dir + "/" + prefix + "-labels-idx1-ubyte", {n}, data.labels);
  };
  write("train", SyntheticData(360, 1));
  write("t10k", SyntheticData(150, 2));
  return "--data=idx:" + dir;
}

std::string TrainCommand(const std::string& output,
                         const std::string& network = SyntheticNetwork(),
                         int epochs = 3) {
  return "train " + DataOption() + " --network=" + network +
         " --validation=72 --batch=32 --epochs=" + std::to_string(epochs) +
         " --output=" + output;
}

TEST(CommandLineTest, HelpIsEverywhere) {
  for (const std::string command :
       {"", "train", "evaluate", "classify", "inspect", "upload"}) {
    const Result result = Trainer(command + " --help");
    EXPECT_EQ(result.code, 0) << command;
    EXPECT_THAT(result.out, HasSubstr("Usage:"));
  }
}

TEST(CommandLineTest, WrongUsageIsTwoAndSaysWhy) {
  const auto error = [](const std::string& arguments) {
    const Result result = Trainer(arguments);
    EXPECT_EQ(result.code, 2) << arguments;
    return result.err;
  };
  error("");
  error("paint");
  EXPECT_THAT(error("train --output=x"), HasSubstr("--data is required"));
  EXPECT_THAT(error("train --data=idx:x --output=x --quantizer=int8"),
              HasSubstr("--quantizer"));
  EXPECT_THAT(error("train --data=idx:x --output=x --epochs=0"),
              HasSubstr("--epochs is 0, must be 1.."));
  EXPECT_THAT(error("evaluate m.twn --data=idx:x --isa=sse9"),
              HasSubstr("--isa"));
  EXPECT_THAT(
      error("evaluate m.twn --data=idx:x --compare --activations=float"),
      HasSubstr("--compare"));
}

TEST(CommandLineTest, WhatFailsIsOneAndNamesThePath) {
  const auto error = [](const std::string& arguments) {
    const Result result = Trainer(arguments);
    EXPECT_EQ(result.code, 1) << arguments;
    return result.err;
  };
  EXPECT_THAT(error("train --data=idx:/nonexistent --output=" + TempPath("o")),
              HasSubstr("/nonexistent/train-images-idx3-ubyte"));
  EXPECT_THAT(error("train --data=mnist --output=" + TempPath("o")),
              HasSubstr("want idx:DIR"));
  EXPECT_THAT(error(TrainCommand(TempPath("o"), "lenet6")),
              AllOf(HasSubstr("lenet6"), HasSubstr("lenet5")));
  EXPECT_THAT(error(TrainCommand(TempPath("none.twn")) + " --resume"),
              HasSubstr("none.twn.checkpoint"));
  EXPECT_THAT(error("evaluate /nonexistent.twn --data=idx:/"),
              HasSubstr("/nonexistent.twn"));
  const std::string junk = TempPath("junk.twn");
  std::ofstream(junk) << "not a model";
  EXPECT_THAT(error("inspect " + junk), HasSubstr("junk.twn"));
  EXPECT_THAT(error("classify --model=" + junk + " x.png"),
              HasSubstr("junk.twn"));
  EXPECT_THAT(error("upload " + junk + " --server=127.0.0.1:1 --model=a"),
              HasSubstr("junk.twn"));
}

TEST(CommandLineTest, OutputsThatCannotBeWrittenEndTrainingBeforeItBegins) {
  const std::string folder = TempPath("folder");
  std::filesystem::create_directory(folder);
  const auto error = [](const std::string& arguments) {
    const Result result = Trainer(arguments);
    EXPECT_EQ(result.code, 1) << arguments;
    EXPECT_THAT(result.err, Not(HasSubstr("training"))) << arguments;
    return result.err;
  };
  EXPECT_THAT(error(TrainCommand("/nonexistent/o.twn --checkpoint=" +
                                 TempPath("o.checkpoint"))),
              HasSubstr("cannot write /nonexistent/o.twn: No such file"));
  EXPECT_THAT(error(TrainCommand(folder)),
              HasSubstr("cannot write " + folder + ": Is a directory"));
  EXPECT_THAT(error(TrainCommand(folder + "/o.twn --checkpoint=" + folder)),
              HasSubstr("cannot write " + folder + ": Is a directory"));
  // What was tried leaves nothing.
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(CommandLineTest, TrainsAndEvaluatesTheSameEverywhere) {
  const std::string model = TempPath("a.twn");
  const Result trained = Trainer(TrainCommand(model) + " --json --threads=2");
  ASSERT_EQ(trained.code, 0) << trained.err;
  const json train = json::parse(trained.out);
  EXPECT_GT(train["test_top1"].get<double>(), 0.9);
  EXPECT_THAT(trained.err, HasSubstr("epoch 3/3"));

  const std::string evaluate = "evaluate " + model + " " + DataOption();
  const std::string dump = TempPath("logits.f32");
  const Result first =
      Trainer(evaluate + " --json --isa=reference --threads=1 " +
              "--dump_logits=" + dump);
  ASSERT_EQ(first.code, 0) << first.err;
  const json reference = json::parse(first.out);
  EXPECT_EQ(reference["images"], 150);
  EXPECT_EQ(reference["top1"], train["test_top1"]);
  EXPECT_EQ(reference["isa"], "reference");
  const auto bytes = ReadFile(dump);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(bytes->size(), 150U * 4 * sizeof(float));
  EXPECT_EQ(reference["logits_sha256"],
            Sha256::Hex(Sha256::Of(bytes->data(), bytes->size())));
  for (const std::string other : {" --threads=2 --batch=7", " --batch=1"}) {
    const Result again = Trainer(evaluate + " --json" + other);
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(json::parse(again.out)["logits_sha256"],
              reference["logits_sha256"]);
  }
  const Result compared = Trainer(evaluate + " --json --compare");
  EXPECT_GT(json::parse(compared.out)["agreement"].get<double>(), 0.97);

  // The same seed, the same file.
  const std::string twin = TempPath("b.twn");
  ASSERT_EQ(Trainer(TrainCommand(twin) + " --threads=1").code, 0);
  EXPECT_EQ(Slurp(model), Slurp(twin));

  const Result inspected = Trainer("inspect " + model + " --json");
  ASSERT_EQ(inspected.code, 0) << inspected.err;
  const json text = json::parse(inspected.out);
  EXPECT_EQ(text["digest"], reference["digest"]);
  EXPECT_EQ(text["nodes"].size(), 5U);
  EXPECT_EQ(text["nodes"][0]["weights"]["kind"], "grid");
  EXPECT_EQ(text["nodes"][2]["weights"]["kind"], "ternary");
  EXPECT_EQ(text["nodes"][2]["weights"]["count"], 16 * 9 * 16);
  EXPECT_EQ(text["file_bytes"], std::filesystem::file_size(model));
  EXPECT_THAT(Trainer("inspect " + model).out, HasSubstr("conv2d 3x3"));
}

TEST(CommandLineTest, FloatActivationsTestButMakeNoFile) {
  const std::string model = TempPath("float.twn");
  const Result result = Trainer(TrainCommand(model) + " --activations=float");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("no model file"));
  EXPECT_FALSE(std::filesystem::exists(model));
}

TEST(CommandLineTest, InterruptLeavesACheckpointThatResumes) {
  const auto train = [](const std::string& output) {
    return TrainCommand(output, SyntheticNetwork(), 60);
  };
  const std::string whole = TempPath("whole.twn");
  ASSERT_EQ(Trainer(train(whole)).code, 0);
  const std::string model = TempPath("cut.twn");
  const std::string err = TempPath("interrupted.err");
  const std::string command = "exec " + std::string(TERN_TRAINER) + " " +
                              train(model) + " >/dev/null 2>" + err;
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  // After the first of sixty epochs.
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0 &&
         !std::filesystem::exists(model + ".checkpoint")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_EQ(kill(child, SIGINT), 0);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(Slurp(err),
              AllOf(HasSubstr("interrupted"), HasSubstr("--resume")));
  EXPECT_FALSE(std::filesystem::exists(model));
  const Result resumed = Trainer(train(model) + " --resume");
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(Slurp(model), Slurp(whole));
}

TEST(CommandLineTest, SignalsEndWhatHasNothingToSave) {
  // Opening a FIFO that nobody writes never ends.
  const std::string fifo = TempPath("fifo.twn");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const pid_t child = fork();
  if (child == 0) {
    execl(TERN_TRAINER, TERN_TRAINER, "inspect", fifo.c_str(), nullptr);
    _exit(127);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  ASSERT_EQ(kill(child, SIGINT), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGINT);
}

// oneDNN has no fast gradient for every combination of layouts; its plain
// loops made an epoch on a CPU without AVX-512 take a quarter of an hour.
TEST(CommandLineTest, NoInstructionSetTrainsOnPlainLoops) {
  for (const std::string isa : {"SSE41", "AVX2", "ALL"}) {
    setenv("ONEDNN_MAX_CPU_ISA", isa.c_str(), 1);
    setenv("ONEDNN_VERBOSE", "1", 1);
    const std::string model = TempPath(isa + ".twn");
    const Result result = Trainer(TrainCommand(model));
    unsetenv("ONEDNN_MAX_CPU_ISA");
    unsetenv("ONEDNN_VERBOSE");
    ASSERT_EQ(result.code, 0) << result.err;
    const std::string& lines = result.out;
    ASSERT_THAT(lines, HasSubstr("convolution,")) << isa;
    EXPECT_THAT(lines, Not(HasSubstr("convolution,ref"))) << isa;
    EXPECT_THAT(lines, Not(HasSubstr("inner_product,ref"))) << isa;
    // What the gradients of copied tensors made also learned.
    const Result tested =
        Trainer("evaluate " + model + " " + DataOption() + " --json");
    ASSERT_EQ(tested.code, 0) << tested.err;
    EXPECT_GT(json::parse(tested.out)["top1"].get<double>(), 0.9) << isa;
  }
}

}  // namespace
}  // namespace tern::trainer
