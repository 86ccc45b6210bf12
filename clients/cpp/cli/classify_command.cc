#include <algorithm>
#include <cstddef>
#include <deque>
#include <future>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "clients/cpp/cli/commands.h"
#include "clients/cpp/cli/logits_file.h"
#include "clients/cpp/cli/only_model.h"
#include "clients/cpp/cli/pictures.h"
#include "clients/cpp/cli/reporter.h"

namespace tern::client {
namespace {

// Requests under way at once: enough to keep the server busy while answers
// travel and are printed.
constexpr std::size_t kRequestsAhead = 4;
constexpr std::size_t kMaxRequestBytes = std::size_t{16} << 20;
// More would scroll away.
constexpr std::size_t kMostDrawnByItself = 16;
constexpr std::size_t kWidestName = 40;

struct Batch {
  std::vector<Picture> pictures;
  // One for each picture; set where it could not be read.
  std::vector<absl::Status> unreadable;
  v1::ClassifyRequest request;
  std::future<absl::StatusOr<v1::ClassifyResponse>> response;
};

// One line on stderr, redrawn; only where somebody may be watching.
class Progress {
 public:
  Progress(const Console& console, std::size_t total)
      : console_(console), total_(total) {}

  void Show(std::size_t done, absl::Time start) {
    const absl::Time now = absl::Now();
    if (!console_.err_is_terminal || now - last_ < absl::Milliseconds(200) ||
        now - start < absl::Seconds(1)) {
      return;
    }
    last_ = now;
    const double rate =
        static_cast<double>(done) / absl::ToDoubleSeconds(now - start);
    const double left = static_cast<double>(total_ - done) / rate;
    *console_.err << absl::StrFormat(
                         "\r%d/%d images  %.0f images/s  %.0f s left \x1b[K",
                         done, total_, rate, left)
                  << std::flush;
    shown_ = true;
  }
  void Clear() {
    if (shown_) *console_.err << "\r\x1b[K" << std::flush;
    shown_ = false;
  }

 private:
  const Console& console_;
  const std::size_t total_;
  absl::Time last_ = absl::InfinitePast();
  bool shown_ = false;
};

// "images[1].encoded: reason" without the place in the request, which means
// nothing to who sees the picture's name beside it.
std::string WithoutField(const std::string& message) {
  const std::size_t colon = message.find(": ");
  return absl::StartsWith(message, "images[") && colon != std::string::npos
             ? message.substr(colon + 2)
             : message;
}

class Classifier {
 public:
  Classifier(const ClassifyOptions& options, const Console& console,
             const Pictures& pictures, Client* client, Reporter* reporter,
             LogitsFile* logits)
      : options_(options),
        pictures_(pictures),
        client_(*client),
        reporter_(*reporter),
        logits_(logits),
        progress_(console, pictures.size()) {}

  absl::Status Run() {
    const absl::Time start = absl::Now();
    reporter_.Begin();
    std::deque<Batch> ahead;
    std::size_t next = 0;
    while (next < pictures_.size() || !ahead.empty()) {
      while (next < pictures_.size() && ahead.size() < kRequestsAhead) {
        ahead.push_back(Start(&next));
      }
      absl::Status status = Finish(std::move(ahead.front()));
      ahead.pop_front();
      if (!status.ok()) {
        progress_.Clear();
        return status;
      }
      progress_.Show(summary_.images, start);
    }
    progress_.Clear();
    summary_.seconds = absl::ToDoubleSeconds(absl::Now() - start);
    reporter_.End(summary_);
    return absl::OkStatus();
  }

  const Summary& summary() const { return summary_; }

 private:
  Batch Start(std::size_t* next) {
    Batch batch;
    v1::ModelSpec& model = *batch.request.mutable_model();
    model.set_name(options_.model.model);
    if (options_.model.version != 0) model.set_version(options_.model.version);
    batch.request.set_top_k(static_cast<std::uint32_t>(options_.top_k));
    batch.request.set_return_logits(logits_ != nullptr);
    std::size_t bytes = 0;
    while (*next < pictures_.size() && bytes < kMaxRequestBytes &&
           batch.pictures.size() < static_cast<std::size_t>(options_.batch)) {
      absl::StatusOr<Picture> picture = pictures_.Read(*next);
      batch.unreadable.push_back(picture.status());
      if (picture.ok()) {
        *batch.request.add_images() = picture->image;
        bytes += picture->image.ByteSizeLong();
        batch.pictures.push_back(*std::move(picture));
      } else {
        batch.pictures.push_back({pictures_.name(*next), {}, {}});
      }
      ++*next;
    }
    if (batch.request.images_size() > 0) {
      batch.response = std::async(std::launch::async,
                                  [this, request = std::move(batch.request)] {
                                    return client_.Classify(request);
                                  });
    }
    return batch;
  }

