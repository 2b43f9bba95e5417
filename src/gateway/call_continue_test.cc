// Streams that break off at every event and go on at another endpoint, for clients and upstreams of
// both protocols: the client sees what an upstream that does not break gives, and one comment.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "gateway/gateway.h"
#include "gateway/state/ledger_reader.h"
#include "http/server_test_util.h"
#include "http/sse.h"
#include "http/sse_reader.h"
#include "os/temp_dir.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using http::TestClient;
using text::Json;

// A model of five words, a token each, that goes on with what it is told it has said. Both
// protocols, and completions.
class Words {
 public:
  explicit Words(std::string id) : id_(std::move(id)) {
    auto started = http::Server::start(
        {}, [this](const http::Request& q, http::ResponseWriter w) { handle(q, std::move(w)); }, {},
        clock_);
    EXPECT_TRUE(started.ok());
    server_ = std::move(*started);
  }
  ~Words() { server_->stop(); }
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }
  // After that many events the stream ends; -1: never. status: in place of an answer.
  void cut_after(int events, int status = 200) {
    MutexLock lock(mutex_);
    cut_ = events;
    status_ = status;
  }
  Json last() const {
    MutexLock lock(mutex_);
    return last_;
  }
  int requests() const {
    MutexLock lock(mutex_);
    return requests_;
  }

 private:
  static constexpr std::string_view kWords[] = {"one", " two", " three", " four", " five"};
  static constexpr int kPromptTokens = 10;

  std::vector<std::string> events(const Json& body, const std::string& path) const {
    std::string said;
    if (const Json* prompt = body.find("prompt")) {
      said = prompt->as_string().substr(2);  // behind "P:"
    } else if (const Json& m = body.find("messages")->items().back();
               m.find("role")->as_string() == "assistant") {
      said = m.find("content")->as_string();
    }
    size_t at = 0;
    for (std::string so_far; so_far.size() < said.size(); ++at) so_far += kWords[at];
    const int prompt = kPromptTokens + static_cast<int>(at);
    const Json* most = body.find("max_tokens");
    const size_t end = std::min<size_t>(
        std::size(kWords), most == nullptr ? 99 : at + static_cast<size_t>(most->as_int()));
    const auto words = static_cast<int>(end - at);
    std::vector<std::string> out;
    const auto chunk = [&](const std::string& choice, const std::string& more = "") {
      out.push_back("data: {\"id\":\"" + id_ + R"(","model":"up","choices":[)" + choice + "]" +
                    more + "}\n\n");
    };
    const auto event = [&](const std::string& name, const std::string& more) {
      out.push_back("event: " + name + "\ndata: {\"type\":\"" + name + "\"" + more + "}\n\n");
    };
    if (path == "/v1/messages") {
      event("message_start", R"(,"message":{"id":")" + id_ +
                                 R"(","model":"up","usage":{"input_tokens":)" +
                                 std::to_string(prompt) + R"(,"output_tokens":1}})");
      event("content_block_start", R"(,"index":0,"content_block":{"type":"text","text":""})");
      for (; at < end; ++at)
        event("content_block_delta", R"(,"index":0,"delta":{"type":"text_delta","text":")" +
                                         std::string(kWords[at]) + "\"}");
      event("content_block_stop", R"(,"index":0)");
      event("message_delta", R"(,"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":)" +
                                 std::to_string(words) + "}");
      event("message_stop", "");
      return out;
    }
    const bool chat = path == "/v1/chat/completions";
    if (chat) chunk(R"({"index":0,"delta":{"role":"assistant","content":""}})");
    for (; at < end; ++at)
      chunk((chat ? R"({"index":0,"delta":{"content":")" : R"({"index":0,"text":")") +
            std::string(kWords[at]) + (chat ? "\"}}" : "\"}"));
    chunk(chat ? R"({"index":0,"delta":{},"finish_reason":"stop"})"
               : R"({"index":0,"text":"","finish_reason":"stop"})");
    chunk("", R"(,"usage":{"prompt_tokens":)" + std::to_string(prompt) +
                  R"(,"completion_tokens":)" + std::to_string(words) + "}");
    out.push_back("data: [DONE]\n\n");
    return out;
  }

  void handle(const http::Request& request, http::ResponseWriter writer) {
    if (request.method == "GET") {
      writer.send(http::json_response(200, "{}"));
      return;
    }
    const auto body = Json::parse(request.body);
    ASSERT_TRUE(body.ok());
    int cut = -1;
    int status = 200;
    {
      MutexLock lock(mutex_);
      last_ = *body;
      ++requests_;
      cut = cut_;
      status = status_;
    }
    if (status != 200) {
      writer.send(http::json_response(status, R"({"error":{}})"));
      return;
    }
    writer.begin_stream(200, {{"Content-Type", "text/event-stream"}});
    for (const std::string& e : events(*body, request.path)) {
      if (cut-- == 0) break;
      writer.write(e);
    }
    writer.finish();
  }

  const std::string id_;
  SystemClock clock_;
  mutable Mutex mutex_;
  int cut_ WEIR_GUARDED_BY(mutex_) = -1;
  int status_ WEIR_GUARDED_BY(mutex_) = 200;
  int requests_ WEIR_GUARDED_BY(mutex_) = 0;
  Json last_ WEIR_GUARDED_BY(mutex_);
  std::unique_ptr<http::Server> server_;
};

