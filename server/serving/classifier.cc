#include "server/serving/classifier.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/mutex.h"
#include "server/serving/job_pool.h"
#include "server/status_details.h"

namespace tern::server {
namespace {

constexpr std::uint32_t kDefaultTopK = 5;
constexpr int kMaxPriority = 100;

absl::Status CheckRequest(const ClassifyRequest& request, int max_pictures) {
  const std::size_t pictures = request.pictures.size();
  if (pictures < 1 || pictures > static_cast<std::size_t>(max_pictures)) {
    return InvalidField("images", absl::StrCat("want 1..", max_pictures,
                                               " pictures, got ", pictures));
  }
  if (request.priority < -kMaxPriority || request.priority > kMaxPriority) {
    return InvalidField("priority",
                        absl::StrCat("want ", -kMaxPriority, "..", kMaxPriority,
                                     ", got ", request.priority));
  }
  return absl::OkStatus();
}

}  // namespace

// One request. Until Admit it belongs to the thread that called Classify, then
// to the decoding threads, each working on pictures of its own, and after
// Enqueue to the thread that calls the task's `done`.
class Classifier::Call final : public ClassifyCall {
 public:
  Call(ClassifyRequest request, ClassifyDone done, Batcher* batcher,
       Clock* clock)
      : request_(std::move(request)),
        done_(std::move(done)),
        batcher_(batcher),
        clock_(clock),
        arrival_(clock->Now()) {}

  void Cancel() override {
    if (task_ != nullptr) batcher_->Cancel(task_);
  }

  const ClassifyRequest& request() const { return request_; }
  bool needs_decoding() const { return !encoded_.empty(); }
  std::size_t encoded() const { return encoded_.size(); }

  // Ends a request that never got into the queue.
  void Refuse(absl::Status status) {
    ClassifyReply reply;
    reply.status = std::move(status);
    Reply(std::move(reply));
  }

  // Checks the pictures. Those that are wrong have their status then.
  void SetServable(ServableHandle servable) {
    servable_ = std::move(servable);
    const Model& model = servable_->model();
    results_.resize(request_.pictures.size());
    for (std::size_t i = 0; i < results_.size(); ++i) {
      const Picture& picture = request_.pictures[i];
      results_[i].status = CheckPicture(picture, i, model);
      if (!results_[i].status.ok()) continue;
      bytes_ += picture.bytes.size() + model.classes() * sizeof(float);
      ++rows_;
      if (picture.kind != Picture::Kind::kEncoded) continue;
      bytes_ += model.input_bytes();
      encoded_.push_back(i);
    }
    decoded_.resize(encoded_.empty() ? 0 : results_.size());
  }

  // Takes the request into the model's queue.
  absl::Status Admit(const std::shared_ptr<Call>& self) {
    if (rows_ == 0) return absl::OkStatus();
    auto task = std::make_shared<Task>();
    task->max_rows = rows_;
    task->bytes = bytes_;
    task->cost_per_row = servable_->cost_per_image();
    task->deadline = request_.deadline;
    task->priority = request_.priority;
    task->done = [self](const TaskOutcome& outcome) { self->Finish(outcome); };
    // Before Admit: the task may be over at once.
    task_ = task;
    absl::Status status = batcher_->Admit(servable_->queue(), task);
    // Nobody calls it then, and it holds this object.
    if (!status.ok()) task->done = nullptr;
    return status;
  }

  // Decodes the next picture. False: there is no other.
  bool DecodeOne(const DecodeLimits& limits) ABSL_LOCKS_EXCLUDED(mu_) {
    const std::size_t next = next_++;
    if (next >= encoded_.size() || !Begin()) return false;
    const std::size_t i = encoded_[next];
    if (!batcher_->Dropped(task_)) {
      absl::StatusOr<Image> image =
          DecodePicture(request_.pictures[i], i, servable_->model(), limits);
      results_[i].status = image.status();
      if (image.ok()) decoded_[i] = *std::move(image);
    }
    if (++finished_ == encoded_.size()) {
      decode_time_ = clock_->Now() - arrival_;
      if (servable_->observer() != nullptr) {
        servable_->observer()->Decoded(decode_time_);
      }
      const bool dropped = batcher_->Dropped(task_);
      batcher_->Enqueue(task_, dropped ? std::vector<Row>() : MakeRows());
      return false;
    }
    return next + 1 < encoded_.size();
  }

  // Hands over a request of pixels only.
  void Enqueue() {
    if (task_ == nullptr) {
      Finish({});
    } else if (Begin()) {
      batcher_->Enqueue(task_, MakeRows());
    }
  }

