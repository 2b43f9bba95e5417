// What a gateway refuses before anybody is asked, in the form that the client's library reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "access/keys_file.h"
#include "gateway/gateway_testing.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

using ::testing::HasSubstr;

class RefusalTest : public GatewayTest {
 protected:
  // Everybody needs a key, which may ask once a minute.
  void run(bool argon2 = false) {
    const std::string path = dir_.path() + "/keys.yaml";
    const auto made = access::make_key("acme", argon2);
    ASSERT_TRUE(made.ok());
    key_ = "Authorization: Bearer " + made->key + "\r\n";
    ASSERT_TRUE(os::write_file_atomic(path, "tenants:\n  acme: {requests_per_min: 1}\nkeys:\n" +
                                                access::render_entry(made->entry))
                    .ok());
    ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
    start_yaml("listen: {port: 0}\nkeys_file: " + path + "\nupstreams: {pods: {endpoints: [\"" +
               upstreams_.front()->url() +
               "\"]}}\nmodels: {chat: {targets: [{upstream: pods}]}}\n");
  }
  http::Response send(const std::string& request) {
    TestClient client(gateway_->port());
    return client.exchange(request).value_or(http::Response{0, {}, ""});
  }
  http::Response messages(const std::string& fields = "", const std::string& more = "") {
    return send(
        post(R"({"model":"chat","max_tokens":9,"messages":[{"role":"user","content":"a"}]})",
             fields, "/v1/messages" + more));
  }
  // {"type":"error","error":{"type":…,"message":…},"request_id":…}, and not OpenAI's members.
  static void is_anthropics(const http::Response& r, int status, const std::string& type) {
    EXPECT_EQ(r.status, status) << r.body;
    const auto json = text::Json::parse(r.body);
    ASSERT_TRUE(json.ok()) << r.body;
    ASSERT_NE(json->find("type"), nullptr) << r.body;
    EXPECT_EQ(json->find("type")->as_string(), "error");
    const text::Json& error = *json->find("error");
    EXPECT_EQ(error.find("type")->as_string(), type) << r.body;
    EXPECT_FALSE(error.find("message")->as_string().empty());
    EXPECT_EQ(error.find("code"), nullptr) << r.body;
    ASSERT_NE(json->find("request_id"), nullptr) << r.body;
    EXPECT_EQ(json->find("request_id")->as_string(), r.headers.find("x-request-id"));
  }

  const os::TempDir dir_;
  std::string key_;
};

TEST_F(RefusalTest, OfMessagesAreInAnthropicsForm) {
  add("one", "ok");
  run();
  const http::Response none = messages();
  is_anthropics(none, 401, "authentication_error");
  EXPECT_EQ(none.headers.find("www-authenticate"), "Bearer");
  is_anthropics(messages("x-api-key: wrong\r\n"), 401, "authentication_error");
  is_anthropics(messages("", "/count_tokens"), 401, "authentication_error");
  EXPECT_EQ(messages(key_).status, 200);
  const http::Response limited = messages(key_);
  is_anthropics(limited, 429, "rate_limit_error");
  EXPECT_TRUE(limited.headers.contains("retry-after"));
  EXPECT_EQ(limited.headers.find("x-should-retry"), "true");
  const std::string end = " HTTP/1.1\r\nHost: t\r\n\r\n";
  is_anthropics(send("GET /v1/messages" + end), 405, "invalid_request_error");
  is_anthropics(send("GET /v1/messages/batches" + end), 404, "not_found_error");
  gateway_->drain();
  is_anthropics(messages(key_), 503, "overloaded_error");
}

// What the gateway refuses for what it says takes nothing of requests_per_min, until these are as
// many themselves.
TEST_F(RefusalTest, ABadRequestIsNotOneOfTheMinutes) {
  add("one", "ok");
  run();
  const auto chat = [this](const std::string& model) {
    return send(post(R"({"model":")" + model + R"(","messages":[]})", key_));
  };
  EXPECT_EQ(chat("walrus").status, 404);
  EXPECT_EQ(chat("chat").status, 200);
  const http::Response served = chat("chat");
  EXPECT_EQ(served.status, 429);
  EXPECT_THAT(served.body, HasSubstr("over requests_per_min of 1;"));
  const int wait_s = std::stoi(std::string(served.headers.find("retry-after").value_or("0")));
  EXPECT_GE(wait_s, 1);
  EXPECT_LE(wait_s, 60);
  gateway_.reset();
  run();
  for (const int status : {400, 400, 429}) EXPECT_EQ(send(post("{", key_)).status, status);
}

TEST_F(RefusalTest, OfAKeyThatTakesLongToCheckToo) {
  add("one", "ok");
  run(/*argon2=*/true);
  is_anthropics(messages("x-api-key: wrong\r\n"), 401, "authentication_error");
  EXPECT_EQ(messages(key_).status, 200);
}

TEST_F(RefusalTest, OfOtherPathsAreInOpenAis) {
  add("one", "ok");
  run();
  for (const std::string& request :
       {post(std::string(kChat)),
        std::string("GET /v1/chat/completions HTTP/1.1\r\nHost: t\r\n\r\n")}) {
    const auto json = text::Json::parse(send(request).body);
    ASSERT_TRUE(json.ok());
    EXPECT_EQ(json->find("type"), nullptr);
    EXPECT_NE(json->find("error")->find("code"), nullptr);
  }
}

}  // namespace
}  // namespace weir::gateway