// What a client makes of a stream.
struct Seen {
  std::set<std::string> ids;
  std::string text;
  std::string order;  // names of what is no delta, with indexes
  std::string usage;
  std::string error;
};

void see_chunk(const Json& e, Seen& seen) {
  if (const Json* id = e.find("id")) seen.ids.insert(id->as_string());
  if (const Json* u = e.find("usage"); u != nullptr && !u->is_null())
    seen.usage = u->find("prompt_tokens")->dump() + "+" + u->find("completion_tokens")->dump();
  const Json* choices = e.find("choices");
  if (choices == nullptr || choices->size() == 0) return;
  const Json& choice = choices->items()[0];
  const Json* delta = choice.find("delta");
  if (const Json* text = choice.find("text")) seen.text += text->as_string();
  if (delta != nullptr && delta->find("content") != nullptr)
    seen.text += delta->find("content")->as_string();
  if (delta != nullptr && delta->find("role") != nullptr) seen.order += "role ";
  if (const Json* finish = choice.find("finish_reason"); finish != nullptr && finish->is_string())
    seen.order += finish->as_string() + " ";
}

void see_event(std::string_view name, const Json& e, Seen& seen) {
  if (const Json* m = e.find("message")) seen.ids.insert(m->find("id")->as_string());
  if (name == "content_block_delta") {
    seen.text += e.find("delta")->find("text")->as_string();
    return;
  }
  seen.order += name;
  if (const Json* index = e.find("index")) seen.order += index->dump();
  seen.order += " ";
  // The full count at the end, which the protocol allows, and what stands at the beginning.
  const Json* usage = e.find("usage");
  if (usage == nullptr && e.find("message") != nullptr) usage = e.find("message")->find("usage");
  if (usage == nullptr) return;
  if (const Json* in = usage->find("input_tokens")) seen.usage = in->dump();
  if (name == "message_delta") seen.usage += "+" + usage->find("output_tokens")->dump();
}

Seen see(const std::string& stream) {
  Seen seen;
  http::SseReader reader;
  EXPECT_TRUE(reader
                  .feed(stream,
                        [&](const http::SseEvent& e) {
                          if (e.data == "[DONE]") {
                            seen.order += "done ";
                            return;
                          }
                          const auto json = Json::parse(e.data);
                          ASSERT_TRUE(json.ok()) << e.data;
                          if (json->find("error") != nullptr)
                            seen.error = e.data;
                          else
                            e.name == "message" || e.name.empty() ? see_chunk(*json, seen)
                                                                  : see_event(e.name, *json, seen);
                        })
                  .ok());
  return seen;
}

