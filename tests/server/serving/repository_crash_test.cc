// Kills a process before each step of an upload and of a removal and looks at
// what the next one finds: the old state or the new one, nothing in between.
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/serving/repository_files.h"
#include "tests/testing/temp_dir.h"

namespace tern::server {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kCrashed = 42;

// Runs `change` in a child process that ends abruptly before step `crash_at`.
// False where there were fewer steps.
bool CrashAt(std::size_t crash_at, const std::string& root,
             const std::function<void(ModelRepository&)>& change) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::size_t step = 0;
    const auto repository = OpenRepository(root, [&](std::string_view) {
      if (step++ == crash_at) ::_exit(kCrashed);
      return 0;
    });
    change(*repository);
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_THAT(WEXITSTATUS(status), AnyOf(0, kCrashed));
  return WEXITSTATUS(status) == kCrashed;
}

// Content of every version that a new process finds.
std::vector<std::string> Contents(const std::string& root) {
  const auto repository = OpenRepository(root);
  EXPECT_TRUE(fs::is_empty(root + "/.incoming"));
  std::vector<std::string> contents;
  const ScanResult scan = repository->Scan().value();
  EXPECT_THAT(scan.notices, IsEmpty());
  for (const StoredVersion& version : scan.versions) {
    contents.push_back(GetFile(version.path));
  }
  return contents;
}

TEST(RepositoryCrash, AnUploadIsThereWholeOrNotAtAll) {
  std::size_t steps = 0;
  for (bool crashed = true; crashed; ++steps) {
    tern::testing::TempDir root;
    PutFile(root / "m/1/model.twn", "old");
    crashed = CrashAt(steps, root.path(), [](ModelRepository& repository) {
      Upload(repository, "m", 2, "new content").IgnoreError();
    });
    if (crashed) {
      EXPECT_THAT(Contents(root.path()),
                  AnyOf(ElementsAre("old"), ElementsAre("old", "new content")))
          << "before step " << steps;
    } else {
      EXPECT_THAT(Contents(root.path()), ElementsAre("old", "new content"));
    }
  }
  EXPECT_GT(steps, 8u);
}

TEST(RepositoryCrash, AFirstUploadOfAModelIsThereWholeOrNotAtAll) {
  std::size_t steps = 0;
  for (bool crashed = true; crashed; ++steps) {
    tern::testing::TempDir root;
    crashed = CrashAt(steps, root.path(), [](ModelRepository& repository) {
      Upload(repository, "m", 1, "new").IgnoreError();
    });
    EXPECT_THAT(Contents(root.path()), AnyOf(IsEmpty(), ElementsAre("new")));
    // Whatever was left does not stand in the way.
    const auto repository = OpenRepository(root.path());
    EXPECT_TRUE(Upload(*repository, "m", 1, "new").ok());
  }
  EXPECT_GT(steps, 9u);
}

TEST(RepositoryCrash, ADeletionIsDoneOrNotBegun) {
  std::size_t steps = 0;
  for (bool crashed = true; crashed; ++steps) {
    tern::testing::TempDir root;
    PutFile(root / "m/1/model.twn", "old");
    crashed = CrashAt(steps, root.path(), [](ModelRepository& repository) {
      repository.Delete("m", 1).IgnoreError();
    });
    EXPECT_THAT(Contents(root.path()), AnyOf(IsEmpty(), ElementsAre("old")));
  }
  EXPECT_GT(steps, 2u);
}

TEST(RepositoryCrash, LeftoversAreRemovedAndCounted) {
  tern::testing::TempDir root;
  PutFile(root / ".incoming/upload-1/model.twn", "half");
  PutFile(root / ".incoming/deleted-9/model.twn", "old");
  const auto repository = OpenRepository(root.path());
  EXPECT_EQ(repository->leftovers(), 2);
  EXPECT_TRUE(fs::is_empty(root / ".incoming"));
}

}  // namespace
}  // namespace tern::server
