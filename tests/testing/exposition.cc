#include "tests/testing/exposition.h"

#include <cstddef>
#include <limits>
#include <regex>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

namespace tern::testing {
namespace {

const char kName[] = "[a-zA-Z_:][a-zA-Z0-9_:]*";

class Parser {
 public:
  Exposition Parse(const std::string& text, std::string* error) {
    std::istringstream lines(text);
    std::string line;
    while (std::getline(lines, line) && error_.empty()) {
      ++line_number_;
      if (line.empty()) continue;
      if (line[0] == '#') {
        Comment(line);
      } else {
        Sample(line);
      }
    }
    if (!text.empty() && text.back() != '\n') Fail("no newline at the end");
    if (error_.empty()) CheckHistograms();
    *error = error_;
    return series_;
  }

 private:
  void Fail(const std::string& what) {
    if (error_.empty()) {
      error_ = "line " + std::to_string(line_number_) + ": " + what;
    }
  }

  void Comment(const std::string& line) {
    static const std::regex help(std::string("# HELP (") + kName + ") (.+)");
    static const std::regex type(std::string("# TYPE (") + kName +
                                 ") (counter|gauge|histogram|summary|untyped)");
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      if (!helped_.insert(match[1]).second) Fail("second HELP: " + line);
    } else if (std::regex_match(line, match, type)) {
      family_ = match[1];
      if (helped_.count(family_) == 0) Fail("TYPE without HELP: " + line);
      if (!types_.emplace(family_, match[2]).second) {
        Fail("second TYPE: " + line);
      }
      if (match[2] == "summary") Fail("a summary: " + line);
      if (match[2] == "counter" && !EndsWith(family_, "_total")) {
        Fail("a counter that does not end in _total: " + line);
      }
    } else {
      Fail("neither HELP nor TYPE: " + line);
    }
  }

  static bool EndsWith(const std::string& text, const std::string& end) {
    return text.size() >= end.size() &&
           text.compare(text.size() - end.size(), end.size(), end) == 0;
  }

  bool BelongsToFamily(const std::string& name) const {
    const auto type = types_.find(family_);
    if (type == types_.end()) return false;
    if (type->second != "histogram") return name == family_;
    return name == family_ + "_bucket" || name == family_ + "_sum" ||
           name == family_ + "_count";
  }

  void Sample(const std::string& line) {
    static const std::regex sample(std::string("(") + kName +
                                   R"()(\{(.*)\})? (\S+))");
    std::smatch match;
    if (!std::regex_match(line, match, sample)) {
      Fail("not a sample: " + line);
      return;
    }
    const std::string name = match[1];
    if (!BelongsToFamily(name)) Fail("outside its family: " + line);
    const auto labels = Labels(match[3], line);
    const double value = Number(match[4], line);
    if (!series_.emplace(Series(name, labels), value).second) {
      Fail("the same series again: " + line);
    }
    if (EndsWith(name, "_bucket")) Bucket(name, labels, value, line);
  }

  std::map<std::string, std::string> Labels(const std::string& text,
                                            const std::string& line) {
    static const std::regex label(
        R"re(([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$))re");
    std::map<std::string, std::string> labels;
    auto from = text.cbegin();
    std::smatch match;
    while (from != text.cend()) {
      if (!std::regex_search(from, text.cend(), match, label,
                             std::regex_constants::match_continuous)) {
        Fail("bad labels: " + line);
        break;
      }
      if (!labels.emplace(match[1], match[2]).second) {
        Fail("a label twice: " + line);
      }
      from = match[0].second;
    }
    return labels;
  }

  double Number(const std::string& text, const std::string& line) {
    if (text == "+Inf") return std::numeric_limits<double>::infinity();
    static const std::regex number(R"(-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?|Nan)");
    if (!std::regex_match(text, number)) {
      Fail("not a number: " + line);
      return 0;
    }
    return std::stod(text);
  }

  static std::string Series(const std::string& name,
                            const std::map<std::string, std::string>& labels) {
    std::string series = name;
    for (const auto& [label, value] : labels) {
      series += (series == name ? "{" : ",") + label + "=\"" + value + "\"";
    }
    return labels.empty() ? series : series + "}";
  }

  void Bucket(const std::string& name,
              std::map<std::string, std::string> labels, double value,
              const std::string& line) {
    const auto le = labels.find("le");
    if (le == labels.end()) {
      Fail("a bucket without le: " + line);
      return;
    }
    const double bound = Number(le->second, line);
    labels.erase(le);
    const std::string family = name.substr(0, name.size() - 7);
    auto& last = last_bucket_[Series(family + "_count", labels)];
    if (bound <= last.first || value < last.second) {
      Fail("buckets do not grow: " + line);
    }
    last = {bound, value};
  }

  void CheckHistograms() {
    for (const auto& [count_series, last] : last_bucket_) {
      const auto count = series_.find(count_series);
      if (last.first != std::numeric_limits<double>::infinity() ||
          count == series_.end() || count->second != last.second) {
        Fail("+Inf bucket differs from " + count_series);
      }
    }
  }

  std::string error_;
  int line_number_ = 0;
  std::string family_;
  std::set<std::string> helped_;
  std::map<std::string, std::string> types_;
  Exposition series_;
  std::map<std::string, std::pair<double, double>> last_bucket_;
};

}  // namespace

Exposition ParseExposition(const std::string& text, std::string* error) {
  return Parser().Parse(text, error);
}

}  // namespace tern::testing
