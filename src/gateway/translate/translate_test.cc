// Whole answers, errors, and answers that pass as bytes.
#include "gateway/translate/translate.h"

#include <gtest/gtest.h>

#include "gateway/translate/answers.h"
#include "gateway/translate/count_tokens.h"
#include "http/sse.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kSse = "text/event-stream";

AnswerPlan plan_of(Protocol client, Protocol upstream) {
  AnswerPlan plan;
  plan.client = client;
  plan.upstream = upstream;
  plan.path = client == Protocol::kOpenAi ? "/v1/chat/completions" : "/v1/messages";
  plan.client_model = "alias";
  plan.created_unix_s = 17;
  return plan;
}

std::string whole(const AnswerPlan& plan, std::string_view body) {
  const auto r = make_answer_translator(plan)->whole(200, kJson, body);
  return r.ok() ? r->body : "error: " + r.error().message;
}

TEST(WholeAnswer, FromAnthropic) {
  const AnswerPlan plan = plan_of(Protocol::kOpenAi, Protocol::kAnthropic);
  EXPECT_EQ(
      whole(plan, R"({"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[
        {"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"a","citations":null},
        {"type":"tool_use","id":"toolu_1","name":"f","input":{"x" : 12345678901234567890}},
        {"type":"web_search_tool_result"},{"type":"text","text":"b"}],
        "stop_reason":"tool_use","stop_sequence":null,
        "usage":{"input_tokens":1,"cache_read_input_tokens":2,"cache_creation_input_tokens":4,"output_tokens":8}})"),
      R"({"id":"msg_1","object":"chat.completion","created":17,"model":"alias","choices":[{"index":0,)"
      R"("message":{"role":"assistant","content":"ab","refusal":null,"reasoning_content":"hm","tool_calls":[)"
      R"({"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{\"x\" : 12345678901234567890}"}}]},)"
      R"("logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":7,"completion_tokens":8,)"
      R"("total_tokens":15,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":4},)"
      R"("completion_tokens_details":{"reasoning_tokens":0}}})");
  const auto finish = [&](std::string_view reason) {
    const std::string body =
        whole(plan, fmt::format(R"({{"id":"i","content":[],"stop_reason":"{}"}})", reason));
    return Json::parse(body)->find("choices")->items()[0].find("finish_reason")->as_string();
  };
  EXPECT_EQ(finish("end_turn"), "stop");
  EXPECT_EQ(finish("stop_sequence"), "stop");
  EXPECT_EQ(finish("pause_turn"), "stop");
  EXPECT_EQ(finish("max_tokens"), "length");
  EXPECT_EQ(finish("model_context_window_exceeded"), "length");
  EXPECT_EQ(finish("refusal"), "content_filter");
}

TEST(WholeAnswer, FromOpenAi) {
  const AnswerPlan plan = plan_of(Protocol::kAnthropic, Protocol::kOpenAi);
  EXPECT_EQ(
      whole(
          plan,
          R"({"id":"c","created":5,"model":"up","choices":[{"index":0,"message":{"role":"assistant",
        "reasoning":"hm","content":"a","tool_calls":[
          {"id":"x.y","type":"function","function":{"name":"f","arguments":"{\"a\" : 1}"}},
          {"type":"function","function":{"name":"g","arguments":"{\"cut"}}]},
        "finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,
        "prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}})"),
      R"({"id":"c","type":"message","role":"assistant","model":"alias","content":[)"
      R"({"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"a"},)"
      R"({"type":"tool_use","id":"weirhex_782e79","name":"f","input":{"a" : 1}},)"
      R"({"type":"tool_use","id":"call_c_3","name":"g","input":{"INVALID_JSON":"{\"cut"}}],)"
      R"("stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":5,)"
      R"("cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":3,)"
      R"("output_tokens_details":{"thinking_tokens":2}}})");
}

