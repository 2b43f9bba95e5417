// Requests from one protocol to the other: what becomes of each field.
#include <gtest/gtest.h>

#include "gateway/translate/translate.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr std::string_view kChat = "/v1/chat/completions";
constexpr std::string_view kMessages = "/v1/messages";

Result<TranslatedRequest> to_anthropic(std::string_view body, const TranslateOptions& o = {}) {
  return translate_request(Protocol::kOpenAi, Protocol::kAnthropic, kChat, body, o);
}
Result<TranslatedRequest> to_openai(std::string_view body, const TranslateOptions& o = {}) {
  return translate_request(Protocol::kAnthropic, Protocol::kOpenAi, kMessages, body, o);
}

// The body, or the error's message.
std::string body_of(const Result<TranslatedRequest>& r) {
  if (!r.ok()) return "error: " + r.error().message;
  EXPECT_TRUE(Json::parse(r->body).ok()) << r->body;
  return r->body;
}

// An OpenAI request with one message and more members.
std::string ask(std::string_view more) {
  return fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"hi"}}]{}{}}})",
                     more.empty() ? "" : ",", more);
}
std::string say(std::string_view more) {
  return fmt::format(
      R"({{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"hi"}}]{}{}}})",
      more.empty() ? "" : ",", more);
}
// What such a request becomes, with the same in front.
std::string sent(std::string_view more) {
  return fmt::format(
      R"({{"model":"m","max_tokens":16384,"messages":[{{"role":"user","content":"hi"}}]{}{}}})",
      more.empty() ? "" : ",", more);
}
std::string posted(std::string_view more) {
  return fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"hi"}}]{}{}}})",
                     more.empty() ? "" : ",", more);
}

std::string messages_of(std::string_view messages) {
  const std::string body = fmt::format(R"({{"model":"m","messages":{}}})", messages);
  const auto r = to_anthropic(body);
  if (!r.ok()) return "error: " + r.error().message;
  const Json json = *Json::parse(r->body);
  return (json.find("system") != nullptr ? json.find("system")->dump() : "") +
         json.find("messages")->dump();
}
std::string messages_back(std::string_view members) {
  const auto r = to_openai(fmt::format(R"({{"model":"m","max_tokens":1,{}}})", members));
  if (!r.ok()) return "error: " + r.error().message;
  return Json::parse(r->body)->find("messages")->dump();
}

TEST(OpenAiToAnthropic, TheLeastRequestAndItsHead) {
  const auto r = to_anthropic(ask(""));
  EXPECT_EQ(body_of(r), sent(""));
  EXPECT_EQ(r->path, "/v1/messages");
  EXPECT_EQ(r->headers.find("anthropic-version").value_or(""), "2023-06-01");
  EXPECT_EQ(r->plan.client_model, "m");
  EXPECT_FALSE(r->plan.stream);
  EXPECT_TRUE(r->altered.empty());
  TranslateOptions o;
  o.upstream_model = "claude";
  o.default_max_tokens = 7;
  EXPECT_EQ(body_of(to_anthropic(ask(""), o)),
            R"({"model":"claude","max_tokens":7,"messages":[{"role":"user","content":"hi"}]})");
}

