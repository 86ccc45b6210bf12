#include "server/serving/model_manager.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/status_details.h"
#include "tests/server/batching/gate.h"
#include "tests/server/serving/serving_test_base.h"

namespace tern::server {
namespace {

using absl::StatusCode;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

// One byte of a weight flipped.
std::string Corrupt(std::string bytes) {
  bytes[bytes.size() - 100] ^= 1;
  return bytes;
}

class ModelManagerTest : public ServingTest {};

TEST_F(ModelManagerTest, StartLoadsTheNewestOfEachModel) {
  Put("a", 1, ModelFileBytes(1));
  Put("a", 10, ModelFileBytes(2));
  Put("b", 2, ModelFileBytes(3));
  Start();
  EXPECT_EQ(Answers("a"), 10u);
  EXPECT_EQ(Answers("b"), 2u);
  EXPECT_EQ(StateOf("a", 1), ModelState::kUnloaded);
  const auto all = manager_->List("").value();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[1].model, "a");
  EXPECT_EQ(all[1].version, 10u);
  EXPECT_EQ(all[1].digest, DigestOf(ModelFileBytes(2)));
  EXPECT_EQ(all[1].file_bytes, ModelFileBytes(2).size());
  EXPECT_GT(all[1].packed_bytes, 0u);
  EXPECT_GT(all[1].float32_bytes, all[1].packed_bytes);
  EXPECT_EQ(all[0].packed_bytes, 0u) << "not loaded";
  EXPECT_EQ(manager_->List("a")->size(), 2u);
  EXPECT_EQ(manager_->List("c").status().code(), StatusCode::kNotFound);
}

TEST_F(ModelManagerTest, PoliciesLoadWhatTheyName) {
  for (const int version : {1, 2, 3})
    Put("a", version, ModelFileBytes(version));
  Start("latest:2");
  EXPECT_EQ(StateOf("a", 1), ModelState::kUnloaded);
  EXPECT_EQ(StateOf("a", 2), ModelState::kReady);
  EXPECT_EQ(StateOf("a", 3), ModelState::kReady);
  EXPECT_EQ(Answers("a"), 3u);
  EXPECT_EQ((*Get("a", 2))->version(), 2u);
}

TEST_F(ModelManagerTest, ABadFileFailsAloneAndTheOneBeforeServes) {
  Put("a", 1, ModelFileBytes(1));
  Put("a", 2, Corrupt(ModelFileBytes(2)));
  Put("b", 1, "not a model");
  Put("c", 1, ModelFileBytes(3));
  Start();
  EXPECT_EQ(Answers("a"), 1u);
  EXPECT_EQ(Answers("c"), 1u);
  EXPECT_EQ(StateOf("a", 2), ModelState::kFailed);
  const VersionStatus b = manager_->Status("b", 1).value();
  EXPECT_EQ(b.state, ModelState::kFailed);
  EXPECT_FALSE(b.error.ok());
  EXPECT_THAT(Message(b.error), Not(HasSubstr(root_.path())));
  // Both by version and by name: it says why.
  for (const auto& get : {Get("a", 2), Get("b"), Get("b", 1)}) {
    EXPECT_EQ(get.status().code(), StatusCode::kUnavailable);
    EXPECT_THAT(Message(get.status()), HasSubstr("failed to load: "));
  }
}

TEST_F(ModelManagerTest, NotFoundWhereThereIsNothingToWaitFor) {
  Put("a", 1, ModelFileBytes(1));
  Put("a", 2, ModelFileBytes(2));
  Start();
  EXPECT_EQ(Get("x").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Get("a", 9).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Get("a", 0).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Get("a", 1).status().code(), StatusCode::kNotFound);
  EXPECT_THAT(Message(Get("a", 1).status()), HasSubstr("is not loaded"));
  EXPECT_EQ(FieldOf(Get("").status()), "model.name");
  const auto alias = manager_->Get({"a", {}, "stable"});
  EXPECT_EQ(alias.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(Message(alias.status()), HasSubstr("no alias 'stable'"));
}

TEST_F(ModelManagerTest, UnavailableWhileItIsLoading) {
  Put("a", 1, ModelFileBytes(1));
  Start("specific:7");
  Gate loading, go_on;
  observer_.while_loading = [&](const std::string&) {
    loading.Open();
    go_on.Wait();
  };
  std::thread load([&] { EXPECT_TRUE(manager_->Load("a", 1).ok()); });
  loading.Wait();
  EXPECT_EQ(StateOf("a", 1), ModelState::kLoading);
  EXPECT_EQ(Get("a", 1).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(Get("a").status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(Message(Get("a").status()), HasSubstr("still loading"));
  go_on.Open();
  load.join();
  EXPECT_EQ(Answers("a"), 1u);
}

TEST_F(ModelManagerTest, AnUploadIsServedAndTheOldVersionGoesAfterwards) {
  Put("a", 1, ModelFileBytes(1));
  Start();
  observer_.Take();
  // The old one answers until the very moment of the switch.
  observer_.while_loading = [&](const std::string&) {
    EXPECT_EQ(Answers("a"), 1u);
  };
  const UploadResult result = Upload("a", 0, ModelFileBytes(2)).value();
  EXPECT_EQ(result.version, 2u);
  EXPECT_EQ(result.digest, DigestOf(ModelFileBytes(2)));
  EXPECT_FALSE(result.existed);
  EXPECT_EQ(Answers("a"), 2u);
  manager_.reset();  // waits for the old one to go
  const auto events = observer_.Take();
  const auto at = [&](const char* event) {
    const auto it = std::find(events.begin(), events.end(), event);
    EXPECT_NE(it, events.end()) << event;
    return it - events.begin();
  };
  EXPECT_LT(at("a/2 READY"), at("a/1 UNLOADING"));
}

TEST_F(ModelManagerTest, TheSameUploadAgainIsANoOp) {
  Start();
  ASSERT_TRUE(Upload("a", 0, ModelFileBytes(1)).ok());
  const UploadResult again = Upload("a", 0, ModelFileBytes(1)).value();
  EXPECT_TRUE(again.existed);
  EXPECT_EQ(again.version, 1u);
  EXPECT_EQ(Upload("a", 1, ModelFileBytes(2)).status().code(),
            StatusCode::kAlreadyExists);
  EXPECT_EQ(Answers("a"), 1u);
}

TEST_F(ModelManagerTest, ABadUploadIsRefusedAndLeavesNothing) {
  Put("a", 1, ModelFileBytes(1));
  Start();
  for (const std::string& bad :
       {std::string("rubbish"), Corrupt(ModelFileBytes(2)),
        // A fine file without a golden test.
        testing::TinyModelBytes(
            testing::MakeTinyModel(testing::kTinyMlp, 3))}) {
    const auto upload = Upload("a", 0, bad);
    EXPECT_FALSE(upload.ok());
    EXPECT_THAT(Message(upload.status()), Not(HasSubstr(root_.path())));
  }
  EXPECT_EQ(manager_->List("a")->size(), 1u);
  EXPECT_EQ(Answers("a"), 1u);
  EXPECT_TRUE(std::filesystem::is_empty(root_ / ".incoming"));
}

TEST_F(ModelManagerTest, AnOlderVersionUploadedByNumberIsServedBesides) {
  Put("a", 5, ModelFileBytes(1));
  Start();
  ASSERT_TRUE(Upload("a", 3, ModelFileBytes(2)).ok());
  EXPECT_EQ(Answers("a"), 5u);
  EXPECT_EQ((*Get("a", 3))->version(), 3u);
}

TEST_F(ModelManagerTest, StoreOnlyStoresOnly) {
  Put("a", 1, ModelFileBytes(1));
  Start();
  ASSERT_TRUE(Upload("a", 0, ModelFileBytes(2), true).ok());
  EXPECT_EQ(StateOf("a", 2), ModelState::kUnloaded);
  EXPECT_EQ(Answers("a"), 1u);
  ASSERT_TRUE(manager_->Load("a", 2).ok());
  EXPECT_EQ(Answers("a"), 2u);
}

TEST_F(ModelManagerTest, UnloadWaitsForRequestsUnderWay) {
  Put("a", 1, ModelFileBytes(1));
  Start();
  ServableHandle handle = Get("a").value();
  std::atomic<bool> returned{false};
  std::thread unload([&] {
    EXPECT_TRUE(manager_->Unload("a", 1).ok());
    returned = true;
  });
  while (StateOf("a", 1) != ModelState::kUnloading) std::this_thread::yield();
  EXPECT_EQ(Get("a").status().code(), StatusCode::kNotFound);
  EXPECT_GT(handle->model().packed_bytes(), 0u) << "the handle still serves";
  EXPECT_GT(manager_->Status("a", 1)->packed_bytes, 0u);
  EXPECT_FALSE(returned);
  handle.reset();
  unload.join();
  EXPECT_EQ(StateOf("a", 1), ModelState::kUnloaded);
  EXPECT_EQ(manager_->Status("a", 1)->packed_bytes, 0u);
}

TEST_F(ModelManagerTest, UnloadAndLoadByNameOverruleThePolicy) {
  Put("a", 1, ModelFileBytes(1));
  Put("a", 2, ModelFileBytes(2));
  Start();
  ASSERT_TRUE(manager_->Load("a", 1).ok());
  EXPECT_EQ(StateOf("a", 1), ModelState::kReady);
  EXPECT_EQ(StateOf("a", 2), ModelState::kReady);
  ASSERT_TRUE(manager_->Unload("a", 2).ok());
  EXPECT_EQ(Answers("a"), 1u);
  ASSERT_TRUE(manager_->Unload("a", 1).ok());
  EXPECT_EQ(Answers("a"), 0u);
  EXPECT_EQ(manager_->Unload("a", 1).code(), StatusCode::kNotFound);
  EXPECT_EQ(manager_->Unload("a", 9).code(), StatusCode::kNotFound);
  EXPECT_EQ(FieldOf(manager_->Unload("a", 0)), "version");
  EXPECT_EQ(manager_->Load("a", 0)->version, 2u);
  EXPECT_EQ(Answers("a"), 2u);
}

TEST_F(ModelManagerTest, LoadFindsFilesThatCameWithoutAnUpload) {
  Start();
  Put("new", 4, ModelFileBytes(1));
  EXPECT_EQ(manager_->Load("new", 5).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(manager_->Load("other", 0).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(manager_->Load("../new", 0).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(manager_->Load("new", 0)->version, 4u);
  EXPECT_EQ(Answers("new"), 4u);
}

TEST_F(ModelManagerTest, WhatFailedCanBeTriedAgain) {
  Put("a", 1, "rubbish");
  Start();
  EXPECT_FALSE(manager_->Load("a", 1).ok());
  Put("a", 1, ModelFileBytes(1));
  EXPECT_TRUE(manager_->Load("a", 1).ok());
  EXPECT_EQ(Answers("a"), 1u);
}

TEST_F(ModelManagerTest, DeletingTheNewestBringsTheOneBeforeBack) {
  Put("a", 1, ModelFileBytes(1));
  Put("a", 2, ModelFileBytes(2));
  Start();
  ASSERT_TRUE(manager_->Delete("a", 2).ok());
  EXPECT_FALSE(std::filesystem::exists(root_ / "a/2"));
  EXPECT_EQ(manager_->Status("a", 2).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(manager_->Load("a", 1).ok());  // waits for what is loading
  EXPECT_EQ(Answers("a"), 1u);
  EXPECT_EQ(manager_->Delete("a", 2).code(), StatusCode::kNotFound);
  ASSERT_TRUE(manager_->Delete("a", 1).ok());
  EXPECT_EQ(manager_->List("a").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(observer_.Take(), Contains("a/1 removed"));
}

TEST_F(ModelManagerTest, TheRepositorysOwnFileIsNotDeletedNorUnloaded) {
  PutFile(root_ / "model.twn", ModelFileBytes(1));
  default_model_ = "mine";
  Start();
  EXPECT_EQ(Answers("mine"), 1u);
  EXPECT_EQ(manager_->Delete("mine", 1).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(Answers("mine"), 1u);
}

TEST_F(ModelManagerTest, DrainingRefusesEverythingNew) {
  Put("a", 1, ModelFileBytes(1));
  Start();
  manager_->StartDraining();
  EXPECT_EQ(Get("a").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(Upload("a", 0, ModelFileBytes(2)).status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(manager_->Load("a", 1).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(manager_->Unload("a", 1).code(), StatusCode::kUnavailable);
  EXPECT_EQ(manager_->Delete("a", 1).code(), StatusCode::kUnavailable);
  EXPECT_EQ(StateOf("a", 1), ModelState::kReady);
}

TEST_F(ModelManagerTest, NoticesReachTheObserver) {
  PutFile(root_ / ".incoming/upload-1/model.twn", "half");
  PutFile(root_ / "README", "x");
  Start();
  EXPECT_THAT(observer_.Take(), ElementsAre(HasSubstr("removed 1 leftovers"),
                                            HasSubstr("README")));
}

}  // namespace
}  // namespace tern::server
