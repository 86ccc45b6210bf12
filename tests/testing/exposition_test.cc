#include "tests/testing/exposition.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tern::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

const char kGood[] =
    "# HELP a_total Some text.\n"
    "# TYPE a_total counter\n"
    "a_total{y=\"1\",x=\"a,b=\\\"c\\\" }\"} 3\n"
    "# HELP h Text.\n"
    "# TYPE h histogram\n"
    "h_count 2\n"
    "h_sum 1.5e-3\n"
    "h_bucket{le=\"0.1\"} 1\n"
    "h_bucket{le=\"+Inf\"} 2\n";

TEST(ExpositionTest, ReadsWhatIsRight) {
  std::string error;
  EXPECT_THAT(
      ParseExposition(kGood, &error),
      UnorderedElementsAre(Pair("a_total{x=\"a,b=\\\"c\\\" }\",y=\"1\"}", 3),
                           Pair("h_count", 2), Pair("h_sum", 1.5e-3),
                           Pair("h_bucket{le=\"0.1\"}", 1),
                           Pair("h_bucket{le=\"+Inf\"}", 2)));
  EXPECT_EQ(error, "");
}

TEST(ExpositionTest, RefusesWhatIsWrong) {
  const std::string head = "# HELP a Text.\n# TYPE a gauge\n";
  const struct {
    std::string text;
    const char* error;
  } cases[] = {
      {head + "a 1", "newline"},
      {head + "a 1\na 2\n", "again"},
      {head + "a x\n", "not a number"},
      {head + "a \n", "not a number"},
      {head + "a\n", "not a sample"},
      {head + "b 1\n", "outside its family"},
      {head + "a{x=1} 1\n", "bad labels"},
      {head + "a{x=\"1} 1\n", "bad labels"},
      {head + "a{1x=\"1\"} 1\n", "bad labels"},
      {head + "a{x=\"1\" 1\n", "labels do not end"},
      {head + "a{x=\"1\",x=\"2\"} 1\n", "a label twice"},
      {head + head + "a 1\n", "second HELP"},
      {"# TYPE a gauge\na 1\n", "TYPE without HELP"},
      {"# HELP a Text.\n# TYPE a counter\na 1\n", "_total"},
      {"# HELP a Text.\n# TYPE a summary\na 1\n", "no type of ours"},
      {"# HELP a Text.\n# TYPE a histogram\na_bucket{le=\"1\"} 1\n", "+Inf"},
      {"# HELP a Text.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\n"
       "a_bucket{le=\"+Inf\"} 1\na_count 1\n",
       "do not grow"},
  };
  for (const auto& each : cases) {
    std::string error;
    ParseExposition(each.text, &error);
    EXPECT_THAT(error, HasSubstr(each.error)) << each.text;
  }
}

}  // namespace
}  // namespace tern::testing
