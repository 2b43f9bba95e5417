// Requests that go on with a text, and answers that were begun by another upstream.
#include "gateway/translate/continuation.h"

#include <gtest/gtest.h>

#include "gateway/translate/translate.h"

namespace weir::gateway {
namespace {

constexpr std::string_view kChat = "/v1/chat/completions";
constexpr std::string_view kAsk = R"("messages":[{"role":"user","content":"hi"}])";

// What the upstream gets; "error: ..." when it cannot go on.
std::string go_on(std::string_view body, ContinueStyle style = ContinueStyle::kFinalMessage,
                  std::string_view path = kChat, std::string_view text = "Hel",
                  int64_t tokens = 2) {
  const Protocol upstream = path == "/v1/messages" ? Protocol::kAnthropic : Protocol::kOpenAi;
  const auto r = continue_request(body, upstream, path, style, text, tokens, {});
  return r.ok() ? *r : "error: " + r.error().message;
}

TEST(Continuation, EachEngineIsToldInItsWay) {
  const std::string chat = "{" + std::string(kAsk) + R"(,"max_tokens":9,"min_tokens":1})";
  const std::string begun =
      R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"Hel"}],)"
      R"("max_tokens":7,"min_tokens":0)";
  EXPECT_EQ(go_on(chat),
            begun + R"(,"add_generation_prompt":false,"continue_final_message":true})");
  EXPECT_EQ(go_on(chat, ContinueStyle::kPrefill), begun + "}");
  EXPECT_EQ(go_on(chat, ContinueStyle::kPrefill, "/v1/messages"), begun + "}");
  EXPECT_NE(go_on(chat, ContinueStyle::kNone).find("no way to do so"), std::string::npos);
  EXPECT_EQ(
      go_on(R"({"prompt":"a","max_tokens":2,"x":1.50})", ContinueStyle::kNone, "/v1/completions"),
      R"({"prompt":"aHel","max_tokens":1,"x":1.5})");
  // Numbers that no count is taken off.
  EXPECT_EQ(
      go_on(R"({"prompt":"a","max_tokens":-9223372036854775808,"min_tokens":-9223372036854775808})",
            ContinueStyle::kNone, "/v1/completions"),
      R"({"prompt":"aHel","max_tokens":1,"min_tokens":0})");
  // Nothing was said yet: the request as it was.
  EXPECT_EQ(go_on(chat, ContinueStyle::kNone, kChat, "", 0), chat);
  EXPECT_EQ(default_continue_style("vllm"), ContinueStyle::kFinalMessage);
  EXPECT_EQ(default_continue_style("llamacpp"), ContinueStyle::kPrefill);
  for (const char* engine : {"openai", "anthropic", "trtllm", "dynamo"})
    EXPECT_EQ(default_continue_style(engine), ContinueStyle::kNone) << engine;
}

TEST(Continuation, WhatTheClientHadBegunGrows) {
  const std::string last = R"({"messages":[{"role":"assistant","content":"A"}]})";
  EXPECT_EQ(go_on(last, ContinueStyle::kPrefill),
            R"({"messages":[{"role":"assistant","content":"AHel"}]})");
  EXPECT_EQ(go_on(R"({"messages":[{"role":"assistant","content":"A"}],)"
                  R"("continue_final_message":true,"add_generation_prompt":false})"),
            R"({"messages":[{"role":"assistant","content":"AHel"}],)"
            R"("continue_final_message":true,"add_generation_prompt":false})");
  // A finished message of the assistant stays one.
  EXPECT_EQ(go_on(last), R"({"messages":[{"role":"assistant","content":"A"},)"
                         R"({"role":"assistant","content":"Hel"}],)"
                         R"("add_generation_prompt":false,"continue_final_message":true})");
  EXPECT_EQ(go_on(R"({"messages":[{"role":"assistant","content":[{"type":"text","text":"A"}]}]})",
                  ContinueStyle::kPrefill),
            R"({"messages":[{"role":"assistant","content":[{"type":"text","text":"AHel"}]}]})");
  EXPECT_NE(go_on(R"({"messages":[{"role":"assistant","content":[{"type":"image"}]}]})",
                  ContinueStyle::kPrefill)
                .find("ends in no text"),
            std::string::npos);
}

TEST(Continuation, WhatWouldBeginAnewDoesNotGoOn) {
  for (const char* member :
       {R"("response_format":{"type":"json_object"})", R"("n":2)", R"("logprobs":true)",
        R"("tool_choice":"required")", R"("tool_choice":{"type":"function"})",
        R"("guided_json":{})", R"("grammar":"root")", R"("thinking":{"type":"adaptive"})",
        R"("output_config":{"format":{}})", R"("echo":true)"}) {
    const std::string body = "{" + std::string(kAsk) + "," + member + "}";
    EXPECT_TRUE(go_on(body).starts_with("error: the stream cannot go on")) << member;
  }
  for (const char* member :
       {R"("response_format":{"type":"text"})", R"("n":1)", R"("logprobs":false)",
        R"("tool_choice":"auto")", R"("grammar":null)", R"("thinking":{"type":"disabled"})"}) {
    const std::string body = "{" + std::string(kAsk) + "," + member + "}";
    EXPECT_FALSE(go_on(body).starts_with("error")) << go_on(body);
  }
  EXPECT_NE(go_on("{" + std::string(kAsk) + "}", ContinueStyle::kPrefill, "/v1/messages", "Hel ")
                .find("white space"),
            std::string::npos);
  EXPECT_NE(go_on(R"({"prompt":["a","b"]})", ContinueStyle::kNone, "/v1/completions")
                .find("no single text"),
            std::string::npos);
  EXPECT_NE(go_on(R"({"input":"a"})", ContinueStyle::kFinalMessage, "/v1/responses")
                .find("neither a chat"),
            std::string::npos);
}

