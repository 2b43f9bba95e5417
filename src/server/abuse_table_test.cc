// Every row of the contract's error table, over a raw socket: status, code, whether the connection
// stays, Retry-After, and that nothing of the request is left afterwards. How long each answer took
// is printed, not asserted.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "access/key_hash.h"
#include "access/keys_file.h"
#include "base/rng.h"
#include "os/file.h"
#include "os/temp_dir.h"
#include "server/server_testing.h"

namespace weir::server {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr size_t kBodyBytes = 64 * 1024;

enum Then { kKept, kClosed };
enum Retry { kNever, kRetry };

class AbuseTable;

struct Row {
  std::string name;
  std::string bytes;  // sent as they are
  int status;
  std::string code;
  Then then = kKept;
  Retry retry = kNever;
  std::function<void(AbuseTable&)> before = {};  // the server starts
  std::function<void(AbuseTable&)> after = {};   // it started, before the request
};

const std::string kChat = "/v1/chat/completions";
const std::string kText = "/v1/completions";

std::string chat(const std::string& members) {
  return post(kChat, R"({"messages":[{"role":"user","content":"hi"}],)" + members + "}");
}

std::string nested(size_t depth) {
  return R"({"prompt":"a","user":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
}

std::string bearer(const std::string& tenant) {
  return "Authorization: Bearer k-" + tenant + "\r\n";
}

// A request with its head written out: what post() would not write.
std::string head(const std::string& fields, const std::string& body = "") {
  return "POST " + kText + " HTTP/1.1\r\nHost: test\r\n" + fields + "\r\n" + body;
}

class AbuseTable : public ServerTest {
 public:
  void require_key() { config_.api_keys = {"k"}; }
  // A tenant of each limit, and a key "k-TENANT" for each.
  void have_tenants() {
    std::string file =
        "tenants:\n  requests: {requests_per_min: 1}\n  tokens: {tokens_per_min: 100}\n"
        "  concurrent: {concurrent: 1}\n  models: {models: [another]}\n  rights: {}\nkeys:\n";
    for (const char* tenant : {"requests", "tokens", "concurrent", "models", "rights"}) {
      access::KeyEntry e;
      e.id = tenant;
      e.tenant = tenant;
      e.sha256 = access::sha256("k-" + e.tenant);
      if (e.tenant == "rights") e.rights = static_cast<unsigned>(access::Right::kMetrics);
      file += access::render_entry(e);
    }
    config_.keys_file = directory_.file("keys.yaml");
    ASSERT_TRUE(os::write_file_atomic(config_.keys_file, file).ok());
  }
  void spend_the_request() {
    const auto r = ask(post(kText, R"({"prompt":"a","max_tokens":2})", bearer("requests")));
    ASSERT_TRUE(r.has_value() && r->status == 200) << r->body;
  }
  void spend_the_tokens() {
    const auto r =
        ask(post(kText, R"({"prompt":"a","max_tokens":90,"ignore_eos":true})", bearer("tokens")));
    ASSERT_TRUE(r.has_value() && r->status == 200) << r->body;
  }
  void run_one() {
    frozen_ = true;
    held_.push_back(client());
    held_.back().send(post(kText, R"({"prompt":"a","max_tokens":2})", bearer("concurrent")));
    ASSERT_TRUE(eventually([&] { return !engine_->idle(); }));
  }
  void run_one_and_wait_briefly() {
    limits_.max_running = 1;
    limits_.queue_timeout_ms = 30;
  }
  void run_one_for_long() {
    step_us_ = 30'000;  // 3 s in all: longer than a loaded machine takes to send the next
    held_.push_back(client());
    held_.back().send(post(kText, R"({"prompt":"a","max_tokens":100,"ignore_eos":true})"));
    ASSERT_TRUE(eventually([&] { return runner_.calls > 0; }));
  }
  void allow_one_host() { config_.allowed_hosts = {"weir.example"}; }
  void be_strict() { config_.api.strict = true; }
  void bound_tokens() {
    limits_.max_input_tokens = 10;
    limits_.max_output_tokens = 20;
  }
  void one_request_waits() {
    limits_.max_running = 1;
    limits_.max_queued_requests = 1;
  }
  void one_connection() { config_.http.max_connections = 2; }  // the held one, and the health check
  void endless_template() {
    auto t = text::ChatTemplate::compile(
        "{% set ns = namespace(s='xxxxxxxxxx') %}"
        "{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}");
    ASSERT_TRUE(t.ok());
    chat_.emplace(std::move(*t));
  }
  void raising_template() {
    auto t = text::ChatTemplate::compile("{{ raise_exception('only one system message') }}");
    ASSERT_TRUE(t.ok());
    chat_.emplace(std::move(*t));
  }
  void be_an_encoder() { runner_.traits = {4, model::Pooling::kMean, true}; }
  void drain() { server_->drain(); }
  void fail() { failing_ = true; }
  void hold_connections() {
    for (int i = 0; i < 2; ++i) {
      held_.push_back(client());
      ASSERT_TRUE(held_.back().exchange(get("/health")).has_value());
    }
  }
  // One runs, one waits: the next finds the queue full.
  void fill_queue() {
    frozen_ = true;
    for (int i = 0; i < 2; ++i) {
      held_.push_back(client());
      held_.back().send(post(kText, R"({"prompt":"a","max_tokens":2})"));
      ASSERT_TRUE(eventually([&] {
        return runner_.calls + engine_->stats().queued_requests > 0 &&
               engine_->stats().queued_requests == i;
      }));
    }
  }

