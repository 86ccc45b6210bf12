#include "server/serving/model_repository.h"

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/status_details.h"
#include "tests/server/serving/repository_files.h"
#include "tests/testing/temp_dir.h"

namespace tern::server {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "model/version" of every version found.
std::vector<std::string> Versions(const ModelRepository& repository) {
  std::vector<std::string> names;
  const ScanResult scan = repository.Scan().value();
  for (const StoredVersion& v : scan.versions) {
    names.push_back(v.model + "/" + std::to_string(v.version));
  }
  return names;
}

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

bool IncomingIsEmpty(const std::string& root) {
  return fs::is_empty(root + "/.incoming");
}

TEST(ModelName, FollowsItsRule) {
  for (const char* good : {"a", "0", "lenet5", "a.b_c-d", "a..b"}) {
    EXPECT_TRUE(CheckModelName(good).ok()) << good;
  }
  EXPECT_TRUE(CheckModelName(std::string(63, 'a')).ok());
  const std::string nul("a\0b", 3);
  for (const std::string& bad :
       {std::string(""), std::string("A"), std::string("."), std::string(".."),
        std::string("../a"), std::string("a/b"), std::string("a/../b"),
        std::string("-a"), std::string("a-"), std::string(".incoming"),
        std::string("a b"), std::string("a\\b"), std::string("\xc3\xa9"), nul,
        std::string(64, 'a'), std::string("/etc/passwd")}) {
    const absl::Status status = CheckModelName(bad);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << bad;
    EXPECT_EQ(FieldOf(status), "model");
  }
}

class ModelRepositoryTest : public ::testing::Test {
 protected:
  tern::testing::TempDir root_;
};

TEST_F(ModelRepositoryTest, OpenSaysWhatIsMissing) {
  RepositoryOptions options;
  options.root = root_ / "nowhere";
  const auto repository = ModelRepository::Open(options);
  EXPECT_EQ(repository.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(Message(repository.status()), HasSubstr("nowhere"));
}

TEST_F(ModelRepositoryTest, FindsVersionsInNumericOrder) {
  for (const char* version : {"9", "10", "1"}) {
    PutFile(root_ / ("b/" + std::string(version) + "/model.twn"), "x");
  }
  PutFile(root_ / "a/3/model.twn", "abc");
  const auto repository = OpenRepository(root_.path());
  EXPECT_THAT(Versions(*repository), ElementsAre("a/3", "b/1", "b/9", "b/10"));
  const StoredVersion found = repository->Find("a", 3).value();
  EXPECT_EQ(found.file_bytes, 3u);
  EXPECT_EQ(GetFile(found.path), "abc");
  EXPECT_EQ(repository->Find("a", 1).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(repository->Find("a", 0).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(repository->Find("zz", 1).status().code(), StatusCode::kNotFound);
}

TEST_F(ModelRepositoryTest, StrayEntriesAreNamedAndNotServed) {
  PutFile(root_ / "good/1/model.twn", "x");
  PutFile(root_ / "good/01/model.twn", "x");
  PutFile(root_ / "good/0/model.twn", "x");
  PutFile(root_ / "good/latest/model.twn", "x");
  PutFile(root_ / "good/2/other.file", "x");
  PutFile(root_ / "Bad Name/1/model.twn", "x");
  PutFile(root_ / "README", "x");
  PutFile(root_ / ".hidden/1/model.twn", "x");
  fs::create_directories(root_ / "good/3/model.twn");
  const auto repository = OpenRepository(root_.path());
  EXPECT_THAT(Versions(*repository), ElementsAre("good/1"));
  EXPECT_THAT(repository->Scan().value().notices,
              ElementsAre(HasSubstr("Bad Name"), HasSubstr("README"),
                          HasSubstr("good/0 "), HasSubstr("good/01 "),
                          HasSubstr("good/2 "), HasSubstr("good/3"),
                          HasSubstr("good/latest ")));
}

TEST_F(ModelRepositoryTest, ABareFileIsVersionOne) {
  PutFile(root_ / "digits.twn", "x");
  const auto repository = OpenRepository(root_ / "digits.twn");
  EXPECT_THAT(Versions(*repository), ElementsAre("digits/1"));
  EXPECT_TRUE(repository->Find("digits", 1).ok());
  EXPECT_EQ(repository->Find("digits", 2).status().code(),
            StatusCode::kNotFound);
  const auto upload = Upload(*repository, "other", 1, "y");
  EXPECT_EQ(upload.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(upload.status()), HasSubstr("single file"));
}

TEST_F(ModelRepositoryTest, AFileAtTheTopIsVersionOneOfTheFolder) {
  PutFile(root_ / "models/model.twn", "x");
  PutFile(root_ / "models/a/1/model.twn", "x");
  PutFile(root_ / "models/z/1/model.twn", "x");
  const auto repository = OpenRepository(root_ / "models");
  EXPECT_THAT(Versions(*repository), ElementsAre("a/1", "models/1", "z/1"));
  // It is a version like others for uploads, but not to be deleted.
  EXPECT_EQ(Upload(*repository, "models", 0, "y")->stored.version, 2u);
  EXPECT_EQ(Upload(*repository, "models", 1, "y").status().code(),
            StatusCode::kAlreadyExists);
  EXPECT_EQ(repository->Delete("models", 1).code(),
            StatusCode::kFailedPrecondition);
}

TEST_F(ModelRepositoryTest, ABareFileNeedsAValidName) {
  PutFile(root_ / "My Model.twn", "x");
  RepositoryOptions options;
  options.root = root_ / "My Model.twn";
  const auto repository = ModelRepository::Open(options);
  EXPECT_EQ(repository.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(repository.status()), HasSubstr("needs a name"));
  options.default_model = "mine";
  EXPECT_THAT(Versions(**ModelRepository::Open(options)),
              ElementsAre("mine/1"));
}

TEST_F(ModelRepositoryTest, UploadsAppearWholeAndCount) {
  const auto repository = OpenRepository(root_.path());
  const PublishedVersion first = Upload(*repository, "m", 0, "one").value();
  EXPECT_EQ(first.stored.version, 1u);
  EXPECT_EQ(first.digest, DigestOf("one"));
  EXPECT_FALSE(first.existed);
  EXPECT_EQ(Upload(*repository, "m", 0, "two")->stored.version, 2u);
  EXPECT_EQ(Upload(*repository, "m", 7, "seven")->stored.version, 7u);
  EXPECT_EQ(Upload(*repository, "m", 0, "eight")->stored.version, 8u);
  EXPECT_EQ(GetFile(root_ / "m/8/model.twn"), "eight");
  EXPECT_TRUE(IncomingIsEmpty(root_.path()));
}

TEST_F(ModelRepositoryTest, TheSameBytesAgainChangeNothing) {
  const auto repository = OpenRepository(root_.path());
  ASSERT_TRUE(Upload(*repository, "m", 3, "one").ok());
  EXPECT_TRUE(Upload(*repository, "m", 3, "one")->existed);
  const PublishedVersion again = Upload(*repository, "m", 0, "one").value();
  EXPECT_TRUE(again.existed);
  EXPECT_EQ(again.stored.version, 3u);
  EXPECT_THAT(Versions(*repository), ElementsAre("m/3"));
  EXPECT_TRUE(IncomingIsEmpty(root_.path()));
}

TEST_F(ModelRepositoryTest, OtherBytesUnderANumberAreRefused) {
  const auto repository = OpenRepository(root_.path());
  ASSERT_TRUE(Upload(*repository, "m", 3, "one").ok());
  const auto other = Upload(*repository, "m", 3, "two");
  EXPECT_EQ(other.status().code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(Message(other.status()), HasSubstr(DigestOf("one")));
  EXPECT_EQ(GetFile(root_ / "m/3/model.twn"), "one");
  EXPECT_TRUE(IncomingIsEmpty(root_.path()));
}

TEST_F(ModelRepositoryTest, AnOldVersionsBytesMakeANewNewest) {
  const auto repository = OpenRepository(root_.path());
  ASSERT_TRUE(Upload(*repository, "m", 0, "one").ok());
  ASSERT_TRUE(Upload(*repository, "m", 0, "two").ok());
  const PublishedVersion back = Upload(*repository, "m", 0, "one").value();
  EXPECT_FALSE(back.existed);
  EXPECT_EQ(back.stored.version, 3u);
}

TEST_F(ModelRepositoryTest, BadUploadsNameTheFieldAndLeaveNothing) {
  RepositoryOptions options;
  options.root = root_.path();
  options.max_file_bytes = 10;
  const auto repository = ModelRepository::Open(options).value();
  const auto start = [&](UploadSpec spec) {
    return repository->StartUpload(std::move(spec)).status();
  };
  EXPECT_EQ(FieldOf(start({"../m", 1, 3, DigestOf("one")})), "model");
  EXPECT_EQ(FieldOf(start({"m", 1, 0, DigestOf("")})), "size");
  EXPECT_EQ(FieldOf(start({"m", 1, 11, DigestOf("")})), "size");
  EXPECT_EQ(FieldOf(start({"m", 1, 3, "abc"})), "digest");
  EXPECT_EQ(FieldOf(start({"m", 1, 3, std::string(64, 'g')})), "digest");

  auto session = repository->StartUpload(SpecOf("m", 1, "one")).value();
  const absl::Status more = session->Append("one more");
  EXPECT_EQ(FieldOf(more), "chunk");
  EXPECT_THAT(Message(more), HasSubstr("announced size of 3"));
  EXPECT_EQ(session->Seal(), more) << "an error stays";

  session = repository->StartUpload(SpecOf("m", 1, "one")).value();
  ASSERT_TRUE(session->Append("on").ok());
  EXPECT_THAT(Message(session->Seal()), HasSubstr("after 2 of 3 bytes"));

  session = repository->StartUpload(SpecOf("m", 1, "one")).value();
  ASSERT_TRUE(session->Append("0ne").ok());
  const absl::Status wrong = session->Seal();
  EXPECT_EQ(wrong.code(), StatusCode::kDataLoss);
  EXPECT_THAT(Message(wrong), HasSubstr(DigestOf("0ne")));
  EXPECT_TRUE(IncomingIsEmpty(root_.path()));
  EXPECT_THAT(Versions(*repository), IsEmpty());
}

TEST_F(ModelRepositoryTest, AnUpperCaseDigestIsTheSameDigest) {
  const auto repository = OpenRepository(root_.path());
  UploadSpec spec = SpecOf("m", 1, "one");
  for (char& c : spec.digest) c = static_cast<char>(std::toupper(c));
  auto session = repository->StartUpload(spec).value();
  ASSERT_TRUE(session->Append("one").ok());
  EXPECT_TRUE(session->Seal().ok());
}

TEST_F(ModelRepositoryTest, AnAbandonedUploadLeavesNothing) {
  const auto repository = OpenRepository(root_.path());
  auto session = repository->StartUpload(SpecOf("m", 1, "one")).value();
  ASSERT_TRUE(session->Append("on").ok());
  EXPECT_FALSE(IncomingIsEmpty(root_.path()));
  session.reset();
  EXPECT_TRUE(IncomingIsEmpty(root_.path()));
}

TEST_F(ModelRepositoryTest, AFullDiskIsAClearErrorAndLeavesNothing) {
  std::vector<std::string> steps;
  {
    tern::testing::TempDir other;
    const auto record = OpenRepository(other.path(), [&](std::string_view s) {
      steps.emplace_back(s);
      return 0;
    });
    ASSERT_TRUE(Upload(*record, "m", 1, "content").ok());
  }
  ASSERT_GE(steps.size(), 9u);
  for (const std::string& failing : steps) {
    tern::testing::TempDir root;
    const auto repository = OpenRepository(
        root.path(),
        [&](std::string_view step) { return step == failing ? ENOSPC : 0; });
    const auto upload = Upload(*repository, "m", 1, "content");
    EXPECT_EQ(upload.status().code(), StatusCode::kResourceExhausted)
        << failing << ": " << upload.status();
    EXPECT_THAT(Message(upload.status()), HasSubstr("No space left on device"));
    EXPECT_THAT(Message(upload.status()), HasSubstr("cannot " + failing));
    EXPECT_THAT(Versions(*repository), IsEmpty());
    EXPECT_TRUE(IncomingIsEmpty(root.path())) << failing;
    EXPECT_FALSE(fs::exists(root / "m")) << failing;
  }
}

TEST_F(ModelRepositoryTest, DeleteRemovesAVersionAndAnEmptyModel) {
  const auto repository = OpenRepository(root_.path());
  ASSERT_TRUE(Upload(*repository, "m", 1, "one").ok());
  ASSERT_TRUE(Upload(*repository, "m", 2, "two").ok());
  EXPECT_TRUE(repository->Delete("m", 1).ok());
  EXPECT_THAT(Versions(*repository), ElementsAre("m/2"));
  EXPECT_EQ(repository->Delete("m", 1).code(), StatusCode::kNotFound);
  EXPECT_TRUE(repository->Delete("m", 2).ok());
  EXPECT_FALSE(fs::exists(root_ / "m"));
  EXPECT_TRUE(IncomingIsEmpty(root_.path()));
}

TEST_F(ModelRepositoryTest, NamesCannotLeaveTheRoot) {
  PutFile(root_ / "outside/1/model.twn", "secret");
  fs::create_directories(root_ / "root");
  const auto repository = OpenRepository(root_ / "root");
  for (const char* name : {"../outside", "..", ".", "/", "a/../../outside",
                           ".incoming", "outside/../../outside"}) {
    EXPECT_EQ(repository->Find(name, 1).status().code(),
              StatusCode::kInvalidArgument);
    EXPECT_EQ(repository->Delete(name, 1).code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(Upload(*repository, name, 1, "x").status().code(),
              StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(GetFile(root_ / "outside/1/model.twn"), "secret");
}

TEST_F(ModelRepositoryTest, LinksAreNotFollowedOut) {
  PutFile(root_ / "outside/1/model.twn", "secret");
  const std::string in = root_ / "root";
  fs::create_directories(in + "/file/1");
  fs::create_directories(in + "/version");
  fs::create_directory_symlink(root_ / "outside", in + "/model");
  fs::create_directory_symlink(root_ / "outside/1", in + "/version/1");
  fs::create_symlink(root_ / "outside/1/model.twn", in + "/file/1/model.twn");
  const auto repository = OpenRepository(in);
  EXPECT_THAT(Versions(*repository), IsEmpty());
  EXPECT_EQ(repository->Scan()->notices.size(), 3u);
  for (const char* name : {"model", "version", "file"}) {
    const auto found = repository->Find(name, 1);
    EXPECT_EQ(found.status().code(), StatusCode::kPermissionDenied) << name;
    EXPECT_FALSE(Upload(*repository, name, 1, "x").ok()) << name;
    EXPECT_FALSE(repository->Delete(name, 1).ok()) << name;
  }
  EXPECT_FALSE(Upload(*repository, "model", 2, "x").ok());
  EXPECT_EQ(GetFile(root_ / "outside/1/model.twn"), "secret");
  EXPECT_FALSE(fs::exists(root_ / "outside/2"));
}

TEST_F(ModelRepositoryTest, LinksInsideTheRootAreFine) {
  // As container platforms mount configuration.
  PutFile(root_ / "..data/m/1/model.twn", "x");
  fs::create_directory_symlink("..data/m", root_ / "m");
  const auto repository = OpenRepository(root_.path());
  EXPECT_THAT(Versions(*repository), ElementsAre("m/1"));
}

TEST_F(ModelRepositoryTest, ASecondProcessMayReadButNotWrite) {
  const auto first = OpenRepository(root_.path());
  ASSERT_TRUE(Upload(*first, "m", 1, "one").ok());
  auto session = first->StartUpload(SpecOf("n", 1, "one")).value();
  const auto second = OpenRepository(root_.path());
  EXPECT_FALSE(IncomingIsEmpty(root_.path())) << "it removed a live upload";
  EXPECT_THAT(Versions(*second), ElementsAre("m/1"));
  const auto upload = Upload(*second, "m", 2, "two");
  EXPECT_EQ(upload.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(upload.status()), HasSubstr("another process"));
  EXPECT_EQ(second->Delete("m", 1).code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace tern::server
