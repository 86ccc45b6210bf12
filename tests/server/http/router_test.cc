#include "server/http/router.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace tern::server {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

void Nothing(const std::shared_ptr<HttpExchange>&) {}

Router MakeRouter() {
  Router router;
  router.Add("GET", "/metrics", &Nothing);
  router.Add("GET", "/v1/models", &Nothing);
  router.Add("GET", "/v1/models/{model}", &Nothing);
  router.Add("POST", "/v1/models/{model}:classify", &Nothing);
  router.Add("POST", "/v1/models/{model}/versions/{version}:classify",
             &Nothing);
  return router;
}

TEST(RouterTest, FindsLiteralPaths) {
  const Router router = MakeRouter();
  const Router::Match match = router.Find("GET", "/metrics");
  EXPECT_NE(match.handler, nullptr);
  EXPECT_EQ(match.code, 200);
  EXPECT_THAT(match.parameters, IsEmpty());
}

TEST(RouterTest, HeadIsAnsweredByGet) {
  EXPECT_NE(MakeRouter().Find("HEAD", "/metrics").handler, nullptr);
}

TEST(RouterTest, TakesParametersOutOfSegments) {
  const Router router = MakeRouter();
  EXPECT_THAT(router.Find("POST", "/v1/models/shoes:classify").parameters,
              UnorderedElementsAre(Pair("model", "shoes")));
  EXPECT_THAT(
      router.Find("POST", "/v1/models/a.b/versions/12:classify").parameters,
      UnorderedElementsAre(Pair("model", "a.b"), Pair("version", "12")));
}

TEST(RouterTest, UnknownPathsAre404) {
  const Router router = MakeRouter();
  for (const char* path :
       {"", "/", "/metric", "/metrics/", "/metrics/x", "/v1/models/",
        "/v1/models/a/b", "/v1/models/a/versions/:classify", "//metrics"}) {
    const Router::Match match = router.Find("GET", path);
    EXPECT_EQ(match.handler, nullptr) << path;
    EXPECT_EQ(match.code, 404) << path;
  }
}

TEST(RouterTest, WrongMethodsAre405AndSayWhatIsAllowed) {
  const Router::Match match =
      MakeRouter().Find("DELETE", "/v1/models/shoes:classify");
  EXPECT_EQ(match.handler, nullptr);
  EXPECT_EQ(match.code, 405);
  EXPECT_EQ(match.allow, "GET, POST");
}

TEST(RouterTest, ErrorBodiesAreJson) {
  const HttpResponse response =
      ErrorResponse(404, "NOT_FOUND", "no model '\xff\"'");
  EXPECT_EQ(response.code, 404);
  EXPECT_EQ(response.content_type, "application/json");
  const auto body = nlohmann::json::parse(response.body);
  EXPECT_EQ(body["error"]["code"], 404);
  EXPECT_EQ(body["error"]["status"], "NOT_FOUND");
  EXPECT_EQ(body["error"]["message"], "no model '\xEF\xBF\xBD\"'");
}

}  // namespace
}  // namespace tern::server
