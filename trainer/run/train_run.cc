#include "trainer/run/train_run.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "trainer/run/evaluation.h"

namespace tern::trainer {
namespace {

absl::Status NotOfThisRun(const std::string& what) {
  return absl::FailedPreconditionError(absl::StrCat(
      what, "; resume with the options that the checkpoint was made with, or ",
      "train without --resume"));
}

}  // namespace

TrainRun::TrainRun(const TrainOptions& options, Dataset data, ThreadPool* pool)
    : options_(options), pool_(pool), data_(std::move(data)) {}

absl::StatusOr<std::unique_ptr<TrainRun>> TrainRun::Create(
    const TrainOptions& options, ThreadPool* pool) {
  TERN_RETURN_IF_ERROR(CheckTrainOptions(options));
  TERN_ASSIGN_OR_RETURN(Dataset data, LoadDataset(options.data, Split::kTrain));
  return Create(options, std::move(data), pool);
}

absl::StatusOr<std::unique_ptr<TrainRun>> TrainRun::Create(
    const TrainOptions& options, Dataset data, ThreadPool* pool) {
  TERN_RETURN_IF_ERROR(CheckTrainOptions(options));
  std::unique_ptr<TrainRun> run(new TrainRun(options, std::move(data), pool));
  TERN_RETURN_IF_ERROR(run->Prepare());
  if (options.resume) {
    TERN_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                          ReadCheckpoint(options.checkpoint));
    TERN_RETURN_IF_ERROR(run->Restore(checkpoint));
  }
  return run;
}

absl::Status TrainRun::Prepare() {
  TERN_ASSIGN_OR_RETURN(const model::v1::Graph graph,
                        LoadNetwork(options_.network));
  TERN_ASSIGN_OR_RETURN(const GraphShapes shapes, InferShapes(graph));
  TERN_RETURN_IF_ERROR(
      CheckDataFits(data_, graph.input(), static_cast<int>(shapes.classes)));
  if (data_.images() < static_cast<std::size_t>(options_.validation) +
                           static_cast<std::size_t>(options_.batch)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the data set has ", data_.images(),
                     " pictures, --validation=", options_.validation,
                     " and one --batch=", options_.batch, " need more"));
  }
  TERN_ASSIGN_OR_RETURN(augmentation_,
                        ParseAugmentation(options_.augmentation, data_));
  input_ = InputQuantizationOf(data_);
  split_ = SplitForValidation(data_.images(),
                              static_cast<std::size_t>(options_.validation),
                              options_.seed);
  description_ = DescribeRun(options_, graph, data_.digest);
  google::protobuf::TextFormat::PrintToString(graph, &graph_text_);
  NetworkOptions network;
  network.train = true;
  network.shards = options_.shards;
  network.shard_batch = options_.batch / options_.shards;
  network.quantizer = ChooseQuantizers(options_, graph, shapes);
  network.scale_per.assign(network.quantizer.size(), options_.scale_per);
  TERN_ASSIGN_OR_RETURN(network_, Network::Create(graph, network));
  network_->Initialise(options_.seed);
  sgd_ = std::make_unique<Sgd>(network_->Parameters(), options_.sgd);
  return absl::OkStatus();
}

int TrainRun::StepsPerEpoch() const {
  return static_cast<int>(split_.train.size()) / options_.batch;
}

bool TrainRun::EpochIsEligible(int epoch) const {
  return options_.activations == Activations::kFloat ||
         epoch >= options_.float_epochs;
}

void TrainRun::SetActivationsFor(int epoch) {
  network_->SetActivations(options_.activations == Activations::kU8 &&
                                   EpochIsEligible(epoch)
                               ? Activations::kU8
                               : Activations::kFloat);
}

absl::Status TrainRun::Train(const std::atomic<bool>& stop) {
  Progress progress(options_.epochs, StepsPerEpoch(), options_.batch);
  while (epoch_ < options_.epochs) {
    progress.BeginEpoch(epoch_, step_);
    TERN_RETURN_IF_ERROR(Epoch(progress, stop));
    TERN_RETURN_IF_ERROR(EndEpoch(progress));
  }
  return absl::OkStatus();
}

