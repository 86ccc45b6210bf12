// ServingTest: repository, batcher, engine and manager as the server has them,
// on a repository of small models, with what the observer heard.

#ifndef TERN_TESTS_SERVER_SERVING_SERVING_TEST_BASE_H_
#define TERN_TESTS_SERVER_SERVING_SERVING_TEST_BASE_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/runtime/golden.h"
#include "gtest/gtest.h"
#include "server/serving/model_manager.h"
#include "tests/server/serving/repository_files.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace tern::server {

// A servable file; another seed is another model.
inline std::string ModelFileBytes(std::uint64_t seed,
                                  std::string_view graph = testing::kTinyMlp) {
  const testing::TinyModel tiny = testing::MakeTinyModel(graph, seed);
  const auto picture =
      testing::RandomPicture(tiny.header.graph().input(), seed);
  return WriteModelWithGolden(tiny.header, tiny.weights, seed, picture).value();
}

// Writes down what it hears: "m/1 READY".
class RecordingObserver final : public ServingObserver {
 public:
  std::unique_ptr<ModelObserver> ForModel(std::string_view model,
                                          std::uint64_t version) override {
    if (while_loading) while_loading(Name(model, version));
    return std::make_unique<Silent>();
  }
  void StateChanged(std::string_view model, std::uint64_t version,
                    ModelState state, const absl::Status&) override {
    Note(Name(model, version) + " " + ModelStateName(state));
  }
  void Removed(std::string_view model, std::uint64_t version) override {
    Note(Name(model, version) + " removed");
  }
  void Loaded(std::string_view, std::uint64_t, Nanos,
              const absl::Status&) override {}
  void Notice(std::string_view message) override { Note(std::string(message)); }

  std::vector<std::string> Take() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return std::exchange(events_, {});
  }

  // Called on the loading thread, between golden test and switch.
  std::function<void(const std::string& version)> while_loading;

 private:
  class Silent final : public ModelObserver {
    void Dropped(DropReason) override {}
    void Executed(int, Nanos) override {}
    void Queued(Nanos) override {}
    void Decoded(Nanos) override {}
  };
  static std::string Name(std::string_view model, std::uint64_t version) {
    return absl::StrCat(std::string(model), "/", version);
  }
  void Note(std::string event) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    events_.push_back(std::move(event));
  }

  Mutex mu_;
  std::vector<std::string> events_ ABSL_GUARDED_BY(mu_);
};

class ServingTest : public ::testing::Test {
 protected:
  void Put(const std::string& model, std::uint64_t version,
           const std::string& bytes) {
    PutFile(root_ / absl::StrCat(model, "/", version, "/model.twn"), bytes);
  }

  void Start(const std::string& policy = "latest") {
    repository_ = OpenRepository(root_.path(), nullptr, default_model_);
    ManagerOptions options;
    options.policy = VersionPolicy::Parse(policy).value();
    options.queue = queue_options_;
    manager_ = std::make_unique<ModelManager>(
        options, repository_.get(), SelectKernels("reference").value(),
        &batcher_, &executors_, &clock_, &observer_);
    ASSERT_TRUE(manager_->Start().ok());
  }

  absl::StatusOr<UploadResult> Upload(const std::string& model,
                                      std::uint64_t version,
                                      const std::string& bytes,
                                      bool store_only = false) {
    TERN_ASSIGN_OR_RETURN(
        const auto upload,
        manager_->StartUpload(SpecOf(model, version, bytes), store_only));
    TERN_RETURN_IF_ERROR(upload->Append(bytes));
    return upload->Finish();
  }

  absl::StatusOr<ServableHandle> Get(
      const std::string& model, std::optional<std::uint64_t> version = {}) {
    return manager_->Get({model, version, {}});
  }
  // The version that answers for the model; 0: none.
  std::uint64_t Answers(const std::string& model) {
    const auto handle = Get(model);
    return handle.ok() ? (*handle)->version() : 0;
  }
  ModelState StateOf(const std::string& model, std::uint64_t version) {
    return manager_->Status(model, version).value().state;
  }

  tern::testing::TempDir root_;
  FakeClock clock_;
  RecordingObserver observer_;
  std::string default_model_;
  QueueOptions queue_options_{.max_batch_size = 8};
  std::unique_ptr<ModelRepository> repository_;
  ExecutorPool executors_{2, 1};
  Batcher batcher_{{2}, &clock_, std::make_unique<RoundRobinScheduler>()};
  std::unique_ptr<ModelManager> manager_;
};

}  // namespace tern::server

#endif  // TERN_TESTS_SERVER_SERVING_SERVING_TEST_BASE_H_
