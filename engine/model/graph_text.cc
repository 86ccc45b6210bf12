#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/model/graph.h"

namespace tern {
namespace {

// Keeps the first problem; line and column count from 1 as editors do.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (!text_.empty()) return;
    text_ =
        absl::StrCat("line ", line + 1, ", column ", column + 1, ": ", message);
  }
  void AddWarning(int, int, const std::string&) override {}
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

absl::StatusOr<model::v1::Graph> ParseGraphText(std::string_view text) {
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  model::v1::Graph graph;
  if (!parser.ParseFromString(std::string(text), &graph)) {
    return absl::InvalidArgumentError(
        absl::StrCat("network text: ", error.text()));
  }
  return graph;
}

}  // namespace tern
