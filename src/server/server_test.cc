// The server over loopback, with a fake model: what clients see, and what is left when they are
// gone.
#include "server/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <sstream>
#include <thread>

#include "server/server_testing.h"
#include "telemetry/span.h"

namespace weir::server {
namespace {

TEST_F(ServerTest, AnswersACompletionWithUsage) {
  start();
  const Json body = parsed(complete(R"("max_tokens":5,"ignore_eos":true)"));
  EXPECT_EQ(body.find("object")->as_string(), "text_completion");
  EXPECT_EQ(body.find("usage")->find("completion_tokens")->as_int(), 5);
  EXPECT_EQ(body.find("choices")->items()[0].find("finish_reason")->as_string(), "length");
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
}

TEST_F(ServerTest, TheSameSeedGivesTheSameText) {
  start();
  const std::string members = R"("max_tokens":20,"temperature":1)";
  const Json first = parsed(complete(members));
  const Json again = parsed(complete(members));
  EXPECT_EQ(first.find("choices")->dump(), again.find("choices")->dump());
}

TEST_F(ServerTest, StreamsWhatItWouldHaveAnswered) {
  start();
  const std::string members = R"("max_tokens":12,"ignore_eos":true)";
  complete(members);  // so that both below find the prompt in the prefix cache
  const Json whole = parsed(complete(members));
  const auto streamed =
      complete(members + R"(,"stream":true,"stream_options":{"include_usage":true})");
  ASSERT_TRUE(streamed.has_value());
  EXPECT_EQ(streamed->headers.find("content-type").value_or(""),
            "text/event-stream; charset=utf-8");
  std::string text;
  std::vector<std::string> events;
  std::istringstream lines(streamed->body);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("data: ", 0) == 0) events.push_back(line.substr(6));
  }
  ASSERT_GE(events.size(), 3U);
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_EQ(Json::parse(events[events.size() - 2])->find("usage")->dump(),
            whole.find("usage")->dump());
  for (size_t i = 0; i + 2 < events.size(); ++i) {
    text += Json::parse(events[i])->find("choices")->items()[0].find("text")->as_string();
  }
  EXPECT_EQ(text, whole.find("choices")->items()[0].find("text")->as_string());
}

// Of "queue;dur=1.2, prefill;dur=3.4": the names; each duration is a number.
std::vector<std::string> timing_names(const http::Response& response) {
  std::vector<std::string> names;
  std::istringstream items(std::string(response.headers.find("server-timing").value_or("")));
  for (std::string item; std::getline(items, item, ',');) {
    const size_t name = item.find_first_not_of(' ');
    const size_t value = item.find(";dur=");
    EXPECT_NE(value, std::string::npos) << item;
    if (value == std::string::npos) continue;
    EXPECT_GE(std::stod(item.substr(value + 5)), 0);
    names.push_back(item.substr(name, value - name));
  }
  return names;
}

TEST_F(ServerTest, SaysWhereTheTimeWent) {
  start();
  const std::vector<std::string> all = {"queue", "prefill", "decode", "detokenize", "write"};
  const auto whole = complete(R"("max_tokens":5,"ignore_eos":true)");
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(timing_names(*whole), all);
  EXPECT_TRUE(telemetry::parse_traceparent(*whole->headers.find("traceparent")).has_value());
  const auto streamed = complete(
      R"("max_tokens":5,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true})");
  ASSERT_TRUE(streamed.has_value());
  EXPECT_EQ(timing_names(*streamed), (std::vector<std::string>{"queue", "prefill"}));
  const size_t at = streamed->body.find("\"timings\":{");
  ASSERT_NE(at, std::string::npos);
  for (const std::string& name : all)
    EXPECT_NE(streamed->body.find("\"" + name + "_ms\":", at), std::string::npos) << name;
}