TEST(WholeAnswer, WhatIsNoAnswerIsAnError) {
  for (const Protocol upstream : {Protocol::kOpenAi, Protocol::kAnthropic}) {
    for (const Protocol client : {Protocol::kOpenAi, Protocol::kAnthropic}) {
      const AnswerPlan plan = plan_of(client, upstream);
      for (const std::string_view bad : {"", "[]", "{", "x", "{\"a\":\"\xFF\"}", "<html>"}) {
        EXPECT_EQ(whole(plan, bad).substr(0, 6), "error:") << bad;
      }
      const auto wrong = make_answer_translator(plan)->whole(200, "text/html", "{}");
      ASSERT_FALSE(wrong.ok());
      EXPECT_EQ(wrong.error().code, ErrorCode::kCorrupt);
      EXPECT_FALSE(make_answer_translator(plan)->whole(302, kJson, "{}").ok());
    }
  }
  const AnswerPlan o = plan_of(Protocol::kAnthropic, Protocol::kOpenAi);
  for (const std::string_view bad :
       {R"({})", R"({"choices":[]})", R"({"choices":[1]})", R"({"choices":[{"message":7}]})",
        R"({"choices":[{"message":{"tool_calls":{}}}]})",
        R"({"choices":[{"message":{"tool_calls":[{}]}}]})",
        R"({"choices":[{"message":{"tool_calls":[{"function":{}}]}}]})"}) {
    EXPECT_EQ(whole(o, bad).substr(0, 6), "error:") << bad;
  }
  const AnswerPlan a = plan_of(Protocol::kOpenAi, Protocol::kAnthropic);
  for (const std::string_view bad :
       {R"({})", R"({"content":"x"})", R"({"content":[{"type":"tool_use","name":"f"}]})",
        R"({"content":[{"type":"tool_use","input":{}}]})"}) {
    EXPECT_EQ(whole(a, bad).substr(0, 6), "error:") << bad;
  }
  AnswerPlan small = a;
  small.limits.max_body_bytes = 20;
  const auto large = make_answer_translator(small)->whole(200, kJson, R"({"content":[       ]})");
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().code, ErrorCode::kLimit);
}

TEST(Errors, OfUpstreamsInTheClientsShape) {
  const auto error = [](Protocol client, Protocol upstream, int status, std::string_view body) {
    const auto r = make_answer_translator(plan_of(client, upstream))->whole(status, kJson, body);
    return std::to_string(r->status) + " " + r->body;
  };
  const auto o = Protocol::kOpenAi;
  const auto a = Protocol::kAnthropic;
  EXPECT_EQ(
      error(o, a, 529,
            R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})"),
      R"(503 {"error":{"message":"Overloaded","type":"server_error","param":null,"code":"server_overloaded"}})");
  EXPECT_EQ(
      error(a, o, 429,
            R"({"error":{"message":"slow down","type":"tokens","code":"rate_limit_exceeded"}})"),
      R"(429 {"type":"error","error":{"type":"rate_limit_error","message":"slow down"}})");
  EXPECT_EQ(
      error(
          o, a, 400,
          R"({"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}})"),
      R"(400 {"error":{"message":"prompt is too long: 9 tokens > 8 maximum","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}})");
  EXPECT_EQ(
      error(a, o, 404,
            R"({"object":"error","message":"no such model","type":"NotFoundError","code":404})"),
      R"(404 {"type":"error","error":{"type":"not_found_error","message":"no such model"}})");
  EXPECT_EQ(
      error(a, o, 422, R"({"detail":"bad field"})"),
      R"(422 {"type":"error","error":{"type":"invalid_request_error","message":"bad field"}})");
  // A proxy's page; messages of failures inside are not shown.
  EXPECT_EQ(
      error(a, o, 502, "<html>nginx at 10.0.0.7</html>"),
      R"(502 {"type":"error","error":{"type":"api_error","message":"the server failed to answer this request"}})");
  // What concerns the gateway's own key.
  for (const int status : {401, 402, 403}) {
    EXPECT_EQ(
        error(o, o, status,
              R"({"error":{"message":"Incorrect API key provided: sk-1","type":"x"}})"),
        R"(502 {"error":{"message":"the server failed to answer this request","type":"server_error","param":null,"code":"internal_error"}})");
  }
  // The same protocol: as it is, if it has the shape.
  const std::string own = R"({"error":{"message":"x","type":"y","extra":1}})";
  EXPECT_EQ(error(o, o, 418, own), "418 " + own);
  EXPECT_EQ(
      error(o, o, 400, R"({"detail":"bad"})"),
      R"(400 {"error":{"message":"bad","type":"invalid_request_error","param":null,"code":"bad_request"}})");
}

