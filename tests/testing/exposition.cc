#include "tests/testing/exposition.h"

#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <set>
#include <sstream>
#include <utility>

namespace tern::testing {
namespace {

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// [a-zA-Z_][a-zA-Z0-9_]*, with colons for metrics.
bool IsName(const std::string& text, bool colons) {
  if (text.empty()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    if (!IsNameStart(c) && !(colons && c == ':') && !(digit && i > 0)) {
      return false;
    }
  }
  return true;
}

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

  // "# HELP name text" or "# TYPE name type".
  void Comment(const std::string& line) {
    std::istringstream words(line);
    std::string hash;
    std::string kind;
    std::string name;
    std::string rest;
    words >> hash >> kind >> name;
    std::getline(words >> std::ws, rest);
    if (hash != "#" || !IsName(name, true) || rest.empty()) {
      Fail("not a comment of the format: " + line);
    } else if (kind == "HELP") {
      if (!helped_.insert(name).second) Fail("second HELP: " + line);
    } else if (kind == "TYPE") {
      Type(name, rest, line);
    } else {
      Fail("neither HELP nor TYPE: " + line);
    }
  }

  void Type(const std::string& name, const std::string& type,
            const std::string& line) {
    family_ = name;
    if (helped_.count(name) == 0) Fail("TYPE without HELP: " + line);
    if (!types_.emplace(name, type).second) Fail("second TYPE: " + line);
    if (type != "counter" && type != "gauge" && type != "histogram") {
      Fail("no type of ours: " + line);
    }
    if (type == "counter" && !EndsWith(name, "_total")) {
      Fail("a counter that does not end in _total: " + line);
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

  // name{labels} value
  void Sample(const std::string& line) {
    const std::size_t name_end = line.find_first_of("{ ");
    const std::size_t value_at = line.rfind(' ');
    if (name_end == std::string::npos || value_at == std::string::npos) {
      Fail("not a sample: " + line);
      return;
    }
    const std::string name = line.substr(0, name_end);
    std::string label_text;
    if (line[name_end] == '{') {
      if (line[value_at - 1] != '}') Fail("labels do not end: " + line);
      label_text = line.substr(name_end + 1, value_at - name_end - 2);
    } else if (name_end != value_at) {
      Fail("not a sample: " + line);
    }
    if (!IsName(name, true)) Fail("bad name: " + line);
    if (!BelongsToFamily(name)) Fail("outside its family: " + line);
    const auto labels = Labels(label_text, line);
    const double value = Number(line.substr(value_at + 1), line);
    if (!series_.emplace(Series(name, labels), value).second) {
      Fail("the same series again: " + line);
    }
    if (EndsWith(name, "_bucket")) Bucket(name, labels, value, line);
  }

  // name="value",...; the value escapes \, " and line ends with a backslash.
  std::map<std::string, std::string> Labels(const std::string& text,
                                            const std::string& line) {
    std::map<std::string, std::string> labels;
    std::size_t at = 0;
    while (at < text.size()) {
      const std::size_t equals = text.find("=\"", at);
      if (equals == std::string::npos) break;
      const std::string label = text.substr(at, equals - at);
      std::size_t end = equals + 2;
      while (end < text.size() && text[end] != '"') {
        end += text[end] == '\\' ? 2 : 1;
      }
      if (!IsName(label, false) || end >= text.size()) break;
      if (!labels.emplace(label, text.substr(equals + 2, end - equals - 2))
               .second) {
        Fail("a label twice: " + line);
      }
      at = end + 1;
      if (at == text.size()) return labels;
      if (text[at++] != ',') break;
    }
    if (!text.empty()) Fail("bad labels: " + line);
    return labels;
  }

  double Number(const std::string& text, const std::string& line) {
    if (text == "+Inf") return std::numeric_limits<double>::infinity();
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !std::isfinite(value)) {
      Fail("not a number: " + line);
    }
    return value;
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
