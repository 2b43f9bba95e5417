// Published collections of hostile text through the routes: JSONTestSuite, the big list of naughty
// strings.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "base/paths_testing.h"
#include "server/server_testing.h"

namespace weir::server {
namespace {

std::filesystem::path shared_data() { return weir::paths::shared("data"); }

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The document as the whole body. The y_ files are no requests, so what is accepted as JSON is
// refused for its members.
TEST_F(ServerTest, JsonTestSuiteThroughTheRoute) {
  const auto folder = shared_data() / "json" / "test_parsing";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  start();
  std::map<char, int> counts;
  TestClient c = client();
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    const auto reply = c.exchange(post("/v1/completions", read_file(entry.path())));
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->status, 400);
    const std::string code = error_code(reply);
    // Stricter than the suite on purpose: the contract refuses duplicate keys.
    const bool refused = name[0] == 'n' || name.find("duplicated_key") != std::string::npos;
    if (name[0] != 'i') {
      EXPECT_EQ(code, refused ? "invalid_json" : "invalid_value");
    }
    ++counts[name[0]];
  }
  EXPECT_EQ(counts['y'], 95);
  EXPECT_EQ(counts['n'], 188);
  printf("JSONTestSuite: %d y, %d n, %d i\n", counts['y'], counts['n'], counts['i']);
}

// Each as a member's value, inside a request that is right but for it.
TEST_F(ServerTest, NaughtyStringsInEveryTextField) {
  const auto path = shared_data() / "text" / "blns.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const auto list = Json::parse(read_file(path));
  ASSERT_TRUE(list.ok()) << list.error().message;
  limits_.max_context_tokens = 512;
  start();
  const std::string text = "/v1/completions";
  const std::string chat = "/v1/chat/completions";
  const std::string user = R"("messages":[{"role":"user","content":"a"}])";
  const struct {
    const std::string& route;
    std::string before;
    std::string after;
  } fields[] = {
      {text, R"({"max_tokens":1,"prompt":)", "}"},
      {text, R"({"max_tokens":1,"prompt":["a",)", "]}"},
      {text, R"({"max_tokens":1,"prompt":"a","stop":)", "}"},
      {text, R"({"max_tokens":1,"prompt":"a","model":)", "}"},
      {text, R"({"max_tokens":1,"prompt":"a","user":)", "}"},
      {text, R"({"max_tokens":1,"prompt":"a","suffix":)", "}"},
      {text, R"({"max_tokens":1,"prompt":"a","cache_salt":)", "}"},
      {text, R"({"max_tokens":1,"prompt":"a","service_tier":)", "}"},
      {text, R"({"max_tokens":1,"prompt":"a",)", ":1}"},
      {text, R"({"max_tokens":1,"prompt":"a","logit_bias":{)", ":1}}"},
      {chat, R"({"max_tokens":1,"messages":[{"role":"user","content":)", "}]}"},
      {chat, R"({"max_tokens":1,"messages":[{"role":)", R"(,"content":"a"}]})"},
      {chat, R"({"max_tokens":1,"messages":[{"role":"user","content":"a","name":)", "}]}"},
      {chat, R"({"max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":)",
       "}]}]}"},
      {chat, "{" + user + R"(,"max_tokens":1,"tools":[{"function":{"name":)", "}}]}"},
      {chat, "{" + user + R"(,"max_tokens":1,"prediction":{"type":"content","content":)", "}}"},
      {chat, "{" + user + R"(,"max_tokens":1,"response_format":{"type":)", "}}"},
      {chat, "{" + user + R"(,"max_tokens":1,"chat_template_kwargs":{"x":)", "}}"},
      {"/tokenize", R"({"prompt":)", "}"},
  };
  TestClient c = client();
  std::map<int, int> statuses;
  for (const Json& string : list->items()) {
    for (const auto& field : fields) {
      const std::string body = field.before + string.dump() + field.after;
      const auto reply = c.exchange(post(field.route, body));
      ASSERT_TRUE(reply.has_value()) << body;
      ++statuses[reply->status];
      EXPECT_TRUE(reply->status == 200 || reply->status == 400 || reply->status == 404)
          << reply->status << body << reply->body;
      EXPECT_TRUE(Json::parse(reply->body).ok()) << body << reply->body;
    }
  }
  EXPECT_GT(statuses[200], 5000);
  printf("naughty strings: %zu in %zu fields:", list->size(), std::size(fields));
  for (const auto& [status, count] : statuses) printf(" %d x %d", count, status);
  printf("\n");
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
}

// And where strings are no JSON: header fields and paths.
TEST_F(ServerTest, NaughtyStringsInHeadersAndPaths) {
  const auto path = shared_data() / "text" / "blns.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const auto list = Json::parse(read_file(path));
  ASSERT_TRUE(list.ok());
  config_.api_keys = {"k"};
  start();
  for (const Json& string : list->items()) {
    const std::string& s = string.as_string();
    for (const std::string& request :
         {get("/v1/models", "Authorization: Bearer " + s + "\r\n"),
          get("/health", "X-Request-Id: " + s + "\r\n"),
          get("/v1/models", "Authorization: Bearer k\r\nOrigin: " + s + "\r\n"),
          get("/v1/models/" + s, "Authorization: Bearer k\r\n"),
          post("/tokenize", R"({"prompt":"a"})",
               "Authorization: Bearer k\r\nx-weir-deadline-ms: " + s + "\r\n")}) {
      const auto reply = ask(request);
      ASSERT_TRUE(reply.has_value()) << request;
      EXPECT_LT(reply->status, 500) << request;
      EXPECT_NE(reply->status, 0);
    }
  }
}

}  // namespace
}  // namespace weir::server