TEST(OpenAiToAnthropic, NumbersAndNames) {
  TranslateOptions all;
  all.sampling = SamplingStyle::kAll;
  EXPECT_EQ(body_of(to_anthropic(ask(R"("temperature":0.5,"top_p":0.9,"top_k":40)"), all)),
            sent(R"("temperature":0.5,"top_p":0.9,"top_k":40)"));
  const auto hot = to_anthropic(ask(R"("temperature":1.7)"), all);
  EXPECT_EQ(body_of(hot), sent(R"("temperature":1.0)"));
  EXPECT_EQ(hot->altered, std::vector<std::string>{"temperature"});
  TranslateOptions one;
  one.sampling = SamplingStyle::kTemperatureOnly;
  EXPECT_EQ(body_of(to_anthropic(ask(R"("temperature":0,"top_p":0.9)"), one)),
            sent(R"("temperature":0.0)"));
  EXPECT_EQ(body_of(to_anthropic(ask(R"("top_p":0.9)"), one)), sent(R"("top_p":0.9)"));
  const auto none = to_anthropic(ask(R"("temperature":0,"top_p":0.9)"));
  EXPECT_EQ(body_of(none), sent(""));
  EXPECT_EQ(none->altered, (std::vector<std::string>{"temperature", "top_p"}));

  const auto max = to_anthropic(ask(R"("max_tokens":5)"));
  EXPECT_NE(body_of(max).find(R"("max_tokens":5,)"), std::string::npos);
  const auto both = to_anthropic(ask(R"("max_tokens":5,"max_completion_tokens":6)"));
  EXPECT_NE(body_of(both).find(R"("max_tokens":6,)"), std::string::npos);
  EXPECT_EQ(body_of(to_anthropic(ask(R"("stop":"END","user":"u1","stream":true)"))),
            sent(R"("stop_sequences":["END"],"metadata":{"user_id":"u1"},"stream":true)"));
  EXPECT_EQ(body_of(to_anthropic(ask(R"("safety_identifier":"s","stop":["a","b"])"))),
            sent(R"("stop_sequences":["a","b"],"metadata":{"user_id":"s"})"));
  const auto usage = to_anthropic(ask(R"("stream":true,"stream_options":{"include_usage":true})"));
  EXPECT_TRUE(usage->plan.stream && usage->plan.include_usage);
}

TEST(OpenAiToAnthropic, SystemMessagesGoToTheFront) {
  EXPECT_EQ(messages_of(R"([{"role":"system","content":"S"},{"role":"user","content":"a"}])"),
            R"("S"[{"role":"user","content":"a"}])");
  EXPECT_EQ(messages_of(R"([{"role":"system","content":"S"},{"role":"user","content":"a"},
                            {"role":"developer","content":[{"type":"text","text":"D"}]}])"),
            R"([{"type":"text","text":"S"},{"type":"text","text":"D"}])"
            R"([{"role":"user","content":"a"}])");
}

TEST(OpenAiToAnthropic, SystemMessagesOfStringsAreAllKept) {
  EXPECT_EQ(messages_of(R"([{"role":"system","content":"S"},{"role":"system","content":"T"},
                            {"role":"user","content":"a"}])"),
            R"([{"type":"text","text":"S"},{"type":"text","text":"T"}])"
            R"([{"role":"user","content":"a"}])");
}

TEST(OpenAiToAnthropic, RolesAlternate) {
  EXPECT_EQ(
      messages_of(R"([{"role":"user","content":"a"},{"role":"user","content":"b"},
                            {"role":"assistant","content":"c"},{"role":"assistant","content":""},
                            {"role":"assistant","content":"d"}])"),
      R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},)"
      R"({"role":"assistant","content":[{"type":"text","text":"c"},{"type":"text","text":"d"}]}])");
  EXPECT_EQ(messages_of("[]").substr(0, 40), "error: messages must hold a message of a");
  EXPECT_EQ(messages_of(R"([{"role":"user","content":""}])").substr(0, 6), "error:");
}

