// Streams from one protocol to the other.
#include <gtest/gtest.h>

#include "gateway/translate/translate.h"
#include "http/sse.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr std::string_view kSse = "text/event-stream; charset=utf-8";

AnswerPlan plan_of(Protocol client, Protocol upstream) {
  AnswerPlan plan;
  plan.client = client;
  plan.upstream = upstream;
  plan.path = client == Protocol::kOpenAi ? "/v1/chat/completions" : "/v1/messages";
  plan.client_model = "alias";
  plan.stream = true;
  plan.created_unix_s = 1700000000;
  return plan;
}

struct Outcome {
  std::string out;
  std::string error;  // of feed or end; "" if none
};

Outcome run(AnswerTranslator& t, std::string_view bytes, size_t step = 1 << 20) {
  Outcome r;
  EXPECT_TRUE(t.begin(200, kSse).ok());
  for (size_t at = 0; at < bytes.size(); at += step) {
    const Status fed = t.feed(bytes.substr(at, step), r.out);
    if (!fed.ok()) {
      r.error = fed.error().message;
      return r;
    }
  }
  const Status ended = t.end(r.out);
  if (!ended.ok()) r.error = ended.error().message;
  return r;
}

Outcome run(const AnswerPlan& plan, std::string_view bytes, size_t step = 1 << 20) {
  return run(*make_answer_translator(plan), bytes, step);
}

// Of an OpenAI stream: what the chunks say, a line each.
std::string chunks(std::string_view stream) {
  std::string out;
  http::SseReader reader;
  EXPECT_TRUE(
      reader
          .feed(stream,
                [&](const http::SseEvent& e) {
                  if (e.data == "[DONE]") {
                    out += "[DONE]\n";
                    return;
                  }
                  const Json json = *Json::parse(e.data);
                  if (json.find("error") != nullptr) {
                    out += "error " + json.find("error")->find("message")->as_string() + "\n";
                    return;
                  }
                  EXPECT_EQ(json.find("model")->as_string(), "alias");
                  EXPECT_EQ(json.find("id")->as_string(), "msg_1");
                  EXPECT_EQ(json.find("created")->as_int(), 1700000000);
                  EXPECT_EQ(json.find("object")->as_string(), "chat.completion.chunk");
                  if (json.find("choices")->size() == 0) {
                    out += json.find("usage")->dump() + "\n";
                    return;
                  }
                  const Json& c = json.find("choices")->items()[0];
                  out += c.find("delta")->dump() + " " + c.find("finish_reason")->dump() + "\n";
                })
          .ok());
  return out;
}

// Of an Anthropic stream: the events without their names' repetition, a line each.
std::string events(std::string_view stream) {
  std::string out;
  http::SseReader reader;
  EXPECT_TRUE(reader
                  .feed(stream,
                        [&](const http::SseEvent& e) {
                          const Json json = *Json::parse(e.data);
                          EXPECT_EQ(json.find("type")->as_string(), e.name);
                          Json rest = Json::object();
                          for (const Json::Member& m : json.members()) {
                            if (m.first != "type") rest.set(m.first, m.second);
                          }
                          out += std::string(e.name) + " " + rest.dump() + "\n";
                        })
                  .ok());
  return out;
}

std::string event(std::string_view data) {
  std::string out;
  http::append_sse_event(out, Json::parse(data)->find("type")->as_string(), data);
  return out;
}