TEST_F(ServerTest, AStreamRefusedInTheQueueIsAnErrorWithItsStatus) {
  start();
  frozen_ = true;
  TestClient first = client();
  first.send(post("/v1/completions", R"({"prompt":"hello","max_tokens":2})"));
  ASSERT_TRUE(eventually([&] { return runner_.calls.load() > 0; }));
  TestClient late = client();
  late.send(post("/v1/completions", R"({"prompt":"hello","max_tokens":2,"stream":true})",
                 "x-weir-deadline-ms: 50\r\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  frozen_ = false;
  const auto answer = late.read_response();
  EXPECT_EQ(error_code(answer), "server_overloaded");
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(metric("weir_rejections_total", "bound=\"deadline\""), 1);
}

TEST_F(ServerTest, ALongWaitOpensTheStreamWithKeepAlives) {
  config_.keep_alive_interval = std::chrono::milliseconds(20);
  start();
  frozen_ = true;
  TestClient c = client();
  c.send(post("/v1/completions", R"({"prompt":"hello","max_tokens":2,"stream":true})"));
  const auto head = c.read_head();
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(c.read_chunk(), ": keep-alive\n\n");
  frozen_ = false;
  std::string all;
  while (true) {
    const std::string piece = c.read_chunk().value_or("");
    if (piece.empty()) break;
    all += piece;
  }
  EXPECT_NE(all.find("data: [DONE]"), std::string::npos);
}

TEST_F(ServerTest, TheTraceShowsStepsAndRequests) {
  start();
  ASSERT_TRUE(complete(R"("max_tokens":5,"ignore_eos":true)").has_value());
  ASSERT_TRUE(eventually([&] { return engine_is_empty(); }));
  const Json trace = parsed(ask(get("/admin/trace?seconds=60")));
  int steps = 0;
  int requests = 0;
  for (const Json& e : trace.find("traceEvents")->items()) {
    const std::string& name = e.find("name")->as_string();
    if (e.find("ph")->as_string() != "X") continue;
    if (name == "step") ++steps;
    if (name.starts_with("request ")) {
      ++requests;
      EXPECT_EQ(e.find("args")->find("completion_tokens")->as_int(), 5);
      EXPECT_EQ(e.find("args")->find("outcome")->as_string(), "length");
    }
  }
  EXPECT_EQ(steps, 5);
  EXPECT_EQ(requests, 1);
  for (const char* bad : {"0", "601", "x", "5x", ""})
    EXPECT_EQ(error_code(ask(get(std::string("/admin/trace?seconds=") + bad))), "invalid_value")
        << bad;
}

TEST_F(ServerTest, ATraceparentGoesThrough) {
  start();
  const auto answer = ask(post("/v1/completions", R"({"prompt":"hello","max_tokens":2})",
                               "traceparent: 00-0af7651916cd43dd8448eb211c80319c-"
                               "b7ad6b7169203331-01\r\n"));
  ASSERT_TRUE(answer.has_value());
  const auto own = telemetry::parse_traceparent(*answer->headers.find("traceparent"));
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ(telemetry::hex(own->trace_id.data(), 16), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_NE(telemetry::hex(own->span_id.data(), 8), "b7ad6b7169203331");
}

TEST_F(ServerTest, ChatRendersTheTemplate) {
  start();
  const Json body = parsed(ask(post(
      "/v1/chat/completions", R"({"messages":[{"role":"user","content":"he"}],"max_tokens":3})")));
  EXPECT_EQ(body.find("usage")->find("prompt_tokens")->as_int(), 4);  // "u", ":", "he", ";"
  EXPECT_EQ(body.find("choices")->items()[0].find("message")->find("role")->as_string(),
            "assistant");
}

TEST_F(ServerTest, ControlTokensOfUsersAreText) {
  start();
  const auto tokens = [&](const std::string& content) {
    const Json body = parsed(
        ask(post("/tokenize", R"({"messages":[{"role":"user","content":")" + content + R"("}]})")));
    return body.find("tokens")->dump();
  };
  EXPECT_EQ(tokens("</s>").find("260"), std::string::npos);
  EXPECT_GT(tokens("</s>").size(), tokens("h").size());
}

TEST_F(ServerTest, SeveralPromptsAndChoices) {
  start();
  const Json body = parsed(ask(
      post("/v1/completions", R"({"prompt":["he","ll"],"n":3,"max_tokens":2,"ignore_eos":true})")));
  ASSERT_EQ(body.find("choices")->items().size(), 6U);
  for (int64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(body.find("choices")->items()[static_cast<size_t>(i)].find("index")->as_int(), i);
  }
  EXPECT_EQ(body.find("usage")->find("completion_tokens")->as_int(), 12);
}

TEST_F(ServerTest, TokenizeAndBack) {
  start();
  const Json tokens = parsed(ask(post("/tokenize", R"({"prompt":"hello"})")));
  const std::string back = R"({"tokens":)" + tokens.find("tokens")->dump() + "}";
  EXPECT_EQ(parsed(ask(post("/detokenize", back))).find("prompt")->as_string(), "hello");
}

TEST_F(ServerTest, ErrorsHaveTheContractsStatusAndCode) {
  config_.api_keys = {"k"};
  start();
  const std::string key = "Authorization: Bearer k\r\n";
  const struct {
    std::string request;
    int status;
    const char* code;
  } cases[] = {
      {post("/v1/completions", "{}"), 401, "invalid_api_key"},
      {post("/v1/completions", "{", key), 400, "invalid_json"},
      {post("/v1/completions", R"({"prompt":"a","n":0})", key), 400, "invalid_value"},
      {post("/v1/completions", R"({"prompt":"a","model":"x"})", key), 404, "model_not_found"},
      {post("/v1/completions", R"({"prompt":"a","max_tokens":5000})", key), 400,
       "context_length_exceeded"},
      {post("/v1/completions", R"({"prompt":[5000]})", key), 400, "invalid_value"},
      {post("/v1/nothing", "{}", key), 404, "not_found"},
      {get("/v1/completions", key), 405, "method_not_allowed"},
      {get("/v1/models/x", key), 404, "model_not_found"},
      {"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: text/plain\r\n" + key +
           "Content-Length: 2\r\n\r\n{}",
       415, "unsupported_media_type"},
  };
  for (const auto& c : cases) {
    const auto response = ask(c.request);
    ASSERT_TRUE(response.has_value()) << c.request;
    EXPECT_EQ(response->status, c.status) << c.request << response->body;
    EXPECT_EQ(error_code(response), c.code) << c.request;
    EXPECT_NE(response->headers.find("x-request-id").value_or(""), "") << c.request;
  }
}

TEST_F(ServerTest, AFailingStepIsA500AndTheNextRequestWorks) {
  start();
  failing_ = true;
  const auto broken = complete(R"("max_tokens":3)");
  ASSERT_TRUE(broken.has_value());
  EXPECT_EQ(broken->status, 500);
  EXPECT_EQ(error_code(broken), "internal_error");
  EXPECT_EQ(broken->body.find("on purpose"), std::string::npos);
  failing_ = false;
  EXPECT_EQ(complete(R"("max_tokens":3)")->status, 200);
  EXPECT_GT(metric("weir_failed_steps_total"), 0);
}

TEST_F(ServerTest, AFullQueueIsRefusedAtOnceWithRetryAfter) {
  limits_.max_running = 1;
  limits_.max_queued_requests = 2;
  start();
  frozen_ = true;
  std::vector<TestClient> waiting;
  for (int i = 0; i < 3; ++i) {  // one runs, two wait
    waiting.push_back(client());
    waiting.back().send(post("/v1/completions", R"({"prompt":"a","max_tokens":2})"));
    ASSERT_TRUE(eventually([&] {
      const auto s = engine_->stats();
      return runner_.calls > 0 && s.queued_requests == i;
    }));
  }
  TestClient late = client();
  const auto start = std::chrono::steady_clock::now();
  const auto refused = late.exchange(post("/v1/completions", R"({"prompt":"a","max_tokens":2})"));
  const double ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(error_code(refused), "server_overloaded");
  EXPECT_GE(std::stoi(std::string(refused->headers.find("retry-after").value_or(""))), 1);
  EXPECT_LT(ms, 1000);  // decided without waiting for a step; the figure itself is a benchmark's
  frozen_ = false;
  for (TestClient& c : waiting) EXPECT_EQ(c.read_response()->status, 200);
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
}

TEST_F(ServerTest, AVanishedClientFreesItsPages) {
  step_us_ = 2000;
  start();
  std::vector<TestClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(client());
    clients.back().send(
        post("/v1/completions",
             R"({"prompt":"hello","max_tokens":400,"ignore_eos":true,"stream":true})"));
  }
  for (TestClient& c : clients) ASSERT_TRUE(c.read_head().has_value());
  ASSERT_FALSE(engine_is_empty());
  for (size_t i = 0; i < clients.size(); ++i) i % 2 == 0 ? clients[i].reset() : clients[i].close();
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
  EXPECT_LT(engine_->stats().generated_tokens, 8U * 400U);
}

TEST_F(ServerTest, AClientThatGoesBeforeTheAnswerFreesItsPagesToo) {
  step_us_ = 2000;
  start();
  TestClient c = client();
  c.send(post("/v1/completions", R"({"prompt":"hello","max_tokens":400,"ignore_eos":true})"));
  ASSERT_TRUE(eventually([&] { return engine_->stats().running_sequences == 1; }));
  c.reset();
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
  EXPECT_LT(engine_->stats().generated_tokens, 400U);
}

TEST_F(ServerTest, ASlowReaderHoldsUpNobodyElse) {
  start();
  TestClient slow(server_->port(), 2048);
  slow.send(post("/v1/completions",
                 R"({"prompt":"hello","max_tokens":450,"ignore_eos":true,"stream":true,"n":4})"));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(complete(R"("max_tokens":20)")->status, 200);
  slow.close();
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
}

TEST_F(ServerTest, DrainFinishesWhatRunsAndRefusesTheRest) {
  step_us_ = 1000;
  start();
  TestClient streaming = client();
  streaming.send(post("/v1/completions",
                      R"({"prompt":"hello","max_tokens":100,"ignore_eos":true,"stream":true})"));
  ASSERT_TRUE(streaming.read_head().has_value());
  TestClient idle = client();
  EXPECT_EQ(idle.exchange(get("/ready"))->status, 200);
  server_->drain();
  const auto refused = idle.exchange(post("/v1/completions", R"({"prompt":"a"})"));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(metric("weir_rejections_total", "bound=\"draining\""), 1);
  EXPECT_EQ(idle.exchange(get("/ready"))->status, 503);
  bool drained = false;
  std::thread waiter([&] { drained = server_->wait_drained(std::chrono::seconds(10)); });
  EXPECT_NE(streaming.receive_all().find("data: [DONE]"), std::string::npos);
  waiter.join();
  EXPECT_TRUE(drained);
  EXPECT_TRUE(idle.wait_closed());
}

TEST_F(ServerTest, ManyStreamsAtOnce) {
  start();
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 24; ++i) {
    threads.emplace_back([&, i] {
      TestClient c = client();
      const auto r = c.exchange(post(
          "/v1/completions", R"({"prompt":"hello","max_tokens":30,"ignore_eos":true,"stream":)" +
                                 std::string(i % 2 == 0 ? "true" : "false") + "}"));
      if (r.has_value() && r->status == 200) ++good;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(good, 24);
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
  EXPECT_EQ(metric("vllm:generation_tokens_total"), 24 * 30);
}

TEST_F(ServerTest, MetricsHaveTheNamesThatRoutersRead) {
  start();
  EXPECT_EQ(complete(R"("max_tokens":3)")->status, 200);
  const std::string page = ask(get("/metrics"))->body;
  for (const char* name :
       {"vllm:num_requests_waiting", "vllm:num_requests_running", "vllm:kv_cache_usage_perc",
        "vllm:cache_config_info", "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total",
        "vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds",
        "vllm:e2e_request_latency_seconds", "vllm:request_queue_time_seconds",
        "vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_success_total",
        "weir_queue_depth_tokens", "weir_kv_headroom_bytes", "weir_step_seconds",
        "weir_step_sequences", "weir_http_requests_total"}) {
    EXPECT_NE(page.find(std::string("\n") + name), std::string::npos) << name;
  }
  EXPECT_NE(page.find("cache_dtype=\"q8_0\""), std::string::npos);
  EXPECT_TRUE(eventually([&] { return metric("vllm:kv_cache_usage_perc") == 0; }));
}

TEST_F(ServerTest, WhileTheModelLoadsItIsAliveAndNotReady) {
  config_.admin.port = 0;
  config_.admin.token = "t";
  listen();
  TestClient c = client();
  EXPECT_EQ(c.exchange(get("/health"))->status, 200);
  for (const std::string& request :
       {get("/ready"), get("/metrics"), get("/v1/models"), get("/nothing"),
        post("/v1/completions", R"({"prompt":"a"})"), post("/health", "{}")}) {
    const auto r = c.exchange(request);
    ASSERT_TRUE(r.has_value()) << request;
    EXPECT_EQ(r->status, 503) << request;
    EXPECT_EQ(error_code(r), "server_overloaded");
    EXPECT_NE(r->body.find("loaded"), std::string::npos) << r->body;
    EXPECT_GE(std::stoi(std::string(r->headers.find("retry-after").value_or("0"))), 1);
  }
  TestClient admin(server_->admin_port());
  EXPECT_EQ(admin.exchange(get("/admin/requests", "Authorization: Bearer t\r\n"))->status, 503);
  serve();
  EXPECT_EQ(c.exchange(get("/ready"))->status, 200);
  EXPECT_EQ(c.exchange(post("/v1/completions", R"({"prompt":"a","max_tokens":2})"))->status, 200);
  EXPECT_EQ(admin.exchange(get("/admin/requests", "Authorization: Bearer t\r\n"))->status, 200);
}

TEST_F(ServerTest, APortThatIsTakenNeedsNoModelToBeSeen) {
  listen();
  config_.port = server_->port();
  const auto second = Server::listen(config_, clock_, log_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kIo);
  EXPECT_NE(second.error().message.find(std::to_string(config_.port)), std::string::npos);
}

// The order of `weir serve`: the server goes after the engine, if it was stopped before.
TEST_F(ServerTest, AStoppedServerOutlivesItsModel) {
  start();
  EXPECT_EQ(complete(R"("max_tokens":2)")->status, 200);
  engine_->stop();
  server_->stop();
  engine_.reset();
  server_->stop();
  server_.reset();
}

TEST_F(ServerTest, BeyondLoopbackNeedsKeys) {
  config_.host = "0.0.0.0";
  engine_ = std::make_unique<engine::Engine>(runner_, *tokenizer_, clock_, limits_);
  const ServedModel served{*engine_, *tokenizer_, *chat_, shape().page_tokens, 1024, "f16"};
  const auto server = Server::start(config_, served, clock_, log_);
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.error().code, ErrorCode::kUsage);
}

TEST_F(ServerTest, EmbedsTextsOfAnEncoderAndRefusesToChatWithIt) {
  runner_.traits = {4, model::Pooling::kMean, true};
  start();
  const Json body = parsed(ask(post("/v1/embeddings", R"({"input":["hello","hi"]})")));
  EXPECT_EQ(body.find("object")->as_string(), "list");
  ASSERT_EQ(body.find("data")->size(), 2U);
  EXPECT_EQ(body.find("data")->items()[1].find("embedding")->size(), 4U);
  EXPECT_EQ(body.find("usage")->find("prompt_tokens")->as_int(),
            static_cast<int64_t>(tokenizer_->encode("hello", {.add_bos_eos = true}).size() +
                                 tokenizer_->encode("hi", {.add_bos_eos = true}).size()));
  EXPECT_EQ(metric("vllm:request_success_total"), 1);
  EXPECT_EQ(error_code(complete(R"("max_tokens":5)")), "invalid_value");
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
}

TEST_F(ServerTest, AnEmbeddingsAnswerHasABound) {
  runner_.traits = {4, model::Pooling::kMean, true};
  config_.api.max_embeddings_bytes = 1000;
  start();
  const auto texts = [&](int n, const std::string& more) {
    std::string list = R"("a")";
    for (int i = 1; i < n; ++i) list += R"(,"a")";
    return ask(post("/v1/embeddings", R"({"input":[)" + list + "]" + more + "}"));
  };
  EXPECT_EQ(texts(4, "")->status, 200);
  const auto refused = texts(8, "");
  ASSERT_EQ(refused->status, 400);
  EXPECT_EQ(error_code(refused), "invalid_value");
  EXPECT_EQ(parsed(refused).find("error")->find("param")->as_string(), "input");
  for (const char* part : {"8 texts", "1000 (limits.max_embeddings_bytes)", "base64"})
    EXPECT_NE(refused->body.find(part), std::string::npos) << refused->body;
  EXPECT_EQ(texts(8, R"(,"encoding_format":"base64")")->status, 200);
  EXPECT_EQ(texts(80, R"(,"encoding_format":"base64")")->status, 400);
}

TEST_F(ServerTest, ADecoderWithoutPoolingDoesNotEmbed) {
  start();
  const auto reply = ask(post("/v1/embeddings", R"({"input":"hello"})"));
  EXPECT_EQ(reply->status, 400);
  EXPECT_NE(reply->body.find("--pooling"), std::string::npos) << reply->body;
}

TEST_F(ServerTest, AnEmbeddingsClientThatGoesAwayLeavesNothing) {
  runner_.traits = {4, model::Pooling::kMean, true};
  limits_.max_running = 1;
  step_us_ = 5'000;
  start();
  std::string texts = R"("hello")";
  for (int i = 1; i < 200; ++i) texts += R"(,"hello")";  // a step each: a second, to the end
  {
    TestClient gone = client();
    gone.send(post("/v1/embeddings", R"({"input":[)" + texts + "]}"));
    EXPECT_TRUE(eventually([&] { return !engine_->idle(); }));
  }
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
  EXPECT_LT(runner_.calls.load(), 100U);
  EXPECT_EQ(metric("weir_requests_cancelled_total"), 1);
}

TEST_F(ServerTest, AFailedEmbeddingIsAnInternalError) {
  runner_.traits = {4, model::Pooling::kMean, true};
  failing_ = true;
  start();
  EXPECT_EQ(error_code(ask(post("/v1/embeddings", R"({"input":["hello","hi"]})"))),
            "internal_error");
  failing_ = false;
  EXPECT_EQ(ask(post("/v1/embeddings", R"({"input":"hello"})"))->status, 200);
}

}  // namespace
}  // namespace weir::server