TEST(OpenAiToAnthropic, ToolCallsAndResults) {
  EXPECT_EQ(messages_of(R"([{"role":"user","content":"w?"},
        {"role":"assistant","content":null,"tool_calls":[
          {"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.0, \"b\":12345678901234567890}"}},
          {"id":"functions.g:1","type":"function","function":{"name":"g","arguments":""}}]},
        {"role":"tool","tool_call_id":"call_1","content":"sunny"},
        {"role":"tool","tool_call_id":"functions.g:1","content":[{"type":"text","text":"x"},{"type":"text","text":"y"}]},
        {"role":"user","content":"and?"}])"),
            Json::parse(R"([{"role":"user","content":"w?"},{"role":"assistant","content":[
        {"type":"tool_use","id":"call_1","name":"f","input":{"a":1.0,"b":12345678901234567890}},
        {"type":"tool_use","id":"weirhex_66756e6374696f6e732e673a31","name":"g","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"sunny"},
        {"type":"tool_result","tool_use_id":"weirhex_66756e6374696f6e732e673a31","content":[
          {"type":"text","text":"x"},{"type":"text","text":"y"}]},
        {"type":"text","text":"and?"}]}])")
                .value()
                .dump());
  // Arguments stay byte for byte, numbers that no double holds included.
  const auto r = to_anthropic(
      R"({"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"i","function":{"name":"f",
         "arguments":"{\"a\" : 12345678901234567890.10}"}}]}]})");
  EXPECT_NE(body_of(r).find(R"("input":{"a" : 12345678901234567890.10})"), std::string::npos);
  // What is no object travels all the same.
  EXPECT_NE(messages_of(R"([{"role":"assistant","tool_calls":[{"id":"i","function":{"name":"f",
         "arguments":"{\"a\": "}}]}])")
                .find(R"("input":{"INVALID_JSON":"{\"a\": "})"),
            std::string::npos);
  // Only that key alone stands for what is no object.
  EXPECT_NE(messages_back(R"("messages":[{"role":"assistant","content":[{"type":"tool_use","id":"i",
              "name":"f","input":{"INVALID_JSON":"x"}}]}])")
                .find(R"("arguments":"x")"),
            std::string::npos);
  EXPECT_NE(messages_back(R"("messages":[{"role":"assistant","content":[{"type":"tool_use","id":"i",
              "name":"f","input":{"INVALID_JSON":"x","y":1}}]}])")
                .find(R"("arguments":"{\"INVALID_JSON\":\"x\",\"y\":1}")"),
            std::string::npos);
  // Results come first in a turn, whatever the order.
  EXPECT_EQ(messages_of(R"([{"role":"user","content":"a"},
                            {"role":"tool","tool_call_id":"i","content":"r"}])"),
            R"([{"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":"r"},)"
            R"({"type":"text","text":"a"}]}])");
}

TEST(OpenAiToAnthropic, ToolsAndChoices) {
  const std::string tools =
      R"("tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object", "maximum":1e2},"strict":true}}])";
  const std::string out =
      R"("tools":[{"name":"f","description":"d","input_schema":{"type":"object", "maximum":1e2},"strict":true}])";
  EXPECT_EQ(body_of(to_anthropic(ask(tools))), sent(out));
  EXPECT_EQ(body_of(to_anthropic(ask(R"("tools":[{"type":"function","function":{"name":"f"}}])"))),
            sent(R"("tools":[{"name":"f","input_schema":{"type":"object"}}])"));
  const auto choice = [&](std::string_view given) {
    const std::string body = body_of(to_anthropic(ask(tools + "," + std::string(given))));
    const auto json = Json::parse(body);
    const Json* found = json.ok() ? json->find("tool_choice") : nullptr;
    return found == nullptr ? body : found->dump();
  };
  EXPECT_EQ(choice(R"("tool_choice":"auto")"), R"({"type":"auto"})");
  EXPECT_EQ(choice(R"("tool_choice":"none")"), R"({"type":"none"})");
  EXPECT_EQ(choice(R"("tool_choice":"required")"), R"({"type":"any"})");
  EXPECT_EQ(choice(R"("tool_choice":{"type":"function","function":{"name":"f"}})"),
            R"({"type":"tool","name":"f"})");
  EXPECT_EQ(choice(R"("parallel_tool_calls":false)"),
            R"({"type":"auto","disable_parallel_tool_use":true})");
  EXPECT_EQ(choice(R"("parallel_tool_calls":true)"), sent(out));
  EXPECT_EQ(choice(R"("tool_choice":"all")"),
            "error: tool_choice is \"all\"; it must be \"auto\", \"none\", \"required\" or a "
            "function's name in an object");
  EXPECT_EQ(body_of(to_anthropic(ask(R"("tool_choice":"none")"))), sent(""));
}

