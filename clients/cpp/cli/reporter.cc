#include "clients/cpp/cli/reporter.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "clients/cpp/cli/draw.h"
#include "clients/cpp/cli/json.h"

namespace tern::client {
namespace {

constexpr std::size_t kBarWidth = 20;

std::string NameOf(const v1::ClassScore& score) {
  return score.label().empty() ? absl::StrCat(score.index()) : score.label();
}

class TextReporter final : public Reporter {
 public:
  TextReporter(const Console& console, const ReporterOptions& options)
      : console_(console), options_(options) {}

  void Add(const Picture& picture, const v1::ImageResult& result) override {
    if (options_.draw && result.status().code() == 0) {
      AddDrawn(picture, result);
      return;
    }
    std::string line = absl::StrFormat(
        "%-*s  ", static_cast<int>(options_.name_width), picture.name);
    if (result.status().code() != 0) {
      absl::StrAppend(&line, "FAILED: ", result.status().message());
    }
    const char* separator = "";
    for (const v1::ClassScore& score : result.classes()) {
      absl::StrAppendFormat(&line, "%s%s %.2f %%", separator, NameOf(score),
                            100 * score.probability());
      separator = ", ";
    }
    *console_.out << line << Truth(picture) << "\n";
  }

  void End(const Summary& summary) override {
    const v1::AnsweredBy& by = summary.answered_by;
    std::string text = absl::StrFormat(
        "%d image%s in %.3f s by %s version %d (%s, sha256 %s)", summary.images,
        summary.images == 1 ? "" : "s", summary.seconds, by.model(),
        by.version(), by.isa(), by.digest().substr(0, 12));
    if (summary.labelled > 0) {
      absl::StrAppendFormat(&text, "; %d of %d right, %.2f %%", summary.correct,
                            summary.labelled,
                            100.0 * static_cast<double>(summary.correct) /
                                static_cast<double>(summary.labelled));
    }
    if (summary.failed > 0) {
      absl::StrAppendFormat(&text, "; %d failed", summary.failed);
    }
    *console_.out << text << "\n";
  }

 private:
  std::string Truth(const Picture& picture) const {
    if (!picture.truth.has_value()) return "";
    const std::uint32_t truth = *picture.truth;
    return absl::StrCat("  (is ",
                        truth < options_.labels.size()
                            ? options_.labels[truth]
                            : absl::StrCat("class ", truth),
                        ")");
  }

  // Classes as bars, to the right of the picture.
  void AddDrawn(const Picture& picture, const v1::ImageResult& result) {
    std::vector<std::string> right = {picture.name + Truth(picture), ""};
    std::size_t width = 0;
    for (const v1::ClassScore& score : result.classes()) {
      width = std::max(width, NameOf(score).size());
    }
    for (const v1::ClassScore& score : result.classes()) {
      const auto bar = static_cast<std::size_t>(
          std::lround(score.probability() * static_cast<double>(kBarWidth)));
      right.push_back(absl::StrFormat(
          "%-*s %6.2f %% %s", static_cast<int>(width), NameOf(score),
          100 * score.probability(), std::string(bar, '#')));
    }
    std::vector<std::string> left;
    std::string below;
    const absl::StatusOr<Image> image = PixelsToDraw(picture.image);
    if (image.ok()) {
      left = Draw(*image, console_.palette);
      below.assign(static_cast<std::size_t>(DrawnColumns(*image)), ' ');
    }
    for (std::size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
      *console_.out << (i < left.size() ? left[i] : below) << "  "
                    << (i < right.size() ? right[i] : "") << "\n";
    }
    *console_.out << "\n";
  }

  const Console& console_;
  const ReporterOptions options_;
};

// One object; "results" comes first so that they can be written as they come.
class JsonReporter final : public Reporter {
 public:
  explicit JsonReporter(const Console& console) : console_(console) {}

  void Begin() override { *console_.out << "{\"results\": ["; }

  void Add(const Picture& picture, const v1::ImageResult& result) override {
    Json entry = {{"source", picture.name}};
    if (picture.truth.has_value()) entry["truth"] = *picture.truth;
    if (result.status().code() != 0) {
      entry["error"] = {{"code", result.status().code()},
                        {"message", result.status().message()}};
    } else {
      entry["classes"] = Json::array();
      for (const v1::ClassScore& score : result.classes()) {
        entry["classes"].push_back({{"index", score.index()},
                                    {"label", score.label()},
                                    {"probability", score.probability()},
                                    {"logit", score.logit()}});
      }
      entry["batch_size"] = result.batch_size();
    }
    *console_.out << (first_ ? "\n" : ",\n") << Dump(entry);
    first_ = false;
  }

  void End(const Summary& summary) override {
    const v1::AnsweredBy& by = summary.answered_by;
    Json tail = {{"images", summary.images},
                 {"failed", summary.failed},
                 {"labelled", summary.labelled},
                 {"correct", summary.correct},
                 {"top1", summary.labelled == 0
                              ? Json()
                              : Json(static_cast<double>(summary.correct) /
                                     static_cast<double>(summary.labelled))},
                 {"seconds", summary.seconds},
                 {"images_per_second",
                  static_cast<double>(summary.images) / summary.seconds},
                 {"answered_by",
                  {{"model", by.model()},
                   {"version", by.version()},
                   {"digest", by.digest()},
                   {"isa", by.isa()},
                   {"server_version", by.server_version()}}}};
    // The rest of the object, without its opening brace.
    *console_.out << "\n],\n" << Dump(tail, 1).substr(2) << "\n";
  }

 private:
  const Console& console_;
  bool first_ = true;
};

// RFC 4180.
class CsvReporter final : public Reporter {
 public:
  explicit CsvReporter(const Console& console) : console_(console) {}

  void Begin() override {
    *console_.out << "source,truth,rank,index,label,probability,logit,error\n";
  }

  void Add(const Picture& picture, const v1::ImageResult& result) override {
    const std::string head = absl::StrCat(
        Quoted(picture.name), ",",
        picture.truth.has_value() ? absl::StrCat(*picture.truth) : "", ",");
    if (result.status().code() != 0) {
      *console_.out << head << ",,,,," << Quoted(result.status().message())
                    << "\n";
      return;
    }
    int rank = 0;
    for (const v1::ClassScore& score : result.classes()) {
      *console_.out << head << ++rank << "," << score.index() << ","
                    << Quoted(score.label()) << ","
                    << absl::StrFormat("%.9g,%.9g,\n", score.probability(),
                                       score.logit());
    }
  }

  void End(const Summary& /*summary*/) override {}

 private:
  static std::string Quoted(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}),
                        "\"");
  }

  const Console& console_;
};

}  // namespace

std::unique_ptr<Reporter> MakeReporter(const Console& console,
                                       const ReporterOptions& options) {
  switch (options.format) {
    case Format::kJson:
      return std::make_unique<JsonReporter>(console);
    case Format::kCsv:
      return std::make_unique<CsvReporter>(console);
    case Format::kText:
      break;
  }
  return std::make_unique<TextReporter>(console, options);
}

}  // namespace tern::client