 private:
  std::vector<Row> MakeRows() {
    const std::size_t classes = servable_->model().classes();
    logits_.resize(static_cast<std::size_t>(rows_) * classes);
    std::vector<Row> rows;
    for (std::size_t i = 0; i < results_.size(); ++i) {
      if (!results_[i].status.ok()) continue;
      const bool raw = request_.pictures[i].kind == Picture::Kind::kRaw;
      rows.push_back(
          {raw ? request_.pictures[i].bytes
               : absl::MakeConstSpan(decoded_[i].pixels),
           absl::MakeSpan(&logits_[rows.size() * classes], classes)});
      picture_of_row_.push_back(i);
    }
    return rows;
  }

  // Whether the task still waits for its pictures, and stays until Enqueue.
  // Asked for by the first who works on it, remembered for the others.
  bool Begin() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    if (!begun_) {
      begun_ = true;
      alive_ = batcher_->BeginPrepare(task_);
    }
    return alive_;
  }

  void Finish(const TaskOutcome& outcome) {
    ClassifyReply reply;
    reply.status = outcome.status;
    if (outcome.status.ok()) {
      for (std::size_t row = 0; row < outcome.rows.size(); ++row) {
        FillResult(outcome.rows[row], row);
      }
      reply.results = std::move(results_);
    }
    reply.decode_time = decode_time_;
    reply.queue_time = outcome.queue_time;
    reply.inference_time = outcome.inference_time;
    Reply(std::move(reply));
  }

  void FillResult(const RowOutcome& outcome, std::size_t row) {
    PictureResult& result = results_[picture_of_row_[row]];
    result.status = outcome.status;
    if (!outcome.status.ok()) return;
    result.batch_size = outcome.batch_size;
    const Model& model = servable_->model();
    const std::size_t classes = model.classes();
    const absl::Span<const float> logits(&logits_[row * classes], classes);
    const std::size_t top_k =
        request_.top_k == 0 ? kDefaultTopK : request_.top_k;
    result.classes = TopK(logits, static_cast<int>(std::min(top_k, classes)),
                          model.softmax_temperature());
    if (request_.return_logits) {
      result.logits.assign(logits.begin(), logits.end());
    }
  }

  void Reply(ClassifyReply reply) {
    reply.servable = std::move(servable_);
    reply.total_time = clock_->Now() - arrival_;
    std::exchange(done_, nullptr)(std::move(reply));
  }

  const ClassifyRequest request_;
  ClassifyDone done_;
  Batcher* const batcher_;
  Clock* const clock_;
  const TimePoint arrival_;
  ServableHandle servable_;
  std::shared_ptr<Task> task_;
  std::vector<PictureResult> results_;
  int rows_ = 0;
  std::size_t bytes_ = 0;
  // Pictures to decode, by index, and what became of them.
  std::vector<std::size_t> encoded_;
  std::vector<Image> decoded_;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::size_t> finished_{0};
  Nanos decode_time_{0};
  std::vector<std::size_t> picture_of_row_;
  std::vector<float> logits_;

  Mutex mu_;
  bool begun_ ABSL_GUARDED_BY(mu_) = false;
  bool alive_ ABSL_GUARDED_BY(mu_) = false;
};

Classifier::Classifier(const ClassifierOptions& options,
                       const ModelManager* manager, Batcher* batcher,
                       Clock* clock)
    : options_(options),
      manager_(manager),
      batcher_(batcher),
      clock_(clock),
      decoders_(std::make_unique<JobPool>(options.decode_threads,
                                          JobPool::Priority::kNormal)) {}

Classifier::~Classifier() = default;

std::shared_ptr<ClassifyCall> Classifier::Classify(ClassifyRequest request,
                                                   ClassifyDone done) {
  auto call = std::make_shared<Call>(std::move(request), std::move(done),
                                     batcher_, clock_);
  if (absl::Status status = Start(call); !status.ok()) {
    call->Refuse(std::move(status));
  }
  return call;
}

absl::Status Classifier::Start(const std::shared_ptr<Call>& call) {
  TERN_ASSIGN_OR_RETURN(ServableHandle servable,
                        manager_->Get(call->request().model));
  TERN_RETURN_IF_ERROR(CheckRequest(call->request(), options_.max_pictures));
  call->SetServable(std::move(servable));
  TERN_RETURN_IF_ERROR(call->Admit(call));
  if (!call->needs_decoding()) {
    call->Enqueue();
    return absl::OkStatus();
  }
  const std::size_t helpers = std::min<std::size_t>(
      call->encoded(), static_cast<std::size_t>(decoders_->threads()));
  for (std::size_t i = 0; i < helpers; ++i) PostDecoding(call);
  return absl::OkStatus();
}

// One picture, then to the back: requests with many pictures take turns with
// those that have one.
void Classifier::PostDecoding(std::shared_ptr<Call> call) {
  decoders_->Post([this, call = std::move(call)] {
    if (call->DecodeOne(options_.decode)) PostDecoding(call);
  });
}

}  // namespace tern::server