// ---- Bytes that pass
// -----------------------------------------------------------------------------

std::string stream_of(const AnswerPlan& plan, std::string_view bytes, size_t step = 1 << 20,
                      StreamObserver* seen = nullptr) {
  const auto t = make_answer_translator(plan);
  std::string out;
  Status s = t->begin(200, kSse);
  for (size_t at = 0; s.ok() && at < bytes.size(); at += step)
    s = t->feed(bytes.substr(at, step), out);
  if (s.ok()) s = t->end(out);
  if (seen != nullptr) {
    seen->start(t->observer().id(), t->observer().model());
    seen->text(t->observer().text());
    seen->usage(t->observer().usage());
    seen->finish(t->observer().finish_reason(), "");
  }
  return s.ok() ? out : out + "error: " + s.error().message;
}

const std::string kChat =
    "data: {\"id\":\"c\", "
    "\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}"
    "}]}\n\n"
    ": comment\r\n\r\n"
    "event: message\r\ndata: {\"id\":\"c\",\"model\" : \"up\" "
    ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\n\\\"model\\\":\\\"up\\\"\"}}]}\r\n\r\n"
    "data:{\"choices\":[{\"delta\":{\"content\":\"\\u00e9\",\"model\":\"up\"},\"finish_reason\":"
    "\"stop\"}],\"usage\":null}\n\n"
    "data: {\"model\":\"up\",\ndata: "
    "\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"prompt_tokens_"
    "details\":{\"cached_tokens\":3}}}\n\n"
    "data: [DONE]\n\n";

