#include "trainer/data/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace tern::trainer {
namespace {

using ::testing::HasSubstr;

// 2 pictures of 2 x 3.
std::vector<std::uint8_t> Small() {
  std::vector<std::uint8_t> bytes = {0, 0, 8, 3, 0, 0, 0, 2,
                                     0, 0, 0, 2, 0, 0, 0, 3};
  for (std::uint8_t i = 0; i < 12; ++i) bytes.push_back(i);
  return bytes;
}

std::string WriteTemp(const std::string& name,
                      const std::vector<std::uint8_t>& bytes) {
  const std::string path =
      (std::filesystem::path(::testing::TempDir()) / name).string();
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  return path;
}

std::vector<std::uint8_t> Gzip(const std::vector<std::uint8_t>& bytes) {
  const std::string path =
      (std::filesystem::path(::testing::TempDir()) / "pack.gz").string();
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(IdxTest, ReadsDimensionsAndElements) {
  const auto tensor = ParseIdx(Small());
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(tensor->dims, (std::vector<std::uint32_t>{2, 2, 3}));
  EXPECT_EQ(tensor->data.size(), 12U);
  EXPECT_EQ(tensor->data[7], 7);
}

TEST(IdxTest, EveryTruncationIsAnError) {
  const std::vector<std::uint8_t> whole = Small();
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto tensor = ParseIdx(absl::MakeConstSpan(whole).subspan(0, n));
    EXPECT_EQ(tensor.status().code(), absl::StatusCode::kInvalidArgument)
        << "cut to " << n;
  }
}

TEST(IdxTest, BytesAfterTheEndAreAnError) {
  std::vector<std::uint8_t> bytes = Small();
  bytes.push_back(0);
  EXPECT_THAT(ParseIdx(bytes).status().message(),
              HasSubstr("ask for 12 bytes of elements, the file has 13"));
}

TEST(IdxTest, SaysWhatIsWrongWithTheHeader) {
  std::vector<std::uint8_t> bytes = Small();
  bytes[0] = 1;
  EXPECT_THAT(ParseIdx(bytes).status().message(),
              HasSubstr("first two bytes must be 0"));
  bytes = Small();
  bytes[2] = 0x0D;
  EXPECT_THAT(ParseIdx(bytes).status().message(),
              HasSubstr("element type at byte 2 is 13, want 8"));
  bytes = Small();
  bytes[3] = 9;
  EXPECT_THAT(ParseIdx(bytes).status().message(), HasSubstr("want 1..4"));
  bytes = Small();
  bytes[7] = 0;
  EXPECT_THAT(ParseIdx(bytes).status().message(),
              HasSubstr("dimension 0 is 0"));
}

TEST(IdxTest, HugeDimensionsAreRefusedBeforeAllocation) {
  std::vector<std::uint8_t> bytes = {0,    0,    8,    4,    0xFF, 0xFF, 0xFF,
                                     0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                     0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
  EXPECT_EQ(ParseIdx(bytes).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(IdxTest, ReadsPlainAndGzipFilesAlike) {
  const auto plain = ReadIdxFile(WriteTemp("plain.idx", Small()));
  const auto packed = ReadIdxFile(WriteTemp("packed.idx.gz", Gzip(Small())));
  ASSERT_TRUE(plain.ok()) << plain.status();
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_EQ(plain->data, packed->data);
}

TEST(IdxTest, DamagedGzipIsAnErrorThatNamesThePath) {
  std::vector<std::uint8_t> whole = Gzip(Small());
  for (std::size_t n = 3; n < whole.size(); ++n) {
    const std::vector<std::uint8_t> cut(
        whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    const auto tensor = ReadIdxFile(WriteTemp("cut.idx.gz", cut));
    EXPECT_FALSE(tensor.ok()) << "cut to " << n;
    EXPECT_THAT(tensor.status().message(), HasSubstr("cut.idx.gz"));
  }
  whole[whole.size() - 6] ^= 0x40;  // in the stream's checksum
  EXPECT_EQ(ReadIdxFile(WriteTemp("crc.idx.gz", whole)).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(IdxTest, MissingFileIsNotFound) {
  const auto tensor = ReadIdxFile("/nonexistent/file");
  EXPECT_EQ(tensor.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(tensor.status().message(), HasSubstr("/nonexistent/file"));
}

}  // namespace
}  // namespace tern::trainer
