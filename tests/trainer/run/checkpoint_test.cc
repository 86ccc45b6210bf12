#include "trainer/run/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <string>

namespace tern::trainer {
namespace {

using ::testing::HasSubstr;

Checkpoint Small() {
  Checkpoint c;
  c.run = {{"seed", "7"}, {"quantizer", "twn"}};
  c.graph = "node {}";
  c.epoch = 2;
  c.step = 5;
  c.loss_sum = 1.0 / 3;
  c.correct = 99;
  c.history = {{0.1, 0.2, 0.3, 0.4}, {1e-9, 1.0 / 7, 0.5, 0.6}};
  c.best_epoch = 1;
  c.tensors = {{"state/a", {1.5F, -0.0F, 1e-30F}}, {"velocity/a", {}}};
  return c;
}

absl::Span<const std::uint8_t> Bytes(const std::string& s) {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}

TEST(CheckpointTest, KeepsEveryBit) {
  const Checkpoint in = Small();
  const auto out = DecodeCheckpoint(Bytes(EncodeCheckpoint(in)));
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->run, in.run);
  EXPECT_EQ(out->graph, in.graph);
  EXPECT_EQ(out->epoch, 2);
  EXPECT_EQ(out->step, 5);
  EXPECT_EQ(out->loss_sum, in.loss_sum);
  EXPECT_EQ(out->history[1].train_top1, 1.0 / 7);
  ASSERT_EQ(out->tensors.size(), 2U);
  EXPECT_EQ(std::memcmp(out->tensors[0].values.data(),
                        in.tensors[0].values.data(), 12),
            0);
  EXPECT_EQ(EncodeCheckpoint(*out), EncodeCheckpoint(in));
}

TEST(CheckpointTest, EveryTruncationAndEveryFlippedBitIsAnError) {
  const std::string whole = EncodeCheckpoint(Small());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(DecodeCheckpoint(Bytes(whole.substr(0, n))).ok()) << n;
    std::string flipped = whole;
    flipped[n] = static_cast<char>(flipped[n] ^ (1 << (n % 8)));
    EXPECT_FALSE(DecodeCheckpoint(Bytes(flipped)).ok()) << n;
  }
}

TEST(CheckpointTest, FilesAreNamedInMessages) {
  const std::string path =
      (std::filesystem::path(::testing::TempDir()) / "a.checkpoint").string();
  ASSERT_TRUE(WriteCheckpoint(path, Small()).ok());
  EXPECT_TRUE(ReadCheckpoint(path).ok());
  std::filesystem::resize_file(path, 40);
  EXPECT_THAT(ReadCheckpoint(path).status().message(),
              HasSubstr("a.checkpoint"));
  EXPECT_EQ(ReadCheckpoint("/nonexistent/c").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace tern::trainer
