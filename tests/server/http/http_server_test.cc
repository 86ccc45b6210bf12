#include "server/http/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/mutex.h"

namespace tern::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A bare TCP client: tests need bytes that no HTTP library would send.
class Client {
 public:
  explicit Client(std::uint16_t port)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address),
                         sizeof(address)) == 0;
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  void Send(const std::string& bytes) {
    send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // Until the server closes.
  std::string ReadAll() {
    std::string all;
    char buffer[4096];
    ssize_t got = 0;
    while ((got = recv(fd_, buffer, sizeof(buffer), 0)) > 0) {
      all.append(buffer, static_cast<std::size_t>(got));
    }
    return all;
  }

 private:
  const int fd_;
  bool connected_ = false;
};

std::string Get(std::uint16_t port, const std::string& path) {
  Client client(port);
  client.Send("GET " + path +
              " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  return client.ReadAll();
}

std::string Post(std::uint16_t port, const std::string& path,
                 const std::string& body) {
  Client client(port);
  client.Send(absl::StrCat("POST ", path,
                           " HTTP/1.1\r\nHost: x\r\nConnection: "
                           "close\r\nContent-Length: ",
                           body.size(), "\r\n\r\n", body));
  return client.ReadAll();
}

// Keeps exchanges until a test answers them.
class Parking {
 public:
  void Park(std::shared_ptr<HttpExchange> exchange) {
    MutexLock lock(&mu_);
    parked_.push_back(std::move(exchange));
    news_.SignalAll();
  }
  std::vector<std::shared_ptr<HttpExchange>> Wait(std::size_t count) {
    MutexLock lock(&mu_);
    while (parked_.size() < count) news_.Wait(&mu_);
    return std::move(parked_);
  }

 private:
  Mutex mu_;
  CondVar news_;
  std::vector<std::shared_ptr<HttpExchange>> parked_;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void Start(const HttpServerOptions& options = {}) {
    Router router;
    router.Add("GET", "/hello", [](std::shared_ptr<HttpExchange> exchange) {
      HttpResponse response;
      const auto& query = exchange->request().query;
      response.body = "hello";
      if (const auto name = query.find("name"); name != query.end()) {
        response.body += " " + name->second;
      }
      response.headers["X-Test"] = "yes";
      exchange->Send(response);
    });
    router.Add("POST", "/echo/{id}",
               [](std::shared_ptr<HttpExchange> exchange) {
                 HttpResponse response;
                 response.body = exchange->request().parameters.at("id") + ":" +
                                 exchange->request().body;
                 exchange->Send(response);
               });
    router.Add("POST", "/later", [this](std::shared_ptr<HttpExchange> e) {
      parking_.Park(std::move(e));
    });
    router.Add("GET", "/never", [](std::shared_ptr<HttpExchange>) {});
    auto server = HttpServer::Start({"127.0.0.1", 0}, router, options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::uint16_t port() const { return server_->port(); }

  Parking parking_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersWithCodeHeadersAndBody) {
  Start();
  const std::string answer = Get(port(), "/hello?name=you%20there");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_THAT(answer, HasSubstr("X-Test: yes\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nhello you there"));
}

TEST_F(HttpServerTest, PassesBodiesWhole) {
  Start();
  const std::string body(300'000, 'b');
  EXPECT_THAT(Post(port(), "/echo/7", body), HasSubstr("\r\n\r\n7:" + body));
}

TEST_F(HttpServerTest, TakesChunkedBodies) {
  Start();
  Client client(port());
  client.Send(
      "POST /echo/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), HasSubstr("\r\n\r\n1:abcde"));
}

TEST_F(HttpServerTest, UnknownPagesAndMethodsAreErrorsInJson) {
  Start();
  EXPECT_THAT(Get(port(), "/nothing"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get(port(), "/nothing"),
              HasSubstr(R"("message":"no page at /nothing")"));
  const std::string wrong = Post(port(), "/hello", "");
  EXPECT_THAT(wrong, StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(wrong, HasSubstr("Allow: GET\r\n"));
}

TEST_F(HttpServerTest, HandlersMayAnswerLaterFromAnyThread) {
  Start();
  std::string answer;
  std::thread client([&] { answer = Post(port(), "/later", "body"); });
  auto exchange = parking_.Wait(1).front();
  // Others are served meanwhile.
  EXPECT_THAT(Get(port(), "/hello"), StartsWith("HTTP/1.1 200"));
  HttpResponse response;
  response.code = 202;
  response.body = "late " + exchange->request().body;
  exchange->Send(response);
  client.join();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 202"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nlate body"));
}

TEST_F(HttpServerTest, ExchangesThatAreDroppedAnswer500) {
  Start();
  EXPECT_THAT(Get(port(), "/never"), StartsWith("HTTP/1.1 500"));
}

TEST_F(HttpServerTest, AnswersToClientsThatLeftGoNowhere) {
  Start();
  {
    Client client(port());
    client.Send("POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    auto exchange = parking_.Wait(1).front();
    exchange->Send({});
  }
  {
    Client client(port());
    client.Send("POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  }
  auto exchange = parking_.Wait(1).front();
  exchange->Send({});
  EXPECT_THAT(Get(port(), "/hello"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, LargeBodiesAreRefusedBeforeTheyArrive) {
  HttpServerOptions options;
  options.max_body_bytes = 1000;
  Start(options);
  Client client(port());
  client.Send(
      "POST /echo/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
  const std::string answer = client.ReadAll();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(answer, HasSubstr("want at most 1000 bytes, got 1001"));
  EXPECT_THAT(Post(port(), "/echo/1", std::string(1000, 'x')),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, LargeChunkedBodiesAreRefusedAtTheirEnd) {
  HttpServerOptions options;
  options.max_body_bytes = 4;
  Start(options);
  Client client(port());
  client.Send(
      "POST /echo/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, AllBodiesTogetherAreBounded) {
  HttpServerOptions options;
  options.max_total_body_bytes = 1000;
  Start(options);
  std::string first;
  std::thread client(
      [&] { first = Post(port(), "/later", std::string(900, 'x')); });
  auto exchange = parking_.Wait(1).front();
  const std::string second = Post(port(), "/echo/1", std::string(200, 'x'));
  EXPECT_THAT(second, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(second, HasSubstr("Retry-After: 1\r\n"));
  exchange->Send({});
  client.join();
  EXPECT_THAT(first, StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, SlowSendersBlockNobodyAndAreCutOff) {
  HttpServerOptions options;
  options.request_timeout = std::chrono::milliseconds(300);
  Start(options);
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 50; ++i) {
    slow.push_back(std::make_unique<Client>(port()));
    slow.back()->Send(i % 2 == 0 ? "GET /hel"
                                 : "POST /echo/1 HTTP/1.1\r\nHost: "
                                   "x\r\nContent-Length: "
                                   "100\r\n\r\nabc");
  }
  EXPECT_THAT(Get(port(), "/hello"), StartsWith("HTTP/1.1 200"));
  // Dripping does not buy time: the connection ends though bytes keep coming.
  const auto start = std::chrono::steady_clock::now();
  std::thread dripper([&] {
    for (int i = 0; i < 40; ++i) {
      slow[0]->Send("l");
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  for (const auto& client : slow) client->ReadAll();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  dripper.join();
  EXPECT_THAT(Get(port(), "/hello"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, GarbageGetsAnErrorOrNothing) {
  HttpServerOptions options;
  options.request_timeout = std::chrono::milliseconds(300);
  Start(options);
  for (const std::string& bytes :
       {std::string("\0\1\2\3\r\n\r\n", 8), std::string("GET\r\n\r\n"),
        "GET /hello HTTP/1.1\r\nContent-Length: -1\r\n\r\n" + std::string(),
        "POST /echo/1 HTTP/1.1\r\nHost: x\r\nContent-Length: "
        "99999999999999999999\r\n\r\n" +
            std::string(),
        "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n"}) {
    Client client(port());
    client.Send(bytes);
    EXPECT_THAT(client.ReadAll(), ::testing::Not(HasSubstr(" 200 ")));
  }
  EXPECT_THAT(Get(port(), "/hello"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, StopWaitsForAnswers) {
  Start();
  std::string answer;
  std::thread client([&] { answer = Post(port(), "/later", "x"); });
  auto exchange = parking_.Wait(1).front();
  std::thread stopper([&] { server_->Stop(std::chrono::seconds(30)); });
  HttpResponse response;
  response.body = "in time";
  exchange->Send(response);
  stopper.join();
  client.join();
  EXPECT_THAT(answer, HasSubstr("in time"));
  EXPECT_FALSE(Client(port()).connected());
}

TEST_F(HttpServerTest, StopWithoutPatienceLeavesNoExchangeBehind) {
  Start();
  Client client(port());
  client.Send("POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  auto exchange = parking_.Wait(1).front();
  server_->Stop(std::chrono::milliseconds(0));
  exchange->Send({});  // goes nowhere
}

TEST_F(HttpServerTest, ASecondServerOnThePortFails) {
  Start();
  const auto second = HttpServer::Start({"127.0.0.1", port()}, Router(), {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tern::server