absl::Status TrainRun::Epoch(Progress& progress,
                             const std::atomic<bool>& stop) {
  SetActivationsFor(epoch_);
  const std::vector<std::uint32_t> order =
      EpochOrder(split_.train, options_.seed, epoch_);
  while (step_ < StepsPerEpoch()) {
    if (stop.load()) {
      TERN_RETURN_IF_ERROR(Save());
      return absl::CancelledError(absl::StrCat(
          "interrupted in epoch ", epoch_ + 1, " of ", options_.epochs, "; ",
          options_.checkpoint, " holds all work, --resume continues"));
    }
    TERN_ASSIGN_OR_RETURN(const LossResult result, Step(order));
    if (!std::isfinite(result.loss_sum)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the loss is not a finite number in epoch ", epoch_ + 1, ", step ",
          step_ + 1, ": try a smaller --learning_rate"));
    }
    ++step_;
    loss_sum_ += result.loss_sum;
    correct_ += result.correct;
    const double seen = static_cast<double>(step_) * options_.batch;
    progress.Step(step_, loss_sum_ / seen,
                  static_cast<double>(correct_) / seen);
  }
  return absl::OkStatus();
}

absl::StatusOr<LossResult> TrainRun::Step(
    const std::vector<std::uint32_t>& order) {
  TERN_RETURN_IF_ERROR(network_->PrepareStep(*pool_));
  const auto shards = static_cast<std::size_t>(options_.shards);
  std::vector<LossResult> results(shards);
  std::vector<absl::Status> status(shards);
  pool_->ParallelFor(shards, [&](std::size_t shard) {
    status[shard] = Shard(static_cast<int>(shard), order, &results[shard]);
  });
  for (const absl::Status& s : status) TERN_RETURN_IF_ERROR(s);
  TERN_RETURN_IF_ERROR(network_->FinishStep(*pool_));
  const double progress = epoch_ + static_cast<double>(step_) / StepsPerEpoch();
  sgd_->Step(LearningRate(options_.rate, options_.epochs, progress), *pool_);
  LossResult sum;
  for (const LossResult& result : results) {
    sum.loss_sum += result.loss_sum;
    sum.correct += result.correct;
  }
  return sum;
}

absl::Status TrainRun::Shard(int shard, const std::vector<std::uint32_t>& order,
                             LossResult* result) {
  const int count = options_.batch / options_.shards;
  const std::size_t first =
      static_cast<std::size_t>(step_) * options_.batch + shard * count;
  const absl::Span<float> pictures = network_->Pictures(shard);
  const std::size_t size = data_.picture_bytes();
  std::vector<std::uint8_t> labels;
  for (int i = 0; i < count; ++i) {
    const std::uint32_t image = order[first + static_cast<std::size_t>(i)];
    NormalisePicture(
        data_.picture(image), data_.height, data_.width, data_.channels,
        DrawChange(augmentation_, options_.seed, epoch_, image), input_,
        pictures.subspan(static_cast<std::size_t>(i) * size, size));
    labels.push_back(data_.labels[image]);
  }
  TERN_RETURN_IF_ERROR(network_->Forward(shard, Pass::kTrain));
  *result = SoftmaxCrossEntropy(network_->Logits(shard), labels,
                                options_.label_smoothing, 1.0 / options_.batch,
                                network_->LogitGradients(shard));
  return network_->Backward(shard);
}

absl::Status TrainRun::EndEpoch(Progress& progress) {
  TERN_ASSIGN_OR_RETURN(
      const std::vector<float> logits,
      NetworkLogits(*network_, data_, split_.validation, input_, *pool_));
  std::vector<std::uint8_t> labels;
  for (const std::uint32_t i : split_.validation) {
    labels.push_back(data_.labels[i]);
  }
  const Accuracy accuracy = MeasureAccuracy(logits, labels);
  const double seen = static_cast<double>(StepsPerEpoch()) * options_.batch;
  const EpochRecord record = {loss_sum_ / seen,
                              static_cast<double>(correct_) / seen,
                              accuracy.mean_loss(), accuracy.top1_rate()};
  history_.push_back(record);
  const bool best =
      EpochIsEligible(epoch_) &&
      (best_epoch_ < 0 ||
       record.validation_top1 >=
           history_[static_cast<std::size_t>(best_epoch_)].validation_top1);
  if (best) {
    best_epoch_ = epoch_;
    best_.clear();
    for (const StateTensor& tensor : network_->State()) {
      best_.push_back(
          {tensor.name, {tensor.values.begin(), tensor.values.end()}});
    }
  }
  ++epoch_;
  step_ = 0;
  loss_sum_ = 0;
  correct_ = 0;
  progress.EndEpoch(record, best ? "  best" : "");
  return Save();
}

