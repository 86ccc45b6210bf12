#include "server/serving/version_policy.h"

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tern::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using enum ModelState;

using Infos = std::vector<VersionInfo>;

VersionPolicy Policy(const char* text) {
  return VersionPolicy::Parse(text).value();
}

std::optional<VersionAction> Next(const char* policy, const Infos& infos) {
  return NextAction(Policy(policy), infos);
}

VersionAction Load(std::uint64_t version) {
  return {VersionAction::Kind::kLoad, version};
}
VersionAction Unload(std::uint64_t version) {
  return {VersionAction::Kind::kUnload, version};
}

constexpr VersionRequest kAsked = VersionRequest::kLoad;
constexpr VersionRequest kHeldOut = VersionRequest::kUnload;

TEST(VersionPolicyParse, TakesTheFourForms) {
  EXPECT_EQ(Policy("latest").count, 1);
  EXPECT_EQ(Policy("latest:3").count, 3);
  EXPECT_EQ(Policy("all").kind, VersionPolicy::Kind::kAll);
  EXPECT_EQ(Policy("specific:4,1").kind, VersionPolicy::Kind::kSpecific);
  EXPECT_THAT(Policy("specific:4,1").versions, ElementsAre(4, 1));
}

TEST(VersionPolicyParse, SaysWhatItWanted) {
  for (const char* bad :
       {"", "newest", "latest:", "latest:0", "latest:-1", "latest:x", "all:1",
        "specific:", "specific:0", "specific:1,", "specific:1,x"}) {
    const auto policy = VersionPolicy::Parse(bad);
    ASSERT_FALSE(policy.ok()) << bad;
    EXPECT_THAT(std::string(policy.status().message()),
                HasSubstr("want 'latest'"));
    EXPECT_THAT(std::string(policy.status().message()),
                HasSubstr(std::string("got '") + bad + "'"));
  }
}

TEST(NextAction, NothingToDoWithoutVersions) {
  EXPECT_EQ(Next("latest", {}), std::nullopt);
}

TEST(NextAction, LatestLoadsTheNewestOnly) {
  EXPECT_EQ(Next("latest", {{1}, {10}, {9}}), Load(10));
  EXPECT_EQ(Next("latest", {{1}, {10, kLoading}, {9}}), std::nullopt);
  EXPECT_EQ(Next("latest", {{1}, {10, kReady}, {9}}), std::nullopt);
}

TEST(NextAction, LatestOfSeveralLoadsNewerFirst) {
  EXPECT_EQ(Next("latest:2", {{1}, {2}, {3}}), Load(3));
  EXPECT_EQ(Next("latest:2", {{1}, {2}, {3, kLoading}}), Load(2));
  EXPECT_EQ(Next("latest:2", {{1}, {2, kReady}, {3, kReady}}), std::nullopt);
}

TEST(NextAction, TheOldOneServesUntilTheNewOneIsReady) {
  EXPECT_EQ(Next("latest", {{1, kReady}, {2}}), Load(2));
  EXPECT_EQ(Next("latest", {{1, kReady}, {2, kLoading}}), std::nullopt);
  EXPECT_EQ(Next("latest", {{1, kReady}, {2, kReady}}), Unload(1));
  EXPECT_EQ(Next("latest", {{1, kUnloading}, {2, kReady}}), std::nullopt);
}

TEST(NextAction, ABadNewOneLeavesTheOldOneServing) {
  EXPECT_EQ(Next("latest", {{1, kReady}, {2, kFailed}}), std::nullopt);
}

TEST(NextAction, AtStartTheNewestThatWorksIsServed) {
  EXPECT_EQ(Next("latest", {{1}, {2, kFailed}}), Load(1));
  EXPECT_EQ(Next("latest", {{1, kFailed}, {2, kFailed}}), std::nullopt);
}

TEST(NextAction, AllLoadsEverythingAndUnloadsNothing) {
  EXPECT_EQ(Next("all", {{1}, {2}}), Load(2));
  EXPECT_EQ(Next("all", {{1}, {2, kReady}}), Load(1));
  EXPECT_EQ(Next("all", {{1, kReady}, {2, kReady}}), std::nullopt);
}

TEST(NextAction, SpecificLoadsWhatIsNamedAndThere) {
  EXPECT_EQ(Next("specific:1,7", {{1}, {2}}), Load(1));
  EXPECT_EQ(Next("specific:1,7", {{1, kReady}, {2}}), std::nullopt);
  EXPECT_EQ(Next("specific:1", {{1, kReady}, {2, kReady}}), Unload(2));
  EXPECT_EQ(Next("specific:1", {{1, kLoading}, {2, kReady}}), std::nullopt);
}

TEST(NextAction, WhatWasAskedForByNameStays) {
  EXPECT_EQ(Next("latest", {{1, kReady, kAsked}, {2, kReady}}), std::nullopt);
  EXPECT_EQ(Next("latest", {{1, kUnloaded, kAsked}, {2, kReady}}), Load(1));
}

TEST(NextAction, UnloadingTheNewestByNameDoesNotBringAnOldOneBack) {
  EXPECT_EQ(Next("latest", {{1}, {2, kUnloaded, kHeldOut}}), std::nullopt);
  EXPECT_EQ(Next("latest:2", {{1}, {2}, {3, kUnloaded, kHeldOut}}), Load(2));
}

TEST(NextAction, AHeldOutNewestDoesNotEndTheOneThatServes) {
  EXPECT_EQ(Next("latest", {{1, kReady}, {2, kUnloaded, kHeldOut}}),
            std::nullopt);
  EXPECT_EQ(
      Next("latest", {{1, kReady}, {2, kReady}, {3, kUnloaded, kHeldOut}}),
      Unload(1));
}

}  // namespace
}  // namespace tern::server