TEST(OpenAiToAnthropic, Images) {
  const auto image = [](std::string_view url) {
    return messages_of(fmt::format(
        R"([{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{}","detail":"low"}}}},
            {{"type":"text","text":"what?"}}]}}])",
        url));
  };
  EXPECT_EQ(
      image("https://x.org/a.png"),
      R"([{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://x.org/a.png"}},)"
      R"({"type":"text","text":"what?"}]}])");
  EXPECT_EQ(
      image("data:image/jpg;base64,QUJD"),
      R"([{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"QUJD"}},)"
      R"({"type":"text","text":"what?"}]}])");
  EXPECT_EQ(image("http://x.org/a.png"),
            "error: messages[0].content[0].image_url.url must be an https:// URL or "
            "data:TYPE;base64,…");
  EXPECT_EQ(image("data:image/tiff;base64,QUJD"),
            "error: messages[0].content[0].image_url.url holds \"image/tiff\"; it must be one of "
            "image/jpeg, image/png, image/gif, image/webp");
  EXPECT_EQ(messages_of(R"([{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf",
                            "file_data":"data:application/pdf;base64,QUJD"}}]}])"),
            R"([{"role":"user","content":[{"type":"document","source":{"type":"base64",)"
            R"("media_type":"application/pdf","data":"QUJD"},"title":"a.pdf"}]}])");
}

TEST(OpenAiToAnthropic, EffortAndSchema) {
  EXPECT_EQ(body_of(to_anthropic(ask(R"("reasoning_effort":"minimal")"))),
            sent(R"("thinking":{"type":"adaptive"},"output_config":{"effort":"low"})"));
  EXPECT_EQ(body_of(to_anthropic(ask(R"("reasoning_effort":"none")"))),
            sent(R"("thinking":{"type":"disabled"})"));
  TranslateOptions budget;
  budget.thinking = ThinkingStyle::kBudget;
  budget.sampling = SamplingStyle::kAll;
  const auto thinks = to_anthropic(ask(R"("reasoning_effort":"high","temperature":0.1)"), budget);
  EXPECT_EQ(body_of(thinks), sent(R"("thinking":{"type":"enabled","budget_tokens":4096})"));
  EXPECT_EQ(thinks->altered, std::vector<std::string>{"temperature"});
  // No room for the least budget.
  const auto small = to_anthropic(ask(R"("reasoning_effort":"high","max_tokens":1200)"), budget);
  EXPECT_EQ(body_of(small).find("thinking"), std::string::npos);
  EXPECT_EQ(small->altered, std::vector<std::string>{"reasoning_effort"});
  budget.thinking = ThinkingStyle::kDrop;
  EXPECT_EQ(body_of(to_anthropic(ask(R"("reasoning_effort":"high")"), budget)), sent(""));

  const std::string schema =
      R"("response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type": "object"}}})";
  EXPECT_EQ(
      body_of(to_anthropic(ask(schema))),
      sent(R"("output_config":{"format":{"type":"json_schema","schema":{"type": "object"}}})"));
  EXPECT_EQ(body_of(to_anthropic(ask(R"("response_format":{"type":"text"})"))), sent(""));
  EXPECT_EQ(body_of(to_anthropic(ask(R"("response_format":{"type":"json_object"})"))),
            "error: response_format.type has no equivalent at this model's upstream, which speaks "
            "the Anthropic protocol; give a json_schema");
}

TEST(OpenAiToAnthropic, WhatHasNoEquivalent) {
  for (const std::string_view field :
       {R"("n":2)", R"("logprobs":true)", R"("top_logprobs":3)", R"("logit_bias":{"1":5})",
        R"("presence_penalty":0.5)", R"("frequency_penalty":-1)", R"("audio":{"voice":"x"})",
        R"("modalities":["text","audio"])", R"("web_search_options":{"a":1})",
        R"("functions":[{"name":"f"}])", R"("function_call":"auto")",
        R"("moderation":{"model":"x"})", R"("stop":"\n")"}) {
    const std::string name(field.substr(1, field.find(':') - 2));
    const auto refused = to_anthropic(ask(field));
    ASSERT_FALSE(refused.ok()) << field;
    EXPECT_EQ(refused.error().param, name);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidValue);
    TranslateOptions drop;
    drop.drop_unsupported = true;
    const auto dropped = to_anthropic(ask(field), drop);
    EXPECT_EQ(body_of(dropped), sent("")) << field;
    EXPECT_EQ(dropped->altered, std::vector<std::string>{name});
  }
  for (const std::string_view field :
       {R"("n":1)", R"("logprobs":false)", R"("logit_bias":{})", R"("presence_penalty":0)",
        R"("frequency_penalty":0.0)", R"("modalities":["text"])", R"("functions":[])",
        R"("seed":null)"}) {
    const auto neutral = to_anthropic(ask(field));
    EXPECT_EQ(body_of(neutral), sent("")) << field;
    EXPECT_TRUE(neutral->altered.empty()) << field;
  }
  const auto hints = to_anthropic(ask(R"("seed":1,"store":true,"min_p":0.1,"a b\n":1)"));
  EXPECT_EQ(body_of(hints), sent(""));
  EXPECT_EQ(hints->altered,
            (std::vector<std::string>{"seed", "store", "min_p", "a member of another name"}));
  TranslateOptions strict;
  strict.refuse_unknown = true;
  EXPECT_EQ(to_anthropic(ask(R"("min_p":0.1)"), strict).error().param, "min_p");
}