// An answer with thinking, text, two calls, one without arguments, cached tokens.
std::string anthropic_stream() {
  return event(
             R"({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":1}}})") +
         event(R"({"type":"ping"})") +
         event(
             R"({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}})") +
         event(
             R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}})") +
         event(
             R"({"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"xyz"}})") +
         event(R"({"type":"content_block_stop","index":0})") +
         event(
             R"({"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}})") +
         event(
             R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Héllo"}})") +
         event(R"({"type":"some_new_event","x":1})") +
         event(
             R"({"type":"content_block_delta","index":1,"delta":{"type":"new_delta","text":"no"}})") +
         event(
             R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":" \"world\""}})") +
         event(R"({"type":"content_block_stop","index":1})") +
         event(
             R"({"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}})") +
         event(
             R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}})") +
         event(
             R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\": "}})") +
         event(
             R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1}"}})") +
         event(R"({"type":"content_block_stop","index":2})") +
         event(
             R"({"type":"content_block_start","index":3,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}})") +
         event(
             R"({"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{}"}})") +
         event(R"({"type":"content_block_stop","index":3})") +
         event(
             R"({"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_2","name":"g","input":{}}})") +
         event(R"({"type":"content_block_stop","index":4})") +
         event(
             R"({"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":42,"output_tokens_details":{"thinking_tokens":7}}})") +
         event(R"({"type":"message_stop"})");
}

constexpr std::string_view kChunks =
    R"({"role":"assistant","content":""} null
{"reasoning_content":"hm"} null
{"content":"Héllo"} null
{"content":" \"world\""} null
{"tool_calls":[{"index":0,"id":"toolu_1","type":"function","function":{"name":"f","arguments":""}}]} null
{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\": "}}]} null
{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]} null
{"tool_calls":[{"index":1,"id":"toolu_2","type":"function","function":{"name":"g","arguments":""}}]} null
{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]} null
{} "tool_calls"
)";
constexpr std::string_view kUsageChunk =
    R"({"prompt_tokens":115,"completion_tokens":42,"total_tokens":157,"prompt_tokens_details":{"cached_tokens":100,"cache_write_tokens":5},"completion_tokens_details":{"reasoning_tokens":7}}
)";

TEST(AnthropicStream, BecomesChunks) {
  AnswerPlan plan = plan_of(Protocol::kOpenAi, Protocol::kAnthropic);
  EXPECT_EQ(chunks(run(plan, anthropic_stream()).out), std::string(kChunks) + "[DONE]\n");
  plan.include_usage = true;
  const auto t = make_answer_translator(plan);
  const Outcome r = run(*t, anthropic_stream());
  EXPECT_EQ(r.error, "");
  EXPECT_EQ(chunks(r.out), std::string(kChunks) + std::string(kUsageChunk) + "[DONE]\n");
  const StreamObserver& o = t->observer();
  EXPECT_EQ(o.id(), "msg_1");
  EXPECT_EQ(o.model(), "claude");
  EXPECT_EQ(o.text(), "Héllo \"world\"");
  EXPECT_EQ(o.usage().prompt_tokens, 115);
  EXPECT_EQ(o.usage().cached_tokens, 100);
  EXPECT_EQ(o.usage().completion_tokens, 42);
  EXPECT_EQ(o.finish_reason(), FinishReason::kToolCalls);
  EXPECT_TRUE(o.is_done() && o.called_tools() && o.thought() && o.text_is_whole());
  EXPECT_FALSE(o.can_continue());
}

TEST(AnthropicStream, CutAnywhereGivesTheSame) {
  AnswerPlan plan = plan_of(Protocol::kOpenAi, Protocol::kAnthropic);
  const std::string bytes = anthropic_stream();
  const Outcome whole = run(plan, bytes);
  for (size_t at = 0; at <= bytes.size(); ++at) {
    const auto t = make_answer_translator(plan);
    std::string out;
    ASSERT_TRUE(t->feed(std::string_view(bytes).substr(0, at), out).ok());
    ASSERT_TRUE(whole.out.starts_with(out)) << at;
    // Cut here, the answer is incomplete until its finish reason was there.
    ASSERT_TRUE(t->feed(std::string_view(bytes).substr(at), out).ok());
    ASSERT_EQ(out, whole.out) << at;
  }
  EXPECT_EQ(run(plan, bytes, 1).out, whole.out);
  const size_t finish = bytes.find("event: message_delta");
  for (size_t at = 0; at < finish; ++at) {
    const Outcome r = run(plan, std::string_view(bytes).substr(0, at));
    ASSERT_EQ(r.error, "the upstream's stream ended before its answer did") << at;
    ASSERT_EQ(r.out.find("[DONE]"), std::string::npos);
  }
  // The last event alone is missing: whole all the same.
  const Outcome r = run(plan, std::string_view(bytes).substr(0, bytes.find("event: message_stop")));
  EXPECT_EQ(r.out, whole.out);
  EXPECT_EQ(r.error, "");
}