  absl::Status Finish(Batch batch) {
    v1::ClassifyResponse response;
    if (batch.response.valid()) {
      absl::StatusOr<v1::ClassifyResponse> answer = batch.response.get();
      if (!answer.ok()) return answer.status();
      response = *std::move(answer);
      summary_.answered_by = response.answered_by();
    }
    int row = 0;
    for (std::size_t i = 0; i < batch.pictures.size(); ++i) {
      v1::ImageResult unread;
      if (!batch.unreadable[i].ok()) {
        unread.mutable_status()->set_code(batch.unreadable[i].raw_code());
        unread.mutable_status()->set_message(
            std::string(batch.unreadable[i].message()));
        Count(batch.pictures[i], unread);
        continue;
      }
      if (row >= response.results_size()) {
        return absl::InternalError(absl::StrCat("the server answered ",
                                                response.results_size(),
                                                " results for more pictures"));
      }
      Count(batch.pictures[i], response.results(row++));
    }
    return absl::OkStatus();
  }

  void Count(const Picture& picture, v1::ImageResult result) {
    ++summary_.images;
    if (result.status().code() != 0) {
      ++summary_.failed;
      result.mutable_status()->set_message(
          WithoutField(result.status().message()));
    } else {
      if (logits_ != nullptr) {
        logits_->Append({result.logits().data(),
                         static_cast<std::size_t>(result.logits_size())});
      }
      if (picture.truth.has_value() && result.classes_size() > 0) {
        ++summary_.labelled;
        summary_.correct += result.classes(0).index() == *picture.truth;
      }
    }
    progress_.Clear();
    reporter_.Add(picture, result);
  }

  const ClassifyOptions& options_;
  const Pictures& pictures_;
  Client& client_;
  Reporter& reporter_;
  LogitsFile* const logits_;
  Progress progress_;
  Summary summary_;
};

ReporterOptions HowToReport(const ClassifyOptions& options,
                            const Console& console, const Pictures& pictures,
                            Client* client) {
  ReporterOptions report;
  report.format = options.format;
  report.draw = options.draw == DrawMode::kAlways ||
                (options.draw == DrawMode::kAuto && console.out_is_terminal &&
                 pictures.size() <= kMostDrawnByItself);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    report.name_width = std::max(report.name_width, pictures.name(i).size());
  }
  report.name_width = std::min(report.name_width, kWidestName);
  if (pictures.labelled() && options.format == Format::kText) {
    // Where this fails, so will Classify, and say why.
    const auto model =
        client->GetModel(options.model.model, options.model.version);
    if (model.ok()) {
      report.labels.assign(model->labels().begin(), model->labels().end());
    }
  }
  return report;
}

}  // namespace

int RunClassify(const ClassifyOptions& given, const Connection& connection,
                const Console& console) {
  ClassifyOptions options = given;
  const absl::StatusOr<Pictures> pictures =
      Pictures::Open(options.pictures, console.in);
  if (!pictures.ok()) {
    *console.err << "tern: " << pictures.status().message() << "\n";
    return kExitFailed;
  }
  std::unique_ptr<LogitsFile> logits;
  if (!options.dump_logits.empty()) {
    auto file = LogitsFile::Create(options.dump_logits);
    if (!file.ok()) return Fail(console, connection, file.status());
    logits = *std::move(file);
  }
  Client client(connection.server, ClientOptionsOf(connection));
  const absl::Status named = FillInModel(&client, &options.model);
  if (!named.ok()) return Fail(console, connection, named);
  const std::unique_ptr<Reporter> reporter =
      MakeReporter(console, HowToReport(options, console, *pictures, &client));
  Classifier classifier(options, console, *pictures, &client, reporter.get(),
                        logits.get());
  const absl::Status status = classifier.Run();
  if (!status.ok()) return Fail(console, connection, status);
  if (classifier.summary().failed > 0) {
    *console.err << "tern: " << classifier.summary().failed << " of "
                 << classifier.summary().images << " pictures failed"
                 << (logits != nullptr ? "; no logits were written" : "")
                 << "\n";
    return kExitFailed;
  }
  if (logits != nullptr) {
    const absl::Status committed = logits->Commit();
    if (!committed.ok()) return Fail(console, connection, committed);
  }
  return kExitOk;
}

}  // namespace tern::client