class Continuations : public testing::Test {
 protected:
  void start(const std::string& engine, const std::string& retries = "continue_streams: true",
             const std::string& more = "") {
    gateway_.reset();
    const std::string pool = ", engine: " + engine +
                             ", continue_by: " + (engine == "vllm" ? "final_message" : "prefill") +
                             ", breaker: {in_a_row: 0, failure_rate: 2}, outlier: "
                             "{consecutive_failures: 0}, retry_budget: {min_per_s: 1000}}";
    const std::string yaml =
        "listen: {port: 0}\nledger: {file: " + ledger() + "}\nupstreams:\n  a: {endpoints: [\"" +
        first_.url() + "\"]" + pool + "\n  b: {endpoints: [\"" + second_.url() + "\"]" + pool +
        "\nmodels: {chat: {retries: {" + retries +
        "}, targets: [{upstream: a, model: up, release: r}, {upstream: b, model: up, release: r, "
        "tier: 1}]}}\n" +
        more;
    const auto node = config::parse_yaml(yaml, "g.yaml");
    ASSERT_TRUE(node.ok()) << node.error().message;
    auto config = parse_gateway_config(*node, "g.yaml", {});
    ASSERT_TRUE(config.ok()) << config.error().message;
    auto started = Gateway::start(std::move(*config), clock_, log_, 1);
    ASSERT_TRUE(started.ok()) << started.error().message;
    gateway_ = std::move(*started);
  }
  std::string ledger() const { return dir_.path() + "/ledger.db"; }