TEST(AnthropicStream, ErrorsAndBrokenEvents) {
  const AnswerPlan plan = plan_of(Protocol::kOpenAi, Protocol::kAnthropic);
  const std::string start =
      event(R"({"type":"message_start","message":{"id":"msg_1","model":"c"}})") +
      event(
          R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})") +
      event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}})");
  const auto t = make_answer_translator(plan);
  std::string out;
  const Status fed = t->feed(
      start +
          event(R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})") +
          "data: never read\n\n",
      out);
  ASSERT_FALSE(fed.ok());
  EXPECT_EQ(fed.error().code, ErrorCode::kServerOverloaded);
  EXPECT_EQ(t->observer().text(), "a");
  EXPECT_TRUE(t->observer().can_continue());
  t->fail(fed.error(), "req-1", out);
  EXPECT_EQ(chunks(out), R"({"role":"assistant","content":""} null
{"content":"a"} null
error Overloaded
)");
  for (const std::string_view bad :
       {"data: {\n\n", "data: []\n\n", "data: {\"type\":\"message_start\"}\n\n",
        "data: "
        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\"}}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":-1,\"content_block\":{}}\n\n",
        "data: "
        "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\"}}"
        "\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":7,\"delta\":{}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0}\n\n", "data: \xFF\n\n"}) {
    const Outcome r = run(plan, start + std::string(bad) + anthropic_stream());
    EXPECT_NE(r.error, "") << bad;
  }
  EXPECT_NE(run(plan, event(R"({"type":"message_stop"})")).error, "");
  EXPECT_EQ(run(plan, start + anthropic_stream()).error, "the upstream's stream has two starts");
  // An error without its event's name; an event of another name whose data is no JSON.
  EXPECT_EQ(
      run(plan,
          start +
              "data: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}\n\n")
          .error,
      "m");
  EXPECT_EQ(run(plan, "event: later\ndata: not JSON\n\n" + anthropic_stream()).error, "");
  AnswerPlan small = plan;
  small.limits.max_event_bytes = 64;
  EXPECT_EQ(run(small, anthropic_stream()).error, "a server-sent event is larger than 64 bytes");
  small = plan;
  small.limits.max_blocks = 2;
  EXPECT_EQ(run(small, anthropic_stream()).error, "the upstream's stream has more than 2 blocks");
  EXPECT_EQ(make_answer_translator(plan)->begin(200, "text/html").error().code,
            ErrorCode::kCorrupt);
  EXPECT_TRUE(make_answer_translator(plan)->begin(200, "Text/Event-Stream ; x=y").ok());
}

std::string chunk(std::string_view delta, std::string_view more = R"("finish_reason":null)") {
  std::string out;
  http::append_sse_data(
      out, fmt::format(R"({{"id":"c1","object":"chat.completion.chunk","created":1,"model":"up",)"
                       R"("choices":[{{"index":0,"delta":{},{}}}],"usage":null}})",
                       delta, more));
  return out;
}
const std::string kUsage =
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"up\","
    "\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":9,\"total_tokens\":59,"
    "\"prompt_tokens_details\":{\"cached_tokens\":32}}}\n\n";

