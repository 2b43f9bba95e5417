#include "ops/eval/remote_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <thread>

#include "base/thread_annotations.h"
#include "http/server.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

TEST(RemoteRetry, WhoIsTriedAgainAndWhen) {
  const RetryPolicy policy{.retries = 3, .first_s = 0.5, .longest_s = 10};
  EXPECT_EQ(retry_wait_s(policy, 1, {.status = 503, .retry_after_s = {}}), 0.5);
  EXPECT_EQ(retry_wait_s(policy, 2, {.status = 429, .retry_after_s = {}}), 1.0);
  EXPECT_EQ(retry_wait_s(policy, 3, {}), 2.0);  // no answer
  EXPECT_EQ(retry_wait_s(policy, 4, {.status = 503, .retry_after_s = {}}), std::nullopt);
  EXPECT_EQ(retry_wait_s(policy, 1, {.status = 429, .retry_after_s = 7}), 7.0);
  EXPECT_EQ(retry_wait_s(policy, 1, {.status = 429, .retry_after_s = 11}), std::nullopt);
  EXPECT_EQ(retry_wait_s(policy, 1, {.status = 400, .retry_after_s = {}}), std::nullopt);
  EXPECT_EQ(retry_wait_s(policy, 1, {.status = 500, .retry_after_s = {}}), std::nullopt);
  EXPECT_EQ(retry_wait_s(policy, 1, {.status = 0, .retry_after_s = {}, .hopeless = true}),
            std::nullopt);
  EXPECT_EQ(retry_wait_s({.retries = 1000}, 900, {.status = 503, .retry_after_s = {}}), 60.0);
}

// Answers a body with what `answer` makes of it and of how often it came.
class RemoteClientTest : public ::testing::Test {
 protected:
  using Answer = std::function<http::Response(const std::string& body, int tries)>;