TEST(OpenAiToAnthropic, ErrorsNameTheField) {
  const auto error = [](std::string_view body) {
    const auto r = to_anthropic(body);
    return r.ok() ? "ok" : r.error().param + ": " + r.error().message;
  };
  EXPECT_EQ(error(R"({"messages":[]})"), "model: model is required");
  EXPECT_EQ(error(R"([])"), "the request body: the request body must be an object, not an array");
  EXPECT_EQ(error(R"({"model":"m","messages":[{"role":"bot","content":"x"}]})"),
            "messages[0].role: messages[0].role is \"bot\"; it must be one of system, developer, "
            "user, assistant, tool");
  EXPECT_EQ(error(R"({"model":"m","messages":[{"role":"tool","content":"x"}]})"),
            "messages[0].tool_call_id: messages[0].tool_call_id is required");
  EXPECT_EQ(
      error(R"({"model":"m","messages":[{"role":"user","content":[{"type":"input_audio"}]}]})")
          .substr(0, 27),
      "messages[0].content[0].type");
  EXPECT_EQ(error(ask(R"("temperature":3)")),
            "temperature: temperature is 3; it must be between 0 and 2");
  TranslateOptions o;
  o.limits.max_messages = 1;
  EXPECT_EQ(to_anthropic(R"({"model":"m","messages":[1,2]})", o).error().message,
            "messages has 2 items; at most 1 are taken");
  o.limits.max_body_bytes = 10;
  EXPECT_EQ(to_anthropic(ask(""), o).error().code, ErrorCode::kBodyTooLarge);
  o = {};
  o.limits.max_blocks = 2;
  EXPECT_EQ(to_anthropic(R"({"model":"m","messages":[{"role":"user","content":[
              {"type":"text","text":"a"},{"type":"text","text":"b"},{"type":"text","text":"c"}]}]})",
                         o)
                .error()
                .message,
            "messages hold more than 2 content blocks or parts");
  EXPECT_EQ(translate_request(Protocol::kOpenAi, Protocol::kAnthropic, "/v1/embeddings", "{}", {})
                .error()
                .code,
            ErrorCode::kRouteNotFound);
}

TEST(AnthropicToOpenAi, TheLeastRequestAndItsNumbers) {
  const auto r = to_openai(say(""));
  EXPECT_EQ(body_of(r), posted(R"("max_completion_tokens":9)"));
  EXPECT_EQ(r->path, "/v1/chat/completions");
  EXPECT_FALSE(r->headers.contains("anthropic-version"));
  TranslateOptions o;
  o.max_tokens_by_old_name = true;
  o.engine_extras = true;
  o.upstream_model = "up";
  EXPECT_EQ(body_of(to_openai(say(R"("temperature":0.5,"top_p":0.5,"top_k":4)"), o)),
            R"({"model":"up","messages":[{"role":"user","content":"hi"}],"max_tokens":9,)"
            R"("temperature":0.5,"top_p":0.5,"top_k":4})");
  EXPECT_EQ(to_openai(say(R"("top_k":4)"))->altered, std::vector<std::string>{"top_k"});
  EXPECT_EQ(body_of(to_openai(
                say(R"("stop_sequences":["\n"],"metadata":{"user_id":"u"},"stream":true)"))),
            posted(R"("max_completion_tokens":9,"stop":["\n"],"user":"u","stream":true,)"
                   R"("stream_options":{"include_usage":true})"));
  EXPECT_EQ(body_of(to_openai(R"({"model":"m","messages":[]})")), "error: max_tokens is required");
}

