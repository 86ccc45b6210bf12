#include "trainer/run/evaluation.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "trainer/data/batches.h"
#include "trainer/nn/loss.h"

namespace tern::trainer {
namespace {

double Rate(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0
                    : static_cast<double>(part) / static_cast<double>(whole);
}

std::size_t Top(absl::Span<const float> row) {
  return static_cast<std::size_t>(std::max_element(row.begin(), row.end()) -
                                  row.begin());
}

// Classes that come before `label` in descending order of logits.
std::size_t RankOf(absl::Span<const float> row, std::size_t label) {
  std::size_t rank = 0;
  for (std::size_t k = 0; k < row.size(); ++k) {
    if (row[k] > row[label] || (row[k] == row[label] && k < label)) ++rank;
  }
  return rank;
}

}  // namespace

double Accuracy::top1_rate() const { return Rate(top1, images); }
double Accuracy::top5_rate() const { return Rate(top5, images); }
double Accuracy::mean_loss() const {
  return images == 0 ? 0 : loss_sum / static_cast<double>(images);
}

Accuracy MeasureAccuracy(absl::Span<const float> logits,
                         absl::Span<const std::uint8_t> labels) {
  Accuracy accuracy;
  accuracy.images = labels.size();
  if (labels.empty()) return accuracy;
  const LossResult loss = SoftmaxCrossEntropy(logits, labels, 0, 1, {});
  accuracy.loss_sum = loss.loss_sum;
  const std::size_t classes = logits.size() / labels.size();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::size_t rank =
        RankOf(logits.subspan(i * classes, classes), labels[i]);
    accuracy.top1 += rank == 0 ? 1 : 0;
    accuracy.top5 += rank < 5 ? 1 : 0;
  }
  return accuracy;
}

std::size_t CountAgreement(absl::Span<const float> a, absl::Span<const float> b,
                           std::size_t classes) {
  std::size_t agree = 0;
  for (std::size_t at = 0; at < a.size(); at += classes) {
    agree += Top(a.subspan(at, classes)) == Top(b.subspan(at, classes)) ? 1 : 0;
  }
  return agree;
}

absl::StatusOr<std::vector<float>> NetworkLogits(
    Network& network, const Dataset& data,
    absl::Span<const std::uint32_t> indices,
    const model::v1::InputQuantization& quantization, ThreadPool& pool) {
  const auto classes = static_cast<std::size_t>(network.shapes().classes);
  const auto batch = static_cast<std::size_t>(network.options().shard_batch);
  const auto shards = static_cast<std::size_t>(network.options().shards);
  TERN_RETURN_IF_ERROR(network.PrepareStep(pool));
  std::vector<float> logits(indices.size() * classes);
  std::vector<absl::Status> status(shards);
  const auto run = [&](std::size_t shard, std::size_t first) {
    const std::size_t n = std::min(batch, indices.size() - first);
    const auto s = static_cast<int>(shard);
    const absl::Span<float> pictures = network.Pictures(s);
    for (std::size_t i = 0; i < n; ++i) {
      NormalisePicture(
          data.picture(indices[first + i]), data.height, data.width,
          data.channels, {}, quantization,
          pictures.subspan(i * data.picture_bytes(), data.picture_bytes()));
    }
    status[shard].Update(network.Forward(s, Pass::kEvaluate));
    std::copy_n(network.Logits(s).begin(), n * classes,
                logits.begin() + static_cast<std::ptrdiff_t>(first * classes));
  };
  for (std::size_t at = 0; at < indices.size(); at += batch * shards) {
    const std::size_t left = indices.size() - at;
    pool.ParallelFor(
        std::min(shards, (left + batch - 1) / batch),
        [&](std::size_t shard) { run(shard, at + shard * batch); });
  }
  for (const absl::Status& s : status) TERN_RETURN_IF_ERROR(s);
  return logits;
}

absl::StatusOr<std::vector<float>> EngineLogits(
    const Model& model, const Dataset& data, int batch, ThreadPool& pool,
    absl::FunctionRef<void(std::size_t)> progress) {
  Session session(&pool);
  const auto classes = static_cast<std::size_t>(model.classes());
  std::vector<float> logits(data.images() * classes);
  for (std::size_t at = 0; at < data.images();) {
    const std::size_t n =
        std::min(static_cast<std::size_t>(batch), data.images() - at);
    TERN_RETURN_IF_ERROR(session.Run(
        model,
        absl::MakeConstSpan(data.pixels)
            .subspan(at * data.picture_bytes(), n * data.picture_bytes()),
        static_cast<int>(n),
        absl::MakeSpan(logits).subspan(at * classes, n * classes)));
    at += n;
    progress(at);
  }
  return logits;
}

absl::Status CheckDataFits(const Dataset& data, const model::v1::Image& input,
                           int classes) {
  if (data.height != static_cast<int>(input.height()) ||
      data.width != static_cast<int>(input.width()) ||
      data.channels != static_cast<int>(input.channels())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the data set's pictures are ", data.height, " x ", data.width, " x ",
        data.channels, ", the network reads ", input.height(), " x ",
        input.width(), " x ", input.channels()));
  }
  if (data.classes > classes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the data set has ", data.classes,
                     " classes, the network yields ", classes));
  }
  return absl::OkStatus();
}

}  // namespace tern::trainer
