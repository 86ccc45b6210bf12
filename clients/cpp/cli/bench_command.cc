// Closed loop: each of N callers sends the next request when the answer to
// its last one is there. No retries, so that refusals are seen.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "clients/cpp/cli/commands.h"
#include "clients/cpp/cli/json.h"
#include "clients/cpp/cli/only_model.h"
#include "clients/cpp/cli/pictures.h"

namespace tern::client {
namespace {

// Latencies are kept, so a run is bounded whatever was asked for.
constexpr std::uint64_t kMaxRequests = 10'000'000;
// Different pictures sent in turn.
constexpr std::size_t kMaxPictures = 4096;
constexpr std::size_t kNoisePictures = 64;
// Of pictures read, and again of requests made from them.
constexpr std::size_t kMaxBytes = std::size_t{128} << 20;
// After a refusal; a refused caller that hurries only burns processor time.
constexpr absl::Duration kPauseAfterError = absl::Milliseconds(5);

struct Tally {
  std::vector<float> milliseconds;
  std::uint64_t images = 0;
  // Executions that the answered pictures took part in, shared ones in parts.
  double executions = 0;
  std::map<std::string, std::uint64_t> errors;

  void Add(const Tally& other) {
    milliseconds.insert(milliseconds.end(), other.milliseconds.begin(),
                        other.milliseconds.end());
    images += other.images;
    executions += other.executions;
    for (const auto& [code, count] : other.errors) errors[code] += count;
  }
};

absl::StatusOr<std::vector<v1::Image>> LoadPictures(
    const std::vector<std::string>& names, const Console& console) {
  const absl::StatusOr<Pictures> pictures = Pictures::Open(names, console.in);
  if (!pictures.ok()) return pictures.status();
  std::vector<v1::Image> images;
  const std::size_t count = std::min(pictures->size(), kMaxPictures);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count && bytes < kMaxBytes; ++i) {
    absl::StatusOr<Picture> picture = pictures->Read(i);
    if (!picture.ok()) {
      return absl::Status(
          picture.status().code(),
          absl::StrCat(pictures->name(i), ": ", picture.status().message()));
    }
    bytes += picture->image.ByteSizeLong();
    images.push_back(std::move(picture->image));
  }
  return images;
}

absl::StatusOr<std::vector<v1::Image>> MakeNoise(const ModelName& name,
                                                 Client* client) {
  const auto model = client->GetModel(name.model, name.version);
  if (!model.ok()) return model.status();
  const std::size_t bytes = std::size_t{model->input().height()} *
                            model->input().width() * model->input().channels();
  std::mt19937 random(1);
  std::vector<v1::Image> images(kNoisePictures);
  for (v1::Image& image : images) {
    v1::RawImage& raw = *image.mutable_raw();
    raw.set_height(model->input().height());
    raw.set_width(model->input().width());
    raw.set_channels(model->input().channels());
    raw.mutable_pixels()->resize(bytes);
    for (char& pixel : *raw.mutable_pixels()) {
      pixel = static_cast<char>(random() >> 24);
    }
  }
  return images;
}

std::vector<v1::ClassifyRequest> MakeRequests(
    const BenchOptions& options, const std::vector<v1::Image>& images) {
  // Every picture comes about equally often, in batches of one size.
  std::vector<v1::ClassifyRequest> requests;
  std::size_t next = 0;
  std::size_t bytes = 0;
  while (requests.size() < images.size() && bytes < kMaxBytes) {
    v1::ClassifyRequest& request = requests.emplace_back();
    request.mutable_model()->set_name(options.model.model);
    if (options.model.version != 0) {
      request.mutable_model()->set_version(options.model.version);
    }
    request.set_top_k(1);
    for (int i = 0; i < options.batch; ++i) {
      *request.add_images() = images[next++ % images.size()];
    }
    bytes += request.ByteSizeLong();
  }
  return requests;
}

class Bench {
 public:
  Bench(const BenchOptions& options, Client* client,
        std::vector<v1::ClassifyRequest> requests)
      : options_(options),
        client_(*client),
        requests_(std::move(requests)),
        limit_(options.count == 0 ? kMaxRequests
                                  : std::min(options.count, kMaxRequests)) {}

  // The first call alone: what fails here would fail every time. Afterwards
  // the connection stands and the model is warm.
  absl::Status Probe(v1::AnsweredBy* answered_by) {
    const auto response = client_.Classify(requests_[0]);
    if (!response.ok()) return response.status();
    for (const v1::ImageResult& result : response->results()) {
      if (result.status().code() != 0) {
        return {static_cast<absl::StatusCode>(result.status().code()),
                result.status().message()};
      }
    }
    *answered_by = response->answered_by();
    return absl::OkStatus();
  }