 protected:
  void SetUp() override {
    ServerTest::SetUp();
    config_.http.body_bytes = kBodyBytes;
    config_.http.total_body_bytes = kBodyBytes + 1;  // so that a body not given back is noticed
    config_.http.header_bytes = 4096;
    config_.http.header_fields = 32;
    config_.http.target_bytes = 1024;
    config_.http.header_timeout = 200ms;
    config_.http.body_timeout = 200ms;
    config_.http.linger_timeout = 200ms;
  }

  void check(const Row& row) {
    if (row.before) row.before(*this);
    start();
    if (row.after) row.after(*this);
    TestClient c = client();
    const auto begin = Steady::now();
    c.send(row.bytes);
    const auto reply = c.read_response();
    const double ms = std::chrono::duration<double, std::milli>(Steady::now() - begin).count();
    ASSERT_TRUE(reply.has_value()) << "no answer";
    EXPECT_EQ(reply->status, row.status) << reply->body;
    EXPECT_LT(ms, 10'000);
    check_body(row, *reply);
    check_headers(row, *reply);
    if (row.then == kKept) {
      const auto next = c.exchange(get("/health"));
      EXPECT_TRUE(next.has_value() && next->status == 200) << "the connection is of no more use";
    } else {
      EXPECT_TRUE(c.wait_closed());
    }
    c.close();
    check_nothing_is_left();
    printf("  %3d %-28s %-6s %8.2f ms  %s\n", row.status, row.code.c_str(),
           row.then == kKept ? "kept" : "closed", ms, row.name.c_str());
  }

 private:
  static void check_body(const Row& row, const http::Response& reply) {
    EXPECT_EQ(reply.headers.find("content-type"), "application/json");
    const auto body = Json::parse(reply.body);
    ASSERT_TRUE(body.ok() && body->find("error") != nullptr) << reply.body;
    EXPECT_EQ(body->members().size(), 1U);
    const Json& error = *body->find("error");
    ASSERT_EQ(error.members().size(), 4U) << reply.body;
    for (const char* name : {"message", "type", "param", "code"})
      ASSERT_NE(error.find(name), nullptr) << name;
    EXPECT_EQ(error.find("code")->as_string(), row.code) << reply.body;
    const std::string& message = error.find("message")->as_string();
    EXPECT_FALSE(message.empty());
    for (const char* leak : {"/home/", "/work/", "/src/", "0x7f", ".cc:", "std::"})
      EXPECT_EQ(message.find(leak), std::string::npos) << message;
    if (row.status == 500) {
      const auto id = reply.headers.find("x-request-id").value_or("?");
      EXPECT_NE(message.find(id), std::string::npos) << message;
    }
  }

  static void check_headers(const Row& row, const http::Response& reply) {
    EXPECT_NE(reply.headers.find("x-request-id").value_or(""), "");
    EXPECT_EQ(reply.headers.find("connection"), row.then == kKept ? "keep-alive" : "close");
    const auto after = reply.headers.find("retry-after");
    EXPECT_EQ(after.has_value(), row.retry == kRetry);
    EXPECT_TRUE(!after.has_value() || std::atoi(std::string(*after).c_str()) >= 1);
    EXPECT_EQ(reply.headers.find("x-should-retry").value_or(""), row.retry == kRetry ? "true" : "");
    EXPECT_EQ(reply.headers.contains("allow"), row.status == 405);
    EXPECT_EQ(reply.headers.contains("www-authenticate"), row.status == 401);
  }

  void check_nothing_is_left() {
    frozen_ = false;
    failing_ = false;
    step_us_ = 0;
    held_.clear();
    EXPECT_TRUE(eventually([&] { return engine_is_empty(); })) << "pages or requests are left";
    // A body of the largest size passes total_body_bytes only if no other one is accounted for.
    EXPECT_TRUE(eventually([&] {
      std::string host = config_.allowed_hosts.empty() ? "test" : config_.allowed_hosts[0];
      const std::string body = R"({"prompt":")" + std::string(kBodyBytes - 100, 'a') + "\"}";
      const auto r = ask("POST /tokenize HTTP/1.1\r\nHost: " + host +
                         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
      return r.has_value() && r->status != 503;
    })) << "body bytes are left";
    EXPECT_TRUE(eventually([&] { return metric_connections() == 1; })) << "connections are left";
  }
  double metric_connections() {
    const std::string host = config_.allowed_hosts.empty() ? "test" : config_.allowed_hosts[0];
    const auto page = ask("GET /metrics HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    if (!page.has_value()) return -1;
    const size_t at = page->body.find("\nweir_http_connections ");
    return at == std::string::npos ? -1 : std::atof(page->body.c_str() + at + 23);
  }

  os::TempDir directory_;
  std::vector<TestClient> held_;
};

std::vector<Row> json_rows() {
  const auto bad = [](const char* name, const std::string& body) {
    return Row{name, post(kText, body), 400, "invalid_json"};
  };
  return {
      bad("no body", ""),
      bad("cut off", "{"),
      bad("not JSON", "hello"),
      bad("bad UTF-8", "{\"prompt\":\"\xff\"}"),
      bad("overlong UTF-8", "{\"prompt\":\"\xc0\xaf\"}"),
      bad("a surrogate in UTF-8", "{\"prompt\":\"\xed\xa0\x80\"}"),
      bad("a lone surrogate escape", R"({"prompt":"\ud800"})"),
      bad("a raw control character", "{\"prompt\":\"a\nb\"}"),
      bad("nesting of 65", nested(64)),
      bad("nesting of 30,000", nested(30'000)),
      bad("duplicate keys", R"({"prompt":"a","prompt":"b"})"),
      bad("duplicate keys by escape", R"({"prompt":"a","pr\u006fmpt":"b"})"),
      bad("a tail", R"({"prompt":"a"}x)"),
      bad("two documents", R"({"prompt":"a"}{"prompt":"a"})"),
      bad("NaN", R"({"prompt":"a","temperature":NaN})"),
      bad("a byte order mark", "\xef\xbb\xbf{\"prompt\":\"a\"}"),
      bad("UTF-16", std::string("{\0}\0", 4)),
      bad("a NUL at the end", std::string("{\"prompt\":\"a\"}\0", 15)),
      bad("a number beyond every double", R"({"prompt":"a","temperature":1e99999})"),
  };
}

std::vector<Row> value_rows() {
  const auto bad = [](const std::string& members) {
    return Row{members, chat(members), 400, "invalid_value"};
  };
  std::vector<Row> rows{
      bad(R"("max_tokens":-1)"),
      bad(R"("max_tokens":0)"),
      bad(R"("max_tokens":1.5)"),
      bad(R"("max_tokens":"9")"),
      bad(R"("max_tokens":99999999999999999999)"),
      bad(R"("temperature":99)"),
      bad(R"("temperature":-0.1)"),
      bad(R"("top_p":0)"),
      bad(R"("top_k":-7)"),
      bad(R"("min_p":2)"),
      bad(R"("n":0)"),
      bad(R"("n":1000000000)"),
      bad(R"("seed":"x")"),
      bad(R"("stream":"yes")"),
      bad(R"("stop":[1])"),
      bad(R"("logit_bias":{"x":1})"),
      bad(R"("logit_bias":{"99999999":1})"),
      bad(R"("stop_token_ids":[-1])"),
      bad(R"("stream_options":{"include_usage":true})"),
      bad(R"("top_logprobs":3)"),
      bad(R"("tools":{})"),
      bad(R"("tool_choice":"required")"),
  };
  rows.push_back({"no messages", post(kChat, "{}"), 400, "invalid_value"});
  rows.push_back({"messages: an object", post(kChat, R"({"messages":{}})"), 400, "invalid_value"});
  rows.push_back({"an unknown role", post(kChat, R"({"messages":[{"role":"x","content":"y"}]})"),
                  400, "invalid_value"});
  rows.push_back({"an array for a body", post(kChat, "[]"), 400, "invalid_value"});
  rows.push_back({"an empty prompt", post(kText, R"({"prompt":[]})"), 400, "invalid_value"});
  rows.push_back({"a token id beyond the vocabulary", post(kText, R"({"prompt":[99999]})"), 400,
                  "invalid_value"});
  rows.push_back({"a deadline that is no number",
                  post(kText, R"({"prompt":"a"})", "x-weir-deadline-ms: soon\r\n"), 400,
                  "invalid_value"});
  rows.push_back({"text from an encoder", post(kText, R"({"prompt":"a"})"), 400, "invalid_value",
                  kKept, kNever, &AbuseTable::be_an_encoder});
  rows.push_back({"embeddings without a pooling", post("/v1/embeddings", R"({"input":"a"})"), 400,
                  "invalid_value"});
  rows.push_back({"a template that refuses", chat(R"("n":1)"), 400, "invalid_value", kKept, kNever,
                  &AbuseTable::raising_template});
  rows.push_back({"an unknown member, strictly", chat(R"("tempersture":1)"), 400,
                  "unknown_parameter", kKept, kNever, &AbuseTable::be_strict});
  return rows;
}

std::vector<Row> bound_rows() {
  const std::string long_prompt = R"({"prompt":")" + std::string(600, 'z') + "\"}";
  return {
      {"a prompt over the window", post(kText, long_prompt), 400, "context_length_exceeded"},
      {"prompt and max_tokens over the window", post(kText, R"({"prompt":"a","max_tokens":5000})"),
       400, "context_length_exceeded"},
      {"a prompt over max_input_tokens", post(kText, R"({"prompt":"zzzzzzzzzzzzzzzz"})"), 400,
       "max_input_tokens_exceeded", kKept, kNever, &AbuseTable::bound_tokens},
      {"max_tokens over max_output_tokens", post(kText, R"({"prompt":"a","max_tokens":21})"), 400,
       "max_output_tokens_exceeded", kKept, kNever, &AbuseTable::bound_tokens},
      {"a template without an end", chat(R"("n":1)"), 400, "schema_too_complex", kKept, kNever,
       &AbuseTable::endless_template},
      {"an unknown response format", chat(R"("response_format":{"type":"xml"})"), 400,
       "unsupported_schema"},
  };
}

std::vector<Row> access_rows() {
  const std::string body = R"({"prompt":"a"})";
  const auto keyed = [&](const char* name, const std::string& fields) {
    return Row{name,   post(kText, body, fields), 401, "invalid_api_key", kKept,
               kNever, &AbuseTable::require_key};
  };
  return {
      keyed("no key", ""),
      keyed("a wrong key", "Authorization: Bearer x\r\n"),
      keyed("the key and more", "Authorization: Bearer kk\r\n"),
      keyed("an empty key", "Authorization: Bearer \r\n"),
      keyed("another scheme", "Authorization: Basic k\r\n"),
      {"no key, a list of models", get("/v1/models"), 401, "invalid_api_key", kKept, kNever,
       &AbuseTable::require_key},
      {"another Host", get("/health"), 403, "permission_denied", kClosed, kNever,
       &AbuseTable::allow_one_host},
      {"an unknown model", post(kText, R"({"prompt":"a","model":"gpt-9"})"), 404,
       "model_not_found"},
      {"an unknown model by path", get("/v1/models/gpt-9"), 404, "model_not_found"},
      {"an unknown route", post("/v1/nothing", body), 404, "not_found"},
      {"a path that climbs", get("/v1/../../etc/passwd"), 404, "not_found"},
      {"a wrong method", get(kText), 405, "method_not_allowed"},
      {"an invented method", "BREW /health HTTP/1.1\r\nHost: test\r\n\r\n", 405,
       "method_not_allowed"},
      {"a form",
       head("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n", "a=b"), 415,
       "unsupported_media_type"},
      {"a media type of any bytes",
       head("Content-Type: \xff\xfe" + std::string(500, '\xfe') + "\r\nContent-Length: 2\r\n",
            "{}"),
       415, "unsupported_media_type"},
      {"a compressed body", head("Content-Encoding: gzip\r\nContent-Length: 2\r\n", "{}"), 415,
       "unsupported_media_type"},
      {"plain text", head("Content-Type: text/plain\r\nContent-Length: 2\r\n", "{}"), 415,
       "unsupported_media_type"},
  };
}

std::vector<Row> tenant_rows() {
  const std::string body = R"({"prompt":"a","max_tokens":20})";
  const auto row = [&](const char* name, const char* tenant, int status, const char* code,
                       std::function<void(AbuseTable&)> after) {
    return Row{name,
               post(kText, body, bearer(tenant)),
               status,
               code,
               kKept,
               status == 429 ? kRetry : kNever,
               &AbuseTable::have_tenants,
               std::move(after)};
  };
  std::vector<Row> rows{
      row("a second request in a minute of one", "requests", 429, "rate_limit_exceeded",
          &AbuseTable::spend_the_request),
      row("more tokens than the minute has left", "tokens", 429, "rate_limit_exceeded",
          &AbuseTable::spend_the_tokens),
      row("a second request at once of one", "concurrent", 429, "rate_limit_exceeded",
          &AbuseTable::run_one),
      row("a key for another model", "models", 403, "permission_denied", {}),
      row("a key without the right", "rights", 403, "permission_denied", {}),
      row("a key that is nobody's", "nobody", 401, "invalid_api_key", {}),
  };
  for (const char* query : {"?api_key=k-tokens", "?KEY=k-tokens", "?a=b&%6bey=k-tokens"}) {
    rows.push_back({std::string("a key in the URL: ") + query,
                    post(kText + query, body, bearer("tokens")), 400, "bad_request", kKept, kNever,
                    &AbuseTable::have_tenants});
  }
  return rows;
}

std::vector<Row> size_rows() {
  std::string fields;
  for (int i = 0; i < 33; ++i) fields += "A: b\r\n";
  return {
      {"a slow head", "GET /health HTTP/1.1\r\nHost: test\r\nX: ", 408, "request_timeout", kClosed},
      {"a slow body", head("Content-Length: 100\r\n", "{"), 408, "request_timeout", kClosed},
      {"a slow chunk", head("Transfer-Encoding: chunked\r\n", "5\r\n{"), 408, "request_timeout",
       kClosed},
      {"a long body by its length", head("Content-Length: 99999999999\r\n"), 413, "body_too_large",
       kClosed},
      {"a length of 40 digits", head("Content-Length: " + std::string(40, '9') + "\r\n"), 413,
       "body_too_large", kClosed},
      {"a long body by its chunks", head("Transfer-Encoding: chunked\r\n", "fffffff\r\n"), 413,
       "body_too_large", kClosed},
      {"a long body, sent", post(kText, std::string(4 * kBodyBytes, ' ')), 413, "body_too_large",
       kClosed},
      {"a long target", get("/" + std::string(2000, 'a')), 414, "target_too_long", kClosed},
      {"an endless target", "GET /" + std::string(100'000, 'a'), 414, "target_too_long", kClosed},
      {"a long header", get("/", "A: " + std::string(8000, 'a') + "\r\n"), 431, "headers_too_large",
       kClosed},
      {"many headers", get("/", fields), 431, "headers_too_large", kClosed},
      {"long trailers",
       head("Transfer-Encoding: chunked\r\n", "0\r\nA: " + std::string(8000, 'a') + "\r\n\r\n"),
       431, "headers_too_large", kClosed},
  };
}

std::vector<Row> framing_rows() {
  const auto bad = [](const std::string& name, const std::string& bytes) {
    return Row{name, bytes, 400, "bad_request", kClosed};
  };
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  std::vector<Row> rows{
      bad("a start line of one word", "GET\r\n\r\n"),
      bad("HTTP/2.0", "GET / HTTP/2.0\r\nHost: test\r\n\r\n"),
      bad("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      bad("HTTP/0.9", "GET /\r\n"),
      bad("a TLS hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)),
      bad("bytes above 0x80", std::string(64, '\xfe') + "\r\n\r\n"),
      bad("NUL in the target", std::string("GET /\0 HTTP/1.1\r\n\r\n", 19)),
      bad("no Host", "GET /health HTTP/1.1\r\n\r\n"),
      bad("two Hosts", get("/health", "Host: other\r\n")),
      bad("a Host that is none", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
      bad("a folded header", get("/", "A: b\r\n c\r\n")),
      bad("bare LF", "GET /health HTTP/1.1\nHost: test\n\n"),
      bad("a chunk size that is none", head(chunked, "zz\r\n")),
      bad("a chunk longer than it says", head(chunked, "1\r\nabc\r\n")),
      bad("Content-Length beside Transfer-Encoding", head("Content-Length: 5\r\n" + chunked)),
  };
  rows.push_back({"an expectation", head("Expect: 200-maybe\r\nContent-Length: 2\r\n", "{}"), 417,
                  "bad_request", kClosed});
  return rows;
}

std::vector<Row> overload_rows() {
  const std::string body = R"({"prompt":"a","max_tokens":2})";
  return {
      {"a full queue", post(kText, body), 503, "server_overloaded", kKept, kRetry,
       &AbuseTable::one_request_waits, &AbuseTable::fill_queue},
      {"a full queue, streaming", post(kText, R"({"prompt":"a","stream":true})"), 503,
       "server_overloaded", kKept, kRetry, &AbuseTable::one_request_waits, &AbuseTable::fill_queue},
      {"draining",
       post(kText, body),
       503,
       "server_overloaded",
       kKept,
       kRetry,
       {},
       &AbuseTable::drain},
      {"not ready while draining",
       get("/ready"),
       503,
       "server_overloaded",
       kKept,
       kRetry,
       {},
       &AbuseTable::drain},
      {"longer in the queue than allowed", post(kText, body), 503, "server_overloaded", kKept,
       kRetry, &AbuseTable::run_one_and_wait_briefly, &AbuseTable::run_one_for_long},
      {"a deadline that has passed when its turn comes",
       post(kText, body, "x-weir-deadline-ms: 20\r\n"), 503, "server_overloaded", kKept, kRetry,
       &AbuseTable::one_request_waits, &AbuseTable::run_one_for_long},
      {"one connection too many", get("/health"), 503, "server_overloaded", kClosed, kRetry,
       &AbuseTable::one_connection, &AbuseTable::hold_connections},
      {"a step that fails",
       post(kText, body),
       500,
       "internal_error",
       kKept,
       kNever,
       {},
       &AbuseTable::fail},
      {"a step that fails, embedding", post("/v1/embeddings", R"({"input":"hello"})"), 500,
       "internal_error", kKept, kNever, &AbuseTable::be_an_encoder, &AbuseTable::fail},
  };
}

std::vector<Row> table() {
  std::vector<Row> all;
  for (auto rows : {json_rows(), value_rows(), bound_rows(), access_rows(), tenant_rows(),
                    size_rows(), framing_rows(), overload_rows()}) {
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

TEST_F(AbuseTable, EveryRowHasItsAnswer) {
  const std::vector<Row> rows = table();
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    check(row);
    TearDown();
    config_ = {};
    limits_ = {};
    runner_.traits = {};
    runner_.calls = 0;
    SetUp();
  }
  printf("%zu rows\n", rows.size());
  RecordProperty("rows", static_cast<int>(rows.size()));
}

}  // namespace
}  // namespace weir::server