  std::string ask(const std::string& path, const std::string& more = "") {
    const std::string body =
        R"({"model":"chat","stream":true,)" +
        std::string(path == "/v1/completions" ? R"("prompt":"P:")"
                                              : R"("messages":[{"role":"user","content":"hi"}])") +
        (path == "/v1/messages" ? R"(,"max_tokens":9)"
                                : R"(,"stream_options":{"include_usage":true})") +
        more + "}";
    TestClient client(gateway_->port());
    const auto r = client.exchange("POST " + path + " HTTP/1.1\r\nHost: t\r\nContent-Length: " +
                                   std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_TRUE(r.has_value() && r->status == 200) << (r.has_value() ? r->body : "nothing");
    return r.has_value() ? r->body : "";
  }

  const os::TempDir dir_;
  SystemClock clock_;
  telemetry::Logger log_{{.level = telemetry::LogLevel::kOff}};
  Words first_{"first"};
  Words second_{"second"};
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(Continuations, CutAtEveryEventTheClientSeesNoSeam) {
  for (const auto& [path, engine] : {std::pair("/v1/chat/completions", "vllm"),
                                     {"/v1/completions", "vllm"},
                                     {"/v1/messages", "vllm"},
                                     {"/v1/messages", "anthropic"},
                                     {"/v1/chat/completions", "anthropic"}}) {
    start(engine);
    first_.cut_after(-1);
    const Seen whole = see(ask(path));
    ASSERT_EQ(whole.text, "one two three four five") << path << engine;
    ASSERT_EQ(whole.usage, "10+5") << path << engine;
    ASSERT_EQ(whole.error, "");
    const int events = 9;  // of each of these streams, or one more
    for (int cut = 0; cut < events; ++cut) {
      first_.cut_after(cut);
      const std::string stream = ask(path);
      Seen seen = see(stream);
      const std::string where = path + std::string(" at ") + engine + ", cut after " +
                                std::to_string(cut) + ":\n" + stream;
      // Behind its finish reason an answer is whole, but for its usage.
      if (seen.usage.empty() || stream.find(": weir continued") == std::string::npos)
        seen.usage = whole.usage;
      if (seen.ids != whole.ids) {  // cut before the client had its id
        EXPECT_EQ(seen.ids, std::set<std::string>{"second"}) << where;
        seen.ids = whole.ids;
      }
      EXPECT_EQ(seen.ids, whole.ids) << where;
      EXPECT_EQ(seen.text, whole.text) << where;
      EXPECT_EQ(seen.order, whole.order) << where;
      EXPECT_EQ(seen.usage, whole.usage) << where;
      EXPECT_EQ(seen.error, "") << where;
    }
    first_.cut_after(4);
    EXPECT_NE(ask(path).find("\n\n: weir continued at b, attempt 2\n\n"), std::string::npos);
  }
}

TEST_F(Continuations, WhatIsSentAndWhatIsLeft) {
  start("vllm");
  first_.cut_after(3);
  const std::string stream = ask("/v1/chat/completions", R"(,"max_tokens":4)");
  EXPECT_EQ(see(stream).text, "one two three four");
  const Json body = second_.last();
  EXPECT_EQ(body.find("messages")->dump(),
            R"([{"role":"user","content":"hi"},{"role":"assistant","content":"one two"}])");
  EXPECT_EQ(body.find("max_tokens")->as_int(), 2);
  EXPECT_EQ(body.find("model")->as_string(), "up");
  // All of it was there: nobody is asked for more.
  const int before = second_.requests();
  const Seen seen = see(ask("/v1/chat/completions", R"(,"max_tokens":2)"));
  EXPECT_EQ(second_.requests(), before);
  EXPECT_EQ(seen.order, "role length done ");
  EXPECT_EQ(seen.usage.substr(seen.usage.find('+')), "+2");
  gateway_.reset();
  auto reader = LedgerReader::open(ledger());
  ASSERT_TRUE(reader.ok());
  std::vector<LedgerRow> rows;
  ASSERT_TRUE(reader
                  ->each({},
                         [&](const LedgerEntry& e) {
                           rows.push_back(e.row);
                           return Status();
                         })
                  .ok());
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(std::tie(rows[0].end, rows[0].output_tokens), std::tuple(LedgerEnd::kBroken, 2));
  EXPECT_FALSE(rows[0].final || rows[0].continued);
  EXPECT_EQ(std::tie(rows[1].end, rows[1].input_tokens, rows[1].output_tokens),
            std::tuple(LedgerEnd::kOk, 12, 2));
  EXPECT_TRUE(rows[1].final && rows[1].continued && !rows[1].retried);
}

TEST_F(Continuations, WhatCannotGoOnIsSaid) {
  const auto broken = [&](const std::string& more = "") {
    first_.cut_after(3);
    std::string stream = ask("/v1/chat/completions", more);
    const Seen seen = see(stream);
    EXPECT_NE(seen.error.find("upstream_error"), std::string::npos) << stream;
    EXPECT_EQ(stream.find("[DONE]"), std::string::npos) << stream;
    EXPECT_TRUE(seen.text.starts_with("one two")) << stream;
    return stream;
  };
  start("vllm", "continue_streams: false");
  broken();
  EXPECT_EQ(second_.requests(), 0);
  start("vllm");
  broken(R"(,"n":2)");
  EXPECT_EQ(second_.requests(), 0);
  // The second one breaks too, or refuses: once is all that is allowed.
  second_.cut_after(2);
  EXPECT_NE(broken().find("three"), std::string::npos);
  second_.cut_after(-1, 400);
  broken();
  second_.cut_after(-1, 503);
  broken();
}

TEST_F(Continuations, AQuotaCountsBothParts) {
  start("vllm", "continue_streams: true",
        "quotas: [{name: out, metric: output_tokens, window: day, limit: 4}]\n"
        "quota_estimate: {output_tokens: 4, step_tokens: 2}\n");
  first_.cut_after(3);  // two words
  // One stream may run beyond a full limit.
  const std::string stream = ask("/v1/chat/completions");
  EXPECT_NE(stream.find("[DONE]"), std::string::npos) << stream;
  EXPECT_EQ(second_.requests(), 1);
}

}  // namespace
}  // namespace weir::gateway