TEST(AnthropicToOpenAi, Messages) {
  EXPECT_EQ(messages_back(R"("system":"S","messages":[{"role":"user","content":"a"}])"),
            R"([{"role":"system","content":"S"},{"role":"user","content":"a"}])");
  EXPECT_EQ(
      messages_back(R"("system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}},
              {"type":"text","text":"T"}],"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},
              {"role":"system","content":"now"}])"),
      R"([{"role":"system","content":[{"type":"text","text":"S"},{"type":"text","text":"T"}]},)"
      R"({"role":"user","content":[{"type":"text","text":"a"}]},{"role":"system","content":"now"}])");
  EXPECT_EQ(
      messages_back(R"("messages":[{"role":"assistant","content":[
          {"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"t"},
          {"type":"tool_use","id":"toolu_1","name":"f","input":{"a" : 1e2}},
          {"type":"tool_use","id":"weirhex_612e62","name":"g","input":{}}]},
        {"role":"user","content":[
          {"type":"tool_result","tool_use_id":"toolu_1","content":"r","is_error":true},
          {"type":"tool_result","tool_use_id":"weirhex_612e62","content":[{"type":"text","text":"x"},
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}}]},
          {"type":"text","text":"go on"}]}])"),
      R"([{"role":"assistant","content":"t","tool_calls":[)"
      R"({"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{\"a\" : 1e2}"}},)"
      R"({"id":"a.b","type":"function","function":{"name":"g","arguments":"{}"}}]},)"
      R"({"role":"tool","tool_call_id":"toolu_1","content":"r"},)"
      R"({"role":"tool","tool_call_id":"a.b","content":"x"},)"
      R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}},)"
      R"({"type":"text","text":"go on"}]}])");
  EXPECT_EQ(
      messages_back(R"("messages":[{"role":"user","content":[
          {"type":"image","source":{"type":"url","url":"https://x/a"}},
          {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"QQ"}},
          {"type":"document","source":{"type":"text","media_type":"text/plain","data":"plain"}}]}])"),
      R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/a"}},)"
      R"({"type":"file","file":{"filename":"document.pdf","file_data":"data:application/pdf;base64,QQ"}},)"
      R"({"type":"text","text":"plain"}]}])");
  EXPECT_EQ(messages_back(R"("messages":[{"role":"user","content":[{"type":"search_result"}]}])")
                .substr(0, 34),
            "error: messages[0].content[0].type");
  EXPECT_EQ(
      messages_back(
          R"("messages":[{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}])"),
      "error: messages[0].content[0].source.type has no equivalent at this model's upstream, "
      "which speaks the OpenAI protocol; use base64 or url");
}

TEST(AnthropicToOpenAi, ToolsThinkingAndSchema) {
  const std::string tools =
      R"("tools":[{"name":"f","description":"d","input_schema":{"type": "object"},"cache_control":{"type":"ephemeral"}}])";
  const std::string out =
      R"("tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type": "object"}}}])";
  const std::string max = R"(,"max_completion_tokens":9)";
  EXPECT_EQ(body_of(to_openai(say(tools))), posted(out + max));
  EXPECT_EQ(body_of(to_openai(
                say(tools + R"(,"tool_choice":{"type":"any","disable_parallel_tool_use":true})"))),
            posted(out + R"(,"tool_choice":"required","parallel_tool_calls":false)" + max));
  EXPECT_EQ(body_of(to_openai(say(tools + R"(,"tool_choice":{"type":"tool","name":"f"})"))),
            posted(out + R"(,"tool_choice":{"type":"function","function":{"name":"f"}})" + max));
  EXPECT_EQ(body_of(to_openai(say(R"("tool_choice":{"type":"none"})"))),
            posted(R"("tool_choice":"none")" + max));
  EXPECT_EQ(to_openai(say(R"("tools":[{"type":"web_search_20250305","name":"web_search"}])"))
                .error()
                .param,
            "tools[0].type");
  const auto effort = [](std::string_view field) { return body_of(to_openai(say(field))); };
  EXPECT_EQ(effort(R"("thinking":{"type":"enabled","budget_tokens":6000})"),
            posted(R"("max_completion_tokens":9,"reasoning_effort":"medium")"));
  EXPECT_EQ(effort(R"("thinking":{"type":"adaptive"},"output_config":{"effort":"max"})"),
            posted(R"("max_completion_tokens":9,"reasoning_effort":"xhigh")"));
  EXPECT_EQ(effort(R"("thinking":{"type":"disabled"})"), posted(R"("max_completion_tokens":9)"));
  TranslateOptions none;
  none.reasoning_effort = false;
  EXPECT_EQ(body_of(to_openai(say(R"("output_config":{"effort":"low"})"), none)),
            posted(R"("max_completion_tokens":9)"));
  for (const std::string_view field :
       {R"("output_config":{"format":{"type":"json_schema","schema":{"a": 1}}})",
        R"("output_format":{"type":"json_schema","schema":{"a": 1}})"}) {
    EXPECT_EQ(effort(field),
              posted(R"("max_completion_tokens":9,"response_format":{"type":"json_schema",)"
                     R"("json_schema":{"name":"output","schema":{"a": 1},"strict":true}})"));
  }
  const auto dropped = to_openai(say(R"("service_tier":"auto","context_management":{},"foo":1)"));
  EXPECT_EQ(dropped->altered,
            (std::vector<std::string>{"service_tier", "context_management", "foo"}));
  EXPECT_EQ(to_openai(say(R"("container":"c")")).error().param, "container");
  EXPECT_TRUE(to_openai(say(R"("mcp_servers":[])")).ok());
}