  Tally Run(double* seconds) {
    const absl::Time start = absl::Now();
    const absl::Time end = start + options_.duration;
    std::vector<Tally> tallies(static_cast<std::size_t>(options_.concurrency));
    std::vector<std::thread> callers;
    callers.reserve(tallies.size());
    for (Tally& tally : tallies) {
      callers.emplace_back([this, end, &tally] { Call(end, &tally); });
    }
    for (std::thread& caller : callers) caller.join();
    *seconds = absl::ToDoubleSeconds(absl::Now() - start);
    Tally all;
    for (const Tally& tally : tallies) all.Add(tally);
    std::sort(all.milliseconds.begin(), all.milliseconds.end());
    return all;
  }

 private:
  void Call(absl::Time end, Tally* tally) {
    for (;;) {
      const absl::Time start = absl::Now();
      const std::uint64_t index = next_.fetch_add(1);
      if (start >= end || index >= limit_) return;
      const auto response =
          client_.Classify(requests_[index % requests_.size()]);
      const absl::Duration took = absl::Now() - start;
      if (response.ok()) {
        tally->milliseconds.push_back(
            static_cast<float>(absl::ToDoubleMilliseconds(took)));
        Count(*response, tally);
      } else {
        ++tally->errors[absl::StatusCodeToString(response.status().code())];
        absl::SleepFor(kPauseAfterError);
      }
    }
  }

  static void Count(const v1::ClassifyResponse& response, Tally* tally) {
    for (const v1::ImageResult& result : response.results()) {
      if (result.status().code() != 0) {
        ++tally->errors[absl::StatusCodeToString(
            static_cast<absl::StatusCode>(result.status().code()))];
        continue;
      }
      ++tally->images;
      tally->executions += 1.0 / std::max(1U, result.batch_size());
    }
  }

  const BenchOptions& options_;
  Client& client_;
  const std::vector<v1::ClassifyRequest> requests_;
  const std::uint64_t limit_;
  std::atomic<std::uint64_t> next_ = 0;
};

// The least value that at least `share` of the sorted values do not exceed.
double Percentile(const std::vector<float>& sorted, double share) {
  if (sorted.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

Json ToJson(const BenchOptions& options, const v1::AnsweredBy& by,
            const Tally& tally, double seconds) {
  Json json = {
      {"model", by.model()},
      {"version", by.version()},
      {"isa", by.isa()},
      {"concurrency", options.concurrency},
      {"batch", options.batch},
      {"requests", tally.milliseconds.size()},
      {"images", tally.images},
      {"seconds", seconds},
      {"images_per_second", static_cast<double>(tally.images) / seconds},
      {"p50_ms", Percentile(tally.milliseconds, 0.50)},
      {"p90_ms", Percentile(tally.milliseconds, 0.90)},
      {"p99_ms", Percentile(tally.milliseconds, 0.99)},
      {"max_ms", Percentile(tally.milliseconds, 1)},
      {"mean_batch", tally.executions == 0 ? 0
                                           : static_cast<double>(tally.images) /
                                                 tally.executions}};
  json["errors"] = Json::object();
  for (const auto& [code, count] : tally.errors) json["errors"][code] = count;
  return json;
}

void Print(const Json& json, std::ostream* out) {
  *out << absl::StrFormat(
      "%s version %d (%s), %d callers, %d images a request\n"
      "%.0f images/s (%d images in %.2f s), executed in batches of %.2f\n"
      "latency of a request in ms: p50 %.3f, p90 %.3f, p99 %.3f, max %.3f\n",
      json["model"].get<std::string>(), json["version"].get<std::uint64_t>(),
      json["isa"].get<std::string>(), json["concurrency"].get<int>(),
      json["batch"].get<int>(), json["images_per_second"].get<double>(),
      json["images"].get<std::uint64_t>(), json["seconds"].get<double>(),
      json["mean_batch"].get<double>(), json["p50_ms"].get<double>(),
      json["p90_ms"].get<double>(), json["p99_ms"].get<double>(),
      json["max_ms"].get<double>());
  for (const auto& [code, count] : json["errors"].items()) {
    *out << absl::StrFormat("errors %s: %d\n", code,
                            count.get<std::uint64_t>());
  }
}

}  // namespace

int RunBench(const BenchOptions& given, const Connection& connection,
             const Console& console) {
  BenchOptions options = given;
  Connection once = connection;
  once.max_attempts = 1;
  Client client(once.server, ClientOptionsOf(once));
  const absl::Status named = FillInModel(&client, &options.model);
  if (!named.ok()) return Fail(console, connection, named);
  const auto images = options.images.empty()
                          ? MakeNoise(options.model, &client)
                          : LoadPictures(options.images, console);
  if (!images.ok()) return Fail(console, connection, images.status());
  Bench bench(options, &client, MakeRequests(options, *images));
  v1::AnsweredBy answered_by;
  const absl::Status probed = bench.Probe(&answered_by);
  if (!probed.ok()) return Fail(console, connection, probed);
  double seconds = 0;
  const Tally tally = bench.Run(&seconds);
  const Json json = ToJson(options, answered_by, tally, seconds);
  if (options.json) {
    *console.out << Dump(json, 1) << "\n";
  } else {
    Print(json, console.out);
  }
  return tally.images > 0 ? kExitOk : kExitFailed;
}

}  // namespace tern::client
