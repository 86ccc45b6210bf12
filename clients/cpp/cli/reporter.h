// How `tern classify` tells its results: text, JSON or CSV, one picture at a
// time, so that a million pictures need no more memory than one.
//
// Thread-compatible. Begin, Add for every picture in order, End.

#ifndef TERN_CLIENTS_CPP_CLI_REPORTER_H_
#define TERN_CLIENTS_CPP_CLI_REPORTER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/cli/console.h"
#include "clients/cpp/cli/pictures.h"
#include "tern/v1/inference.pb.h"

namespace tern::client {

enum class Format { kText, kJson, kCsv };

struct Summary {
  std::uint64_t images = 0;
  // Pictures that could not be read or decoded.
  std::uint64_t failed = 0;
  // Classified pictures whose class is known, and those that got it.
  std::uint64_t labelled = 0;
  std::uint64_t correct = 0;
  double seconds = 0;
  v1::AnsweredBy answered_by;
};

class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void Begin() {}
  virtual void Add(const Picture& picture, const v1::ImageResult& result) = 0;
  virtual void End(const Summary& summary) = 0;
};

struct ReporterOptions {
  Format format = Format::kText;
  // Text only: the picture beside its classes.
  bool draw = false;
  // Names of the classes, for the truth; may be empty.
  std::vector<std::string> labels;
  // Text only: columns kept for names.
  std::size_t name_width = 0;
};

// `console` must outlive the reporter.
std::unique_ptr<Reporter> MakeReporter(const Console& console,
                                       const ReporterOptions& options);

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_CLI_REPORTER_H_