std::string openai_stream() {
  return chunk(R"({"role":"assistant","content":""})") + ": keep-alive\n\n" +
         chunk(R"({"reasoning_content":"hm"})") + chunk(R"({"content":"\n\n"})") +
         chunk(R"({"content":"Hé"})") + chunk(R"({"content":"llo"})") +
         chunk(
             R"({"tool_calls":[{"index":0,"id":"functions.f:0","type":"function","function":{"name":"f","arguments":""}}]})") +
         chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]})") +
         chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":":\"}\"}"}}]})") +
         chunk(R"({"content":"\n"})") +
         chunk(
             R"({"tool_calls":[{"index":1,"id":"call_2","function":{"name":"g","arguments":"{}"}}]})") +
         chunk("{}", R"("finish_reason":"tool_calls")") + kUsage + std::string(http::kSseDone);
}

constexpr std::string_view kEvents =
    R"(message_start {"message":{"id":"c1","type":"message","role":"assistant","model":"alias","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
content_block_start {"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
content_block_delta {"index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}
content_block_stop {"index":0}
content_block_start {"index":1,"content_block":{"type":"text","text":""}}
content_block_delta {"index":1,"delta":{"type":"text_delta","text":"\n\nHé"}}
content_block_delta {"index":1,"delta":{"type":"text_delta","text":"llo"}}
content_block_stop {"index":1}
content_block_start {"index":2,"content_block":{"type":"tool_use","id":"weirhex_66756e6374696f6e732e663a30","name":"f","input":{}}}
content_block_delta {"index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}
content_block_delta {"index":2,"delta":{"type":"input_json_delta","partial_json":":\"}\"}"}}
content_block_stop {"index":2}
content_block_start {"index":3,"content_block":{"type":"tool_use","id":"call_2","name":"g","input":{}}}
content_block_delta {"index":3,"delta":{"type":"input_json_delta","partial_json":"{}"}}
content_block_stop {"index":3}
message_delta {"delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":18,"cache_creation_input_tokens":0,"cache_read_input_tokens":32,"output_tokens":9}}
message_stop {}
)";

TEST(OpenAiStream, BecomesEvents) {
  const auto t = make_answer_translator(plan_of(Protocol::kAnthropic, Protocol::kOpenAi));
  const Outcome r = run(*t, openai_stream());
  EXPECT_EQ(r.error, "");
  EXPECT_EQ(events(r.out), kEvents);
  EXPECT_EQ(t->observer().text(), "\n\nHéllo\n");
  EXPECT_EQ(t->observer().usage().cached_tokens, 32);
  EXPECT_TRUE(t->is_done());
}

TEST(OpenAiStream, CutAnywhereGivesTheSame) {
  const AnswerPlan plan = plan_of(Protocol::kAnthropic, Protocol::kOpenAi);
  const std::string bytes = openai_stream();
  const Outcome whole = run(plan, bytes);
  for (size_t at = 0; at <= bytes.size(); ++at) {
    const auto t = make_answer_translator(plan);
    std::string out;
    ASSERT_TRUE(t->feed(std::string_view(bytes).substr(0, at), out).ok());
    ASSERT_TRUE(whole.out.starts_with(out)) << at;
    ASSERT_TRUE(t->feed(std::string_view(bytes).substr(at), out).ok());
    ASSERT_EQ(out, whole.out) << at;
  }
  EXPECT_EQ(run(plan, bytes, 1).out, whole.out);
  const size_t finish = bytes.rfind("data:", bytes.find("\"finish_reason\":\"tool_calls\""));
  for (size_t at = 0; at < finish; ++at) {
    const Outcome r = run(plan, std::string_view(bytes).substr(0, at));
    ASSERT_EQ(r.error, "the upstream's stream ended before its answer did") << at;
    ASSERT_EQ(r.out.find("message_stop"), std::string::npos);
  }
  EXPECT_EQ(run(plan, std::string_view(bytes).substr(0, bytes.find("data: [DONE]"))).out,
            whole.out);
}

// Calls whose arguments come in turns: the second waits for the first.
TEST(OpenAiStream, InterleavedCalls) {
  const auto call = [](int index, std::string_view id, std::string_view arguments) {
    return chunk(
        fmt::format(R"({{"tool_calls":[{{"index":{},{}"function":{{{}"arguments":{}}}}}]}})", index,
                    id.empty() ? "" : fmt::format(R"("id":"{}",)", id),
                    id.empty() ? "" : R"("name":"f",)", text::json_quote(arguments)));
  };
  const AnswerPlan plan = plan_of(Protocol::kAnthropic, Protocol::kOpenAi);
  const std::string bytes = call(0, "a", "{\"x\"") + call(1, "b", "{\"y\"") + call(0, "", ":1") +
                            chunk(R"({"content":"said"})") + call(1, "", ":2}") + call(0, "", "}") +
                            call(0, "", " ") + call(1, "", "\n") +
                            chunk("{}", R"("finish_reason":"stop")") + "data: [DONE]\n\n";
  const Outcome r = run(plan, bytes);
  EXPECT_EQ(r.error, "");
  const std::string got = events(r.out);
  EXPECT_EQ(
      got.substr(got.find('\n') + 1),
      R"(content_block_start {"index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}
content_block_delta {"index":0,"delta":{"type":"input_json_delta","partial_json":"{\"x\""}}
content_block_delta {"index":0,"delta":{"type":"input_json_delta","partial_json":":1"}}
content_block_delta {"index":0,"delta":{"type":"input_json_delta","partial_json":"}"}}
content_block_delta {"index":0,"delta":{"type":"input_json_delta","partial_json":" "}}
content_block_stop {"index":0}
content_block_start {"index":1,"content_block":{"type":"tool_use","id":"b","name":"f","input":{}}}
content_block_delta {"index":1,"delta":{"type":"input_json_delta","partial_json":"{\"y\":2}\n"}}
content_block_stop {"index":1}
content_block_start {"index":2,"content_block":{"type":"text","text":""}}
content_block_delta {"index":2,"delta":{"type":"text_delta","text":"said"}}
content_block_stop {"index":2}
message_delta {"delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}
message_stop {}
)");
  // All calls under one index, each whole, as some engines have it.
  const Outcome same = run(plan, call(0, "a", "{}") + call(0, "b", "{\"z\":1}") +
                                     chunk("{}", R"("finish_reason":"tool_calls")"));
  EXPECT_NE(events(same.out).find(R"("id":"b","name":"f")"), std::string::npos);
  EXPECT_NE(events(same.out).find(
                R"({"index":1,"delta":{"type":"input_json_delta","partial_json":"{\"z\":1}"}})"),
            std::string::npos);
  // Braces and quotes within strings end no arguments.
  const std::string braces = events(run(plan, call(0, "a", R"({"x":"}\")") + call(1, "b", "{}") +
                                                  call(0, "", R"(}]","y":[1]})") +
                                                  chunk("{}", R"("finish_reason":"tool_calls")"))
                                        .out);
  EXPECT_NE(
      braces.find(
          R"({"index":0,"delta":{"type":"input_json_delta","partial_json":"}]\",\"y\":[1]}"}})"),
      std::string::npos)
      << braces;
  AnswerPlan small = plan;
  small.limits.max_pending_bytes = 1000;
  EXPECT_EQ(run(small, call(0, "a", "{") + call(1, "b", std::string(2000, ' '))).error,
            "tool calls that wait for the one before them hold more than 1000 bytes");
  small = plan;
  small.limits.max_tools = 1;
  EXPECT_EQ(run(small, bytes).error, "the upstream's stream has more than 1 tool calls");
}