  RemoteClient client(Answer answer, size_t parallel, RetryPolicy retry = {.first_s = 0.01}) {
    auto started = http::Server::start(
        {},
        [this, answer = std::move(answer)](http::Request request, http::ResponseWriter writer) {
          int tries = 0;
          {
            const MutexLock lock(mutex_);
            tries = ++tries_[request.body];
            most_ = std::max(most_, ++now_);
            ++answering_;
          }
          // Not on the I/O thread: requests are to overlap.
          threads_.emplace_back(
              [this, answer, tries, body = request.body, writer = std::move(writer)]() mutable {
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
                http::Response response = answer(body, tries);
                {
                  const MutexLock lock(mutex_);
                  --now_;
                }
                writer.send(std::move(response));
                const MutexLock lock(mutex_);
                --answering_;
              });
        },
        {}, clock_);
    EXPECT_TRUE(started.ok());
    server_ = std::move(*started);
    auto to = remote_server(fmt::format("http://127.0.0.1:{}/v1", server_->port()), "secret");
    EXPECT_TRUE(to.ok());
    to->retry = retry;
    to->timeout = std::chrono::milliseconds(20'000);
    auto made = RemoteClient::start(std::move(*to), parallel, told_);
    EXPECT_TRUE(made.ok());
    return std::move(*made);
  }
  ~RemoteClientTest() override {
    while (answering() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    server_.reset();
    for (std::thread& t : threads_) t.join();
  }

  int answering() {
    const MutexLock lock(mutex_);
    return answering_;
  }

  static std::vector<RemoteRequest> requests(size_t count) {
    std::vector<RemoteRequest> out;
    for (size_t i = 0; i < count; ++i)
      out.push_back({fmt::format("item{}", i), "/v1/x", std::to_string(i)});
    return out;
  }

  SystemClock clock_;
  ManualClock told_;  // the client's, for dates
  Mutex mutex_;
  std::map<std::string, int> tries_;  // by body
  int now_ = 0;                       // requests that are not answered
  int answering_ = 0;                 // threads that use the server
  int most_ = 0;
  std::vector<std::thread> threads_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(RemoteClientTest, EachIsAnsweredOnceAndNoMoreAtATimeThanAsked) {
  RemoteClient c =
      client([](const std::string& body, int) { return http::json_response(200, body + "!"); }, 4);
  std::map<size_t, std::string> got;
  const auto keep = [&](size_t i, const std::string& body) -> Status {
    EXPECT_TRUE(got.emplace(i, body).second);
    return {};
  };
  const auto all = requests(40);
  ASSERT_TRUE(c.post_all(all, 4, keep).ok());
  ASSERT_EQ(got.size(), 40);
  for (const auto& [i, body] : got) EXPECT_EQ(body, std::to_string(i) + "!");
  EXPECT_LE(most_, 4);
  EXPECT_GE(most_, 2);
}

TEST_F(RemoteClientTest, ADateIsHeldAgainstTheClockThatIsGiven) {
  RemoteClient c = client(
      [](const std::string& body, int tries) {
        http::Response busy = http::json_response(503, "{}");
        busy.headers.add("Retry-After", "Tue, 14 Nov 2023 22:13:21 GMT");  // a second from told_
        return tries == 1 ? busy : http::json_response(200, body);
      },
      1);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(c.post({"item", "/v1/x", "0"}).ok());
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(950));
}

TEST_F(RemoteClientTest, ABusyServerIsAskedAgainWhenItSays) {
  RemoteClient c = client(
      [](const std::string& body, int tries) {
        http::Response busy = http::json_response(tries == 1 ? 429 : 503, "{}");
        if (tries == 1) busy.headers.add("Retry-After", "0.2");
        return tries <= 2 ? busy : http::json_response(200, body);
      },
      8);
  int done = 0;
  const auto start = std::chrono::steady_clock::now();
  const auto all = requests(10);
  const Status ok =
      c.post_all(all, 8, [&](size_t, const std::string&) -> Status { return ++done, Status(); });
  ASSERT_TRUE(ok.ok()) << ok.error().message;
  EXPECT_EQ(done, 10);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(200));
  for (const auto& [body, tries] : tries_) EXPECT_EQ(tries, 3) << body;
}

TEST_F(RemoteClientTest, TriesEndAndTheErrorSaysWhat) {
  RemoteClient c = client(
      [](const std::string& body, int) {
        return body == "1" ? http::json_response(503, R"({"error":{"message":"queue full"}})")
                           : http::json_response(200, body);
      },
      2, {.retries = 2, .first_s = 0.01});
  const auto all = requests(3);
  const Status failed = c.post_all(all, 2, [](size_t, const std::string&) -> Status { return {}; });
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kServerOverloaded);
  EXPECT_THAT(failed.error().message, HasSubstr("item item1: 127.0.0.1:"));
  EXPECT_THAT(failed.error().message, HasSubstr("answered 503, after 3 tries: queue full"));
  EXPECT_EQ(tries_["1"], 3);
}

TEST_F(RemoteClientTest, ARefusalIsNotTriedAgainAndARunCanBeEnded) {
  RemoteClient c = client(
      [](const std::string&, int) { return http::json_response(401, R"({"error":"no key"})"); }, 2);
  const auto all = requests(2);
  const Status refused =
      c.post_all(all, 1, [](size_t, const std::string&) -> Status { return {}; });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidApiKey);
  EXPECT_THAT(refused.error().message, HasSubstr("answered 401: no key"));
  EXPECT_EQ(tries_.size(), 1);
}

TEST_F(RemoteClientTest, AServerThatIsNotThere) {
  auto to = remote_server("http://127.0.0.1:1", "");
  ASSERT_TRUE(to.ok());
  to->retry = {.retries = 1, .first_s = 0.01};
  auto c = RemoteClient::start(std::move(*to), 2, told_);
  ASSERT_TRUE(c.ok());
  const auto answer = c->get("/v1/models");
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kServerOverloaded);
  EXPECT_THAT(answer.error().message, HasSubstr("after 2 tries"));
}

TEST(RemoteServer, UrlAndKey) {
  EXPECT_EQ(remote_server("http://h:1/v1/", "k")->url.path, "");
  EXPECT_EQ(remote_server("http://h:1/base/v1", "")->url.path, "/base");
  EXPECT_EQ(remote_server("http://h:1", "k")->headers.find("authorization"), "Bearer k");
  EXPECT_EQ(remote_server("https://h", "").error().code, ErrorCode::kUsage);
  EXPECT_EQ(remote_server("http://h", "a\nb").error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace weir::ops