absl::Status TrainRun::LoadBest() {
  if (best_epoch_ < 0) {
    return absl::FailedPreconditionError("no epoch was completed yet");
  }
  std::vector<StateTensor> state = network_->State();
  for (std::size_t i = 0; i < state.size(); ++i) {
    std::copy(best_[i].values.begin(), best_[i].values.end(),
              state[i].values.begin());
  }
  SetActivationsFor(options_.epochs - 1);
  return network_->PrepareStep(*pool_);
}

absl::Status TrainRun::Save() {
  Checkpoint checkpoint;
  checkpoint.run = description_;
  checkpoint.graph = graph_text_;
  checkpoint.epoch = epoch_;
  checkpoint.step = step_;
  checkpoint.loss_sum = loss_sum_;
  checkpoint.correct = correct_;
  checkpoint.history = history_;
  checkpoint.best_epoch = best_epoch_;
  const std::vector<Parameter*> parameters = network_->Parameters();
  const std::vector<absl::Span<float>> velocities = sgd_->Velocities();
  for (const StateTensor& tensor : network_->State()) {
    checkpoint.tensors.push_back(
        {absl::StrCat("state/", tensor.name),
         {tensor.values.begin(), tensor.values.end()}});
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    checkpoint.tensors.push_back(
        {absl::StrCat("velocity/", parameters[i]->name),
         {velocities[i].begin(), velocities[i].end()}});
  }
  for (const CheckpointTensor& tensor : best_) {
    checkpoint.tensors.push_back(
        {absl::StrCat("best/", tensor.name), tensor.values});
  }
  return WriteCheckpoint(options_.checkpoint, checkpoint);
}

absl::Status TrainRun::CheckSameRun(const Checkpoint& checkpoint) const {
  for (const auto& [name, value] : description_) {
    const auto it = checkpoint.run.find(name);
    const std::string was = it == checkpoint.run.end() ? "" : it->second;
    if (was != value) {
      return NotOfThisRun(absl::StrCat(options_.checkpoint,
                                       " is of a run with ", name, " '", was,
                                       "', not '", value, "'"));
    }
  }
  const bool in_range =
      checkpoint.epoch >= 0 && checkpoint.epoch <= options_.epochs &&
      checkpoint.step >= 0 && checkpoint.step <= StepsPerEpoch() &&
      checkpoint.best_epoch < checkpoint.epoch &&
      checkpoint.history.size() == static_cast<std::size_t>(checkpoint.epoch);
  if (in_range) return absl::OkStatus();
  return NotOfThisRun(absl::StrCat(options_.checkpoint, " is incomplete"));
}

std::map<std::string, absl::Span<float>> TrainRun::RestorableTensors() {
  std::map<std::string, absl::Span<float>> tensors;
  for (const StateTensor& tensor : network_->State()) {
    tensors.emplace(absl::StrCat("state/", tensor.name), tensor.values);
  }
  const std::vector<Parameter*> parameters = network_->Parameters();
  const std::vector<absl::Span<float>> velocities = sgd_->Velocities();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    tensors.emplace(absl::StrCat("velocity/", parameters[i]->name),
                    velocities[i]);
  }
  for (CheckpointTensor& tensor : best_) {
    tensors.emplace(absl::StrCat("best/", tensor.name),
                    absl::MakeSpan(tensor.values));
  }
  return tensors;
}

absl::Status TrainRun::Restore(const Checkpoint& checkpoint) {
  TERN_RETURN_IF_ERROR(CheckSameRun(checkpoint));
  best_.clear();
  if (checkpoint.best_epoch >= 0) {
    for (const StateTensor& tensor : network_->State()) {
      best_.push_back({tensor.name, std::vector<float>(tensor.values.size())});
    }
  }
  std::map<std::string, absl::Span<float>> into = RestorableTensors();
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    const auto it = into.find(tensor.name);
    if (it == into.end() || it->second.size() != tensor.values.size()) {
      return NotOfThisRun(absl::StrCat(options_.checkpoint, ": tensor '",
                                       tensor.name, "' does not fit"));
    }
    std::copy(tensor.values.begin(), tensor.values.end(), it->second.begin());
    into.erase(it);
  }
  if (!into.empty()) {
    return NotOfThisRun(absl::StrCat(options_.checkpoint, ": tensor '",
                                     into.begin()->first, "' is missing"));
  }
  epoch_ = checkpoint.epoch;
  step_ = checkpoint.step;
  loss_sum_ = checkpoint.loss_sum;
  correct_ = checkpoint.correct;
  history_ = checkpoint.history;
  best_epoch_ = checkpoint.best_epoch;
  return absl::OkStatus();
}

}  // namespace tern::trainer
