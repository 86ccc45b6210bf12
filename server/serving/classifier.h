// Classifier: the one call behind every way to ask for a classification.
//
// Classify finds the model, checks the request, takes it into the model's
// queue (or refuses it), has encoded pictures decoded on threads of its own,
// and calls back with a result for each picture. It never blocks.
//
// Thread-safe. Must be destroyed after the batcher has drained.

#ifndef TERN_SERVER_SERVING_CLASSIFIER_H_
#define TERN_SERVER_SERVING_CLASSIFIER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "engine/engine.h"
#include "engine/image/image.h"
#include "server/batching/batcher.h"
#include "server/clock.h"
#include "server/serving/model_manager.h"
#include "server/serving/picture.h"
#include "server/serving/servable.h"

namespace tern::server {

struct ClassifyRequest {
  ModelChoice model;
  // Their bytes must live until `done` is called.
  std::vector<Picture> pictures;
  // 0 means 5; more than there are classes means all.
  std::uint32_t top_k = 0;
  bool return_logits = false;
  // -100..100, larger first.
  int priority = 0;
  TimePoint deadline = kNever;
};

struct PictureResult {
  // Not OK: nothing else is set.
  absl::Status status;
  // Most probable first; labels are the model's.
  std::vector<ClassScore> classes;
  std::vector<float> logits;
  int batch_size = 0;
};

struct ClassifyReply {
  // Of the call as a whole; FieldOf and RetryDelayOf may tell more.
  absl::Status status;
  // What answered; null where the request was refused before it was found.
  // Let go of it soon: it keeps the version loaded.
  ServableHandle servable;
  // One for each picture, in order, where status is OK.
  std::vector<PictureResult> results;
  Nanos decode_time{0};
  Nanos queue_time{0};
  Nanos inference_time{0};
  Nanos total_time{0};
};

using ClassifyDone = std::function<void(ClassifyReply)>;

struct ClassifierOptions {
  // Behaviour. Pictures in one request, at least 1.
  int max_pictures = 1024;
  DecodeLimits decode;
  // Performance. Threads that decode pictures, at least 1.
  int decode_threads = 1;
};

// A request under way.
class ClassifyCall {
 public:
  virtual ~ClassifyCall() = default;
  // `done` comes soon, with CANCELLED unless the request is over. Any time,
  // any thread, any number of times.
  virtual void Cancel() = 0;
};

class JobPool;

class Classifier {
 public:
  // Pointers must outlive the classifier.
  Classifier(const ClassifierOptions& options, const ModelManager* manager,
             Batcher* batcher, Clock* clock);
  ~Classifier();
  Classifier(const Classifier&) = delete;
  Classifier& operator=(const Classifier&) = delete;

  // `done` is called exactly once, on any thread; for a refused request on
  // this one, before Classify returns. It should be quick: it may hold an
  // executor up. The returned call is never null.
  std::shared_ptr<ClassifyCall> Classify(ClassifyRequest request,
                                         ClassifyDone done);

 private:
  class Call;

  absl::Status Start(const std::shared_ptr<Call>& call);
  void PostDecoding(std::shared_ptr<Call> call);

  const ClassifierOptions options_;
  const ModelManager* const manager_;
  Batcher* const batcher_;
  Clock* const clock_;
  const std::unique_ptr<JobPool> decoders_;
};

}  // namespace tern::server

#endif  // TERN_SERVER_SERVING_CLASSIFIER_H_