TEST(OpenAiStream, FinishReasonsAndErrors) {
  const AnswerPlan plan = plan_of(Protocol::kAnthropic, Protocol::kOpenAi);
  const auto stop = [&](std::string_view more) {
    const std::string got = events(run(plan, chunk(R"({"content":"x"})") + chunk("{}", more)).out);
    const size_t at = got.find("message_delta");
    return got.substr(at, got.find(",\"usage\"", at) - at);
  };
  EXPECT_EQ(stop(R"("finish_reason":"stop")"),
            R"(message_delta {"delta":{"stop_reason":"end_turn","stop_sequence":null})");
  EXPECT_EQ(stop(R"("finish_reason":"stop","stop_reason":"END")"),
            R"(message_delta {"delta":{"stop_reason":"stop_sequence","stop_sequence":"END"})");
  EXPECT_EQ(stop(R"("finish_reason":"stop","stop_reason":128009)"),
            R"(message_delta {"delta":{"stop_reason":"end_turn","stop_sequence":null})");
  EXPECT_EQ(stop(R"("finish_reason":"length")"),
            R"(message_delta {"delta":{"stop_reason":"max_tokens","stop_sequence":null})");
  EXPECT_EQ(stop(R"("finish_reason":"content_filter")"),
            R"(message_delta {"delta":{"stop_reason":"refusal","stop_sequence":null})");

  const auto t = make_answer_translator(plan);
  std::string out;
  const Status fed =
      t->feed(chunk(R"({"content":"x"})") +
                  "data: {\"error\":{\"message\":\"boom\",\"type\":\"rate_limit_error\"}}\n\n",
              out);
  ASSERT_FALSE(fed.ok());
  EXPECT_EQ(fed.error().code, ErrorCode::kRateLimitExceeded);
  out.clear();
  t->fail(fed.error(), "req-9", out);
  EXPECT_EQ(out,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","
            "\"message\":\"boom\"},\"request_id\":\"req-9\"}\n\n");
  for (const std::string_view bad :
       {"data: {\n\n", "data: 7\n\n", "data: {\"choices\":{}}\n\n", "data: \xC0\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n"}) {
    EXPECT_NE(run(plan, chunk("{}") + std::string(bad) + openai_stream()).error, "") << bad;
  }
  EXPECT_NE(run(plan, "data: [DONE]\n\n").error, "");
  // Other choices, unknown events and wrong types within are skipped.
  const std::string odd =
      "event: other\ndata: x\n\ndata: "
      "{\"id\":5,\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}},"
      "{\"delta\":{\"content\":7,\"tool_calls\":\"x\"}},3]}\n\n";
  const Outcome skipped = run(plan, odd + openai_stream());
  EXPECT_EQ(skipped.error, "");
  EXPECT_EQ(skipped.out.find("no\""), std::string::npos);
}

