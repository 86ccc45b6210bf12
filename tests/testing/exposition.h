// A strict reader of Prometheus' text exposition format (version 0.0.4).

#ifndef TERN_TESTS_TESTING_EXPOSITION_H_
#define TERN_TESTS_TESTING_EXPOSITION_H_

#include <map>
#include <string>

namespace tern::testing {

// From a series, 'name{label="value",...}' with labels sorted by name ('name'
// where it has none), to its value.
using Exposition = std::map<std::string, double>;

// Checks names, labels, escapes, numbers; HELP and TYPE before the first
// sample and once each; no series twice; samples of a family together;
// histograms cumulative with +Inf equal to _count. `error`: empty, or the first
// fault with its line.
Exposition ParseExposition(const std::string& text, std::string* error);

}  // namespace tern::testing

#endif  // TERN_TESTS_TESTING_EXPOSITION_H_
