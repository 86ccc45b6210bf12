#include "engine/image/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "tests/engine/image/fixtures.h"

namespace tern {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Two pictures of 1 x 3.
Bytes Small() {
  return {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};
}

std::string Write(const Bytes& bytes) {
  std::string path =
      ::testing::TempDir() + "/idx_test." + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return path;
}

Bytes Gzip(const Bytes& bytes) {
  const std::string path = Write({});
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(IdxTest, ReadsDimensionsAndElements) {
  const auto tensor = ParseIdx(Small());
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_THAT(tensor->dims, ElementsAre(2, 1, 3));
  EXPECT_THAT(tensor->data, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(IdxTest, EveryOtherLengthIsAnError) {
  Bytes bytes = Small();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Bytes cut(bytes.begin(), bytes.begin() + std::ptrdiff_t(size));
    EXPECT_TRUE(absl::IsInvalidArgument(ParseIdx(cut).status())) << size;
  }
  bytes.push_back(0);
  EXPECT_THAT(ParseIdx(bytes).status().message(),
              HasSubstr("ask for 6 bytes of elements, the file has 7"));
}

TEST(IdxTest, AnyHeaderByteMayBeAnything) {
  for (std::size_t at = 0; at < 16; ++at) {
    for (int value = 0; value < 256; ++value) {
      Bytes bytes = Small();
      bytes[at] = static_cast<std::uint8_t>(value);
      const auto tensor = ParseIdx(bytes);
      if (tensor.ok()) {
        EXPECT_EQ(bytes, Small());
      }
    }
  }
}

TEST(IdxTest, ReadsPlainAndGzip) {
  for (const Bytes& bytes : {Small(), Gzip(Small())}) {
    const auto tensor = ReadIdxFile(Write(bytes));
    ASSERT_TRUE(tensor.ok()) << tensor.status();
    EXPECT_THAT(tensor->data, ElementsAre(1, 2, 3, 4, 5, 6));
  }
}

TEST(IdxTest, DamagedGzipIsAnErrorThatNamesTheFile) {
  const Bytes whole = Gzip(Small());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + std::ptrdiff_t(size));
    const std::string path = Write(cut);
    const auto tensor = ReadIdxFile(path);
    EXPECT_FALSE(tensor.ok()) << size;
    EXPECT_THAT(tensor.status().message(), HasSubstr(path));
  }
  EXPECT_TRUE(absl::IsNotFound(ReadIdxFile("/no/such/file").status()));
}

}  // namespace
}  // namespace tern