// A second upstream goes on where the first broke off.
TEST(Streams, GoOnElsewhere) {
  const auto t = make_answer_translator(plan_of(Protocol::kAnthropic, Protocol::kOpenAi));
  std::string out;
  ASSERT_TRUE(t->feed(chunk(R"({"content":"one "})") + "data: {\"id\":\"c1\",\"cho", out).ok());
  ASSERT_FALSE(t->end(out).ok());
  EXPECT_TRUE(t->observer().can_continue());
  ASSERT_TRUE(t->resume(Protocol::kOpenAi).ok());
  ASSERT_TRUE(t->feed(chunk(R"({"role":"assistant","content":""})") +
                          chunk(R"({"content":"two"})") + chunk("{}", R"("finish_reason":"stop")") +
                          kUsage + "data: [DONE]\n\n",
                      out)
                  .ok());
  EXPECT_TRUE(t->end(out).ok());
  EXPECT_EQ(t->observer().text(), "one two");
  const std::string got = events(out);
  EXPECT_EQ(got.find("message_start"), got.rfind("message_start"));
  EXPECT_EQ(got.substr(got.find('\n') + 1),
            R"(content_block_start {"index":0,"content_block":{"type":"text","text":""}}
content_block_delta {"index":0,"delta":{"type":"text_delta","text":"one "}}
content_block_delta {"index":0,"delta":{"type":"text_delta","text":"two"}}
content_block_stop {"index":0}
message_delta {"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":17,"cache_creation_input_tokens":0,"cache_read_input_tokens":32,"output_tokens":10}}
message_stop {}
)");
}

}  // namespace
}  // namespace weir::gateway