TEST(Passing, BytesStayButForTheModel) {
  AnswerPlan plan = plan_of(Protocol::kOpenAi, Protocol::kOpenAi);
  plan.client_model = "";
  StreamObserver seen(100);
  EXPECT_EQ(stream_of(plan, kChat, 1 << 20, &seen), kChat);
  EXPECT_EQ(seen.text(), "a\n\"model\":\"up\"é");
  EXPECT_EQ(seen.model(), "up");
  EXPECT_EQ(seen.usage().prompt_tokens, 5);
  EXPECT_EQ(seen.usage().cached_tokens, 3);
  EXPECT_EQ(seen.finish_reason(), FinishReason::kStop);

  plan.client_model = "al\"ias";
  const std::string renamed = stream_of(plan, kChat);
  // Event by event: a full parse with the model set, and the bytes around it.
  std::vector<Json> before;
  std::vector<Json> after;
  const auto collect = [](std::vector<Json>& to) {
    return [&to](const http::SseEvent& e) {
      if (e.data != "[DONE]") to.push_back(*Json::parse(e.data));
    };
  };
  http::SseReader one;
  http::SseReader two;
  ASSERT_TRUE(one.feed(kChat, collect(before)).ok());
  ASSERT_TRUE(two.feed(renamed, collect(after)).ok());
  ASSERT_EQ(before.size(), 4U);
  for (Json& event : before) {
    if (event.find("model") != nullptr) event.set("model", "al\"ias");
  }
  EXPECT_EQ(before, after);
  EXPECT_TRUE(renamed.starts_with(R"(data: {"id":"c", "model":"al\"ias","choices")"));
  EXPECT_NE(
      renamed.find("\r\n\r\nevent: message\r\ndata: {\"id\":\"c\",\"model\" : \"al\\\"ias\" ,"),
      std::string::npos);
}

TEST(Passing, CutAnywhereGivesTheSame) {
  for (const bool rename : {false, true}) {
    AnswerPlan plan = plan_of(Protocol::kOpenAi, Protocol::kOpenAi);
    if (!rename) plan.client_model = "";
    const std::string whole_stream = stream_of(plan, kChat);
    EXPECT_EQ(stream_of(plan, kChat, 1), whole_stream);
    for (size_t at = 0; at <= kChat.size(); ++at) {
      const auto t = make_answer_translator(plan);
      std::string out;
      ASSERT_TRUE(t->feed(std::string_view(kChat).substr(0, at), out).ok());
      ASSERT_TRUE(whole_stream.starts_with(out));
      // Only whole events went out: an error may follow.
      ASSERT_TRUE(out.empty() || out.ends_with("\n\n") || out.ends_with("\n\r\n")) << at;
      ASSERT_TRUE(t->feed(std::string_view(kChat).substr(at), out).ok());
      ASSERT_EQ(out, whole_stream);
    }
    const size_t finish = kChat.find("data:{\"choices\"");
    const std::string cut = stream_of(plan, std::string_view(kChat).substr(0, finish + 30));
    EXPECT_NE(cut.find("error: the upstream's stream ended before its answer did"),
              std::string::npos);
    // Without [DONE]: it is added.
    const std::string_view undone = std::string_view(kChat).substr(0, kChat.find("data: [DONE]"));
    EXPECT_EQ(stream_of(plan, undone), whole_stream);
  }
}

TEST(Passing, TheGatewaysOwnUsageChunkIsHidden) {
  AnswerPlan plan = plan_of(Protocol::kOpenAi, Protocol::kOpenAi);
  plan.hide_usage = true;
  StreamObserver seen(100);
  const std::string out = stream_of(plan, kChat, 1 << 20, &seen);
  EXPECT_EQ(out.find("prompt_tokens"), std::string::npos);
  EXPECT_TRUE(out.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(seen.usage().completion_tokens, 2);
}

TEST(Passing, BrokenStreams) {
  const AnswerPlan plan = plan_of(Protocol::kOpenAi, Protocol::kOpenAi);
  const std::string first =
      "data: {\"model\":\"up\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
  for (const std::string_view bad :
       {"data: {\n\n", "data: []\n\n", "data: {\"x\":\"a\ndata: b\"}\n\n",
        "data: {\"a\":\"\xFF\"}\n\n", "data: <html>\n\n", "data: {} x\n\n"}) {
    const std::string out = stream_of(plan, first + std::string(bad) + kChat);
    EXPECT_NE(out.find("error: an event of the upstream's stream is no JSON object"),
              std::string::npos)
        << bad;
    EXPECT_EQ(out.find("[DONE]"), std::string::npos);
  }
  EXPECT_NE(stream_of(plan, first + "data: {\"error\":{\"message\":\"boom\",\"code\":429}}\n\n")
                .find("error: boom"),
            std::string::npos);
  EXPECT_NE(
      stream_of(plan, first + "event: error\ndata: {\"error\":\"boom\"}\n\n").find("error: boom"),
      std::string::npos);
  AnswerPlan small = plan;
  small.limits.max_event_bytes = 64;
  EXPECT_NE(stream_of(small, first + kChat).find("error: a server-sent event is larger than 64"),
            std::string::npos);
  EXPECT_NE(stream_of(small, std::string(100, 'x'), 1).find("larger than 64"), std::string::npos);
  small.limits.max_observed_text_bytes = 4;
  StreamObserver o(4);
  o.text("abé");
  EXPECT_TRUE(o.text_is_whole());
  o.text("é");
  EXPECT_EQ(o.text(), "abé");
  EXPECT_FALSE(o.text_is_whole() || o.can_continue());
}

const std::string kMessages =
    "event: message_start\ndata: "
    "{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"up\",\"usage\":{\"input_"
    "tokens\":3,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n"
    "event: ping\ndata: {\"type\": \"ping\"}\n\n"
    "event: content_block_start\ndata: "
    "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":"
    "\"\"}}\n\n"
    "event: content_block_delta\ndata: "
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"hi\"}}\n\n"
    "event: message_delta\ndata: "
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_"
    "tokens\":6}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

TEST(Passing, AnthropicStreams) {
  const AnswerPlan plan = plan_of(Protocol::kAnthropic, Protocol::kAnthropic);
  StreamObserver seen(100);
  std::string wanted = kMessages;
  wanted.replace(wanted.find("\"up\""), 4, "\"alias\"");
  EXPECT_EQ(stream_of(plan, kMessages, 1 << 20, &seen), wanted);
  EXPECT_EQ(stream_of(plan, kMessages, 1), wanted);
  EXPECT_EQ(seen.text(), "hi");
  EXPECT_EQ(seen.usage().prompt_tokens, 7);
  EXPECT_EQ(seen.usage().completion_tokens, 6);
  EXPECT_EQ(seen.finish_reason(), FinishReason::kLength);
  // A member of the same name elsewhere is not the model's.
  const std::string other =
      "event: x\ndata: {\"type\":\"x\",\"model\":\"up\",\"delta\":{\"model\":\"up\"}}\n\n";
  EXPECT_EQ(stream_of(plan, other + kMessages), other + wanted);
  const size_t stop = kMessages.find("event: message_stop");
  EXPECT_EQ(stream_of(plan, std::string_view(kMessages).substr(0, stop)), wanted);
  EXPECT_NE(stream_of(plan, kMessages.substr(0, 300) + "\n\n").find("error:"), std::string::npos);
  EXPECT_NE(
      stream_of(
          plan,
          "event: error\ndata: "
          "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"o\"}}\n\n")
          .find("error: o"),
      std::string::npos);
}

TEST(Passing, OtherShapes) {
  AnswerPlan plan = plan_of(Protocol::kOpenAi, Protocol::kOpenAi);
  EXPECT_EQ(
      whole(
          plan,
          R"( {"id":"c","model":"up","choices":[{"message":{"content":"x"},"finish_reason":"stop"}] } )"),
      R"( {"id":"c","model":"alias","choices":[{"message":{"content":"x"},"finish_reason":"stop"}] } )");
  EXPECT_EQ(whole(plan, R"({"error":{"message":"late"}})"), "error: late");
  plan.path = "/v1/embeddings";
  EXPECT_EQ(whole(plan, R"({"model":"up","data":[1],"usage":{"prompt_tokens":5}})"),
            R"({"model":"alias","data":[1],"usage":{"prompt_tokens":5}})");
  plan.path = "/v1/completions";
  StreamObserver seen(100);
  stream_of(plan,
            "data: "
            "{\"id\":\"c\",\"model\":\"up\",\"choices\":[{\"text\":\"x\",\"finish_reason\":"
            "\"length\"}]}\n\n",
            1 << 20, &seen);
  EXPECT_EQ(seen.text(), "x");
  EXPECT_EQ(seen.finish_reason(), FinishReason::kLength);
  plan.path = "/v1/responses";
  const std::string responses =
      "event: response.created\ndata: "
      "{\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"up\",\"status\":\"in_"
      "progress\",\"usage\":null}}\n\n"
      "event: response.output_text.delta\ndata: "
      "{\"type\":\"response.output_text.delta\",\"delta\":\"hey\"}\n\n"
      "event: response.completed\ndata: "
      "{\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"model\":\"up\",\"status\":"
      "\"completed\",\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":4},"
      "\"output_tokens\":2}}}\n\n";
  std::string wanted = responses;
  for (size_t at = 0; (at = wanted.find("\"up\"", at)) != std::string::npos;)
    wanted.replace(at, 4, "\"alias\"");
  StreamObserver r(100);
  EXPECT_EQ(stream_of(plan, responses, 1 << 20, &r), wanted);
  EXPECT_EQ(r.text(), "hey");
  EXPECT_EQ(r.usage().prompt_tokens, 9);
  EXPECT_EQ(r.usage().cached_tokens, 4);
  EXPECT_EQ(r.finish_reason(), FinishReason::kStop);
}

TEST(Passing, ChatGoesOnElsewhere) {
  const auto t = make_answer_translator(plan_of(Protocol::kOpenAi, Protocol::kOpenAi));
  std::string out;
  ASSERT_TRUE(
      t->feed(
           "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"one \"}}]}\n\ndata: {\"id",
           out)
          .ok());
  ASSERT_FALSE(t->end(out).ok());
  ASSERT_TRUE(t->observer().can_continue());
  ASSERT_TRUE(t->resume(Protocol::kOpenAi).ok());
  ASSERT_TRUE(t->feed("data: "
                      "{\"choices\":[{\"delta\":{\"content\":\"two\"},\"finish_reason\":\"stop\"}]}"
                      "\n\ndata: [DONE]\n\n",
                      out)
                  .ok());
  EXPECT_TRUE(t->is_done());
  EXPECT_EQ(t->observer().text(), "one two");
  EXPECT_EQ(out.find("data: {\"id\n"), std::string::npos);
}

TEST(Passing, MessagesGoOnElsewhere) {
  // Broken off before the first event, within a text, behind one; at an upstream of each protocol.
  const std::string more =
      "data: {\"id\":\"x\",\"choices\":[{\"delta\":{\"content\":\" "
      "you\"},\"finish_reason\":\"stop\"}],"
      "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
  const std::string stop =
      "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
  const size_t delta = kMessages.find("event: message_delta");
  for (const std::string& begun :
       {std::string(), kMessages.substr(0, delta), kMessages.substr(0, delta) + stop}) {
    for (const Protocol upstream : {Protocol::kOpenAi, Protocol::kAnthropic}) {
      const auto t = make_answer_translator(plan_of(Protocol::kAnthropic, Protocol::kAnthropic));
      std::string out;
      ASSERT_TRUE(t->feed(begun + "event: mess", out).ok());
      ASSERT_FALSE(t->end(out).ok());
      ASSERT_TRUE(t->observer().can_continue());
      ASSERT_TRUE(t->resume(upstream).ok());
      ASSERT_TRUE(t->feed(upstream == Protocol::kOpenAi ? more : kMessages, out).ok());
      ASSERT_TRUE(t->end(out).ok());
      EXPECT_TRUE(t->is_done());
      EXPECT_TRUE(t->observer().text().ends_with(upstream == Protocol::kOpenAi ? " you" : "hi"));
      // Each block starts once, its deltas and its stop have its index, one start and one end.
      std::string order;
      http::SseReader reader;
      ASSERT_TRUE(reader
                      .feed(out,
                            [&](const http::SseEvent& e) {
                              const Json json = *Json::parse(e.data);
                              const Json* index = json.find("index");
                              order += e.name;
                              order += index == nullptr ? " " : index->dump() + " ";
                            })
                      .ok());
      const std::string block = "content_block_start0 content_block_delta0 ";
      std::string wanted = "message_start ";
      if (!begun.empty()) wanted += "ping ";
      wanted += block;
      if (begun.ends_with(stop)) {
        wanted +=
            "content_block_stop0 content_block_start1 content_block_delta1 content_block_stop1 ";
      } else {
        wanted +=
            begun.empty() ? "content_block_stop0 " : "content_block_delta0 content_block_stop0 ";
      }
      EXPECT_EQ(order, wanted + "message_delta message_stop ");
    }
  }
}

TEST(Passing, AChatGoesOnAtAnAnthropicUpstream) {
  const auto t = make_answer_translator(plan_of(Protocol::kOpenAi, Protocol::kOpenAi));
  std::string out;
  ASSERT_TRUE(
      t->feed("data: {\"id\":\"c\",\"model\":\"up\",\"choices\":[{\"delta\":{\"content\":\"one "
              "\"}}]}\n\n",
              out)
          .ok());
  ASSERT_FALSE(t->end(out).ok());
  out.clear();
  ASSERT_TRUE(t->resume(Protocol::kAnthropic).ok());
  ASSERT_TRUE(t->feed(kMessages, out).ok());
  EXPECT_EQ(out,
            "data: "
            "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":17,\"model\":\"alias\","
            "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n"
            "data: "
            "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":17,\"model\":\"alias\","
            "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"
            "data: [DONE]\n\n");
  EXPECT_EQ(t->observer().text(), "one hi");
  AnswerPlan completions = plan_of(Protocol::kOpenAi, Protocol::kOpenAi);
  completions.path = "/v1/completions";
  EXPECT_TRUE(make_answer_translator(completions)->resume(Protocol::kOpenAi).ok());
  EXPECT_EQ(make_answer_translator(completions)->resume(Protocol::kAnthropic).error().code,
            ErrorCode::kUnsupported);
}

TEST(Errors, OfTheApiAreToldFromThoseOfAWebServer) {
  for (const std::string_view body :
       {R"({"error":{"message":"no such model","type":"t","param":null,"code":null}})",
        R"({"type":"error","error":{"type":"not_found_error","message":"m"}})",
        R"({"object":"error","message":"no such model"})",
        R"({"message":"Model not found","type":"Not Found","code":404})",
        R"({"error":"Model not found"})"})
    EXPECT_TRUE(translate::is_api_error(body)) << body;
  for (const std::string_view body :
       {"", "<html>", "{", R"({"detail":"Not Found"})", R"({"error":"Not Found","status":404})",
        R"({"error":"Not Found"})", R"({"message":"no Route matched with those values"})",
        R"({"message":"m","code":"404"})", R"({"message":7,"code":404})",
        R"({"error":"Not Found","path":"/v1/models"})", R"({"error":{}})", R"([1])", "null",
        R"({"error":{"message":"no route POST /x/v1/chat/completions","code":"not_found"}})",
        R"({"error":{"message":"File Not Found","code":404,"type":"not_found_error"}})"})
    EXPECT_FALSE(translate::is_api_error(body)) << body;
  EXPECT_FALSE(translate::is_api_error(std::string(70'000, ' ') + R"({"error":{"message":"m"}})"));
}

// ---- Counting
// ------------------------------------------------------------------------------------

TEST(CountTokens, BytesMessagesAndImages) {
  TokenEstimate e;
  const auto count = [&](std::string_view body) { return estimate_input_tokens(body, e).value(); };
  EXPECT_EQ(count(R"({"messages":[{"role":"user","content":"12345678"}]})"), 2 + 4);
  EXPECT_EQ(
      count(R"({"system":"1234","messages":[{"role":"user","content":[{"type":"text","text":"1234"},
                      {"type":"image","source":{"data":"0123456789"}}]}]})"),
      1 + 1 + 8 + 1600);
  EXPECT_EQ(count(R"({"prompt":"12345"})"), 2 + 4);
  EXPECT_EQ(count(R"({"messages":[],"tools":[{"name":"f"}]})"), 4);
  EXPECT_EQ(count(R"({})"), 0);
  EXPECT_FALSE(estimate_input_tokens("{", e).ok());
  EXPECT_EQ(count_tokens_body(7), R"({"input_tokens":7})");
}

}  // namespace
}  // namespace weir::gateway