TEST(Continuation, CutAtEveryByteIsAnError) {
  const std::string body = "{" + std::string(kAsk) + R"(,"max_tokens":9})";
  for (size_t cut = 0; cut < body.size(); ++cut)
    EXPECT_TRUE(go_on(body.substr(0, cut)).starts_with("error")) << cut;
}

AnswerPlan plan_of(std::string path, Protocol upstream) {
  AnswerPlan plan;
  plan.client = path == "/v1/messages" ? Protocol::kAnthropic : Protocol::kOpenAi;
  plan.upstream = upstream;
  plan.path = std::move(path);
  plan.client_model = "alias";
  plan.stream = plan.include_usage = true;
  plan.created_unix_s = 17;
  return plan;
}

// Chunks of another upstream become parts of the first one's answer: its id, no second role, usage
// of all.
TEST(Continuation, ChunksOfTheSecondAreThoseOfTheFirst) {
  const auto t = make_answer_translator(plan_of(std::string(kChat), Protocol::kOpenAi));
  std::string out;
  ASSERT_TRUE(
      t->feed(
           R"(data: {"id":"a","model":"m","choices":[{"delta":{"role":"assistant","content":""}}]})"
           "\n\n"
           R"(data: {"id":"a","model":"m","choices":[{"delta":{"content":"one "}}]})"
           "\n\n",
           out)
          .ok());
  ASSERT_FALSE(t->end(out).ok());
  out.clear();
  ASSERT_TRUE(t->resume(Protocol::kOpenAi).ok());
  ASSERT_TRUE(
      t->feed(
           R"(data: {"model":"m","id":"b","choices":[{"delta":{"role":"assistant","content":""}}]})"
           "\n\n"
           R"(data: {"model":"m","id":"b","choices":[{"delta":{"role":"assistant","content":"two"}}]})"
           "\n\n"
           R"(data: {"id":"b","choices":[{"delta":{},"finish_reason":"stop"}],"usage":null})"
           "\n\n"
           R"(data: {"id":"b","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":1}})"
           "\n\ndata: [DONE]\n\n",
           out)
          .ok());
  EXPECT_EQ(
      out,
      R"(data: {"model":"alias","id":"a","choices":[{"delta":{"role":null,"content":"two"}}]})"
      "\n\n"
      R"(data: {"id":"a","choices":[{"delta":{},"finish_reason":"stop"}],"usage":null})"
      "\n\n"
      R"(data: {"id":"a","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2,)"
      R"("total_tokens":12,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},)"
      R"("completion_tokens_details":{"reasoning_tokens":0}}})"
      "\n\ndata: [DONE]\n\n");
  EXPECT_EQ(t->observer().id(), "a");
  EXPECT_EQ(t->observer().own_deltas(), 1);
  EXPECT_EQ(t->observer().usage().prompt_tokens, 11);
}

// Where the first upstream counted the prompt, the second one's count says how long the text is.
TEST(Continuation, UsageOfTheWhole) {
  StreamObserver o(100);
  o.start("a", "m");
  o.usage({.known = true, .prompt_tokens = 10, .completion_tokens = 1});
  o.text("a delta of several tokens");
  o.resume();
  EXPECT_FALSE(o.total_usage().known);
  o.start("b", "m");
  o.usage({.known = true, .prompt_tokens = 15, .cached_tokens = 12, .completion_tokens = 3});
  const TokenUsage all = o.total_usage();
  EXPECT_EQ(all.prompt_tokens, 10);
  EXPECT_EQ(all.completion_tokens, 8);
  EXPECT_EQ(all.cached_tokens, 10);
  EXPECT_EQ(o.id(), "a");
}

TEST(Continuation, EndsAtTheLengthByItself) {
  const TokenUsage usage{.known = true, .prompt_tokens = 3, .completion_tokens = 1};
  const std::string chunk = R"(data: {"id":"a","model":"m","choices":[{"index":0,)";
  const std::string message =
      "event: message_start\ndata: "
      R"({"type":"message_start","message":{"id":"a","model":"m"}})"
      "\n\n"
      "event: content_block_start\ndata: "
      R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})"
      "\n\n"
      "event: content_block_delta\ndata: "
      R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}})"
      "\n\n";
  const std::tuple<std::string, Protocol, std::string, std::string> rows[] = {
      {std::string(kChat), Protocol::kOpenAi, chunk + R"("delta":{"content":"x"}}]})" + "\n\n",
       R"("finish_reason":"length")"},
      {"/v1/completions", Protocol::kOpenAi, chunk + R"("text":"x"}]})" + "\n\n",
       R"("finish_reason":"length")"},
      {std::string(kChat), Protocol::kAnthropic, message, R"("finish_reason":"length")"},
      {"/v1/messages", Protocol::kAnthropic, message, R"("stop_reason":"max_tokens")"}};
  for (const auto& [path, upstream, begun, finish] : rows) {
    const auto t = make_answer_translator(plan_of(path, upstream));
    std::string out;
    ASSERT_TRUE(t->feed(begun, out).ok());
    out.clear();
    ASSERT_TRUE(t->end_at_length(usage, out).ok());
    EXPECT_NE(out.find(finish), std::string::npos) << out;
    EXPECT_NE(out.find(path == "/v1/messages" ? "message_stop" : "[DONE]"), std::string::npos);
    EXPECT_NE(out.find(path == "/v1/messages" ? R"("output_tokens":1)" : R"("total_tokens":4)"),
              std::string::npos)
        << out;
    EXPECT_EQ(out.find("\"m\""), std::string::npos) << out;
    EXPECT_TRUE(t->is_done());
  }
}

}  // namespace
}  // namespace weir::gateway
