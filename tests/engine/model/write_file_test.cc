#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "engine/model/model_file.h"
#include "tests/testing/tiny_model.h"

namespace tern {
namespace {

using testing::AsBytes;
using ::testing::HasSubstr;

class WriteFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::string Content(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::size_t Files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::filesystem::path folder_;
};

TEST_F(WriteFileTest, WritesAndReplaces) {
  const std::string path = folder_ / "model.twn";
  ASSERT_TRUE(WriteFileAtomically(path, AsBytes("first")).ok());
  EXPECT_EQ(Content(path), "first");
  const std::string large(3 << 20, 'x');
  ASSERT_TRUE(WriteFileAtomically(path, AsBytes(large)).ok());
  EXPECT_EQ(Content(path), large);
  ASSERT_TRUE(WriteFileAtomically(path, {}).ok());
  EXPECT_EQ(Content(path), "");
  EXPECT_EQ(Files(), 1u);
}

TEST_F(WriteFileTest, OthersMayReadTheFile) {
  const std::string path = folder_ / "model.twn";
  ASSERT_TRUE(WriteFileAtomically(path, AsBytes("x")).ok());
  using std::filesystem::perms;
  EXPECT_NE(std::filesystem::status(path).permissions() & perms::group_read,
            perms::none);
}

TEST_F(WriteFileTest, MissingFolderIsNotFound) {
  const auto status =
      WriteFileAtomically(folder_ / "no" / "model.twn", AsBytes("x"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr((folder_ / "no").string()));
}

TEST_F(WriteFileTest, FailureLeavesTheOldFileAndNothingElse) {
  // A folder in the way: the rename fails after the temporary file is written.
  const std::filesystem::path path = folder_ / "taken";
  std::filesystem::create_directory(path);
  const auto status = WriteFileAtomically(path, AsBytes("x"));
  EXPECT_THAT(status.message(), HasSubstr("cannot rename to"));
  EXPECT_TRUE(std::filesystem::is_directory(path));
  EXPECT_EQ(Files(), 1u);
}

}  // namespace
}  // namespace tern