TEST(SameProtocol, OnlyTheModelAndTheWishForUsageChange) {
  TranslateOptions o;
  o.upstream_model = "up/\"x\"";
  const auto pass = [&](std::string_view path, std::string_view body) {
    const auto r = translate_request(Protocol::kOpenAi, Protocol::kOpenAi, path, body, o);
    return r.ok() ? r->body : "error: " + r.error().message;
  };
  EXPECT_EQ(pass(kChat, R"( { "a":1.50, "mod\u0065l" : "m" ,"b":{"model":"m"} } )"),
            R"( { "a":1.50, "mod\u0065l" : "up/\"x\"" ,"b":{"model":"m"} } )");
  EXPECT_EQ(pass(kChat, R"({"model":"m","stream":true})"),
            R"({"model":"up/\"x\"","stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_EQ(pass(kChat, R"({"stream_options":null,"stream":true})"),
            R"({"stream_options":{"include_usage":true},"stream":true})");
  EXPECT_EQ(pass(kChat, R"({"stream":true,"stream_options":{ "x":1}})"),
            R"({"stream":true,"stream_options":{"include_usage":true, "x":1}})");
  EXPECT_EQ(pass(kChat, R"({"stream":true,"stream_options":{}})"),
            R"({"stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_EQ(pass(kChat, R"({"stream":true,"stream_options":{"include_usage":false}})"),
            R"({"stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_EQ(pass(kChat, R"({"stream_options":{},"model":"m","stream":true})"),
            R"({"stream_options":{"include_usage":true},"model":"up/\"x\"","stream":true})");
  EXPECT_EQ(pass("/v1/responses", R"({"stream":true})"), R"({"stream":true})");
  EXPECT_EQ(pass(kChat, R"({"stream":false})"), R"({"stream":false})");
  EXPECT_EQ(pass(kChat, "[]"), "error: the request body must be a JSON object");
  EXPECT_EQ(pass(kChat, R"({"a":1} x)"), "error: the request body must be a JSON object");
  EXPECT_EQ(pass(kChat, "{\"a\":\"\xFF\"}"), "error: the bytes at offset 6 are not UTF-8");
  const auto own = translate_request(
      Protocol::kOpenAi, Protocol::kOpenAi, kChat,
      R"({"model":"m","stream":true,"stream_options":{"include_usage":true}})", o);
  EXPECT_TRUE(own->plan.stream && own->plan.include_usage && !own->plan.hide_usage);
  EXPECT_EQ(own->plan.client_model, "m");
  o.upstream_model = "";
  EXPECT_EQ(translate_request(Protocol::kOpenAi, Protocol::kOpenAi, kChat, R"({"model":"m"})", o)
                ->plan.client_model,
            "");
}

}  // namespace
}  // namespace weir::gateway
