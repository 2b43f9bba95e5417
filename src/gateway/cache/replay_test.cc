#include "gateway/cache/replay.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace weir::gateway {
namespace {

using text::Json;

Json parse(std::string_view text) {
  auto json = Json::parse(text);
  EXPECT_TRUE(json.ok()) << text;
  return *json;
}

std::vector<std::string> play(const Json& answer, bool usage = true, size_t bytes = 8) {
  auto events = replay_stream(answer, {usage, bytes});
  EXPECT_TRUE(events.ok()) << events.error().message;
  return *events;
}

Result<Json> assemble(const std::vector<std::string>& events) {
  StreamAssembler stream(1 << 20);
  for (const std::string& e : events) WEIR_TRY(stream.add(e));
  return stream.finish();
}

std::string sorted(const Json& json) {
  text::JsonDump dump;
  dump.sort_keys = true;
  return json.dump(dump);
}

// What an OpenAI server streams, with all that can be in it.
const std::vector<std::string> kChatStream = {
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null})",
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":{"content":[{"token":"Hel","logprob":-0.5}]},"finish_reason":null}],"obfuscation":"zz"})",
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":1,"delta":{"reasoning_content":"think"},"finish_reason":null}]})",
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"lo"},"logprobs":{"content":[{"token":"lo","logprob":-1.5}]},"finish_reason":null},{"index":1,"delta":{"reasoning_content":"ing"},"finish_reason":null}]})",
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"id":"t0","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]})",
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]},"finish_reason":null}]})",
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}},{"index":1,"id":"t1","type":"function","function":{"name":"g","arguments":"{}"}}]},"finish_reason":null}]})",
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{},"finish_reason":"tool_calls"}]})",
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}})",
    "[DONE]"};

const char* const kChatWhole =
    R"({"id":"c1","object":"chat.completion","created":7,"model":"m",
        "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7},
        "choices":[
          {"index":0,"finish_reason":"stop",
           "logprobs":{"content":[{"token":"Hel","logprob":-0.5},{"token":"lo","logprob":-1.5}]},
           "message":{"role":"assistant","content":"Hello"}},
          {"index":1,"finish_reason":"tool_calls",
           "message":{"role":"assistant","content":null,"reasoning_content":"thinking",
             "tool_calls":[
               {"id":"t0","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
               {"id":"t1","type":"function","function":{"name":"g","arguments":"{}"}}]}}]})";

TEST(Replay, AStreamBecomesWhole) {
  const auto whole = assemble(kChatStream);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_EQ(sorted(*whole), sorted(parse(kChatWhole)));
}

TEST(Replay, CompletionsToo) {
  const auto whole = assemble(
      {R"({"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"a b","logprobs":{"tokens":["a"],"token_logprobs":[-1],"text_offset":[0]},"finish_reason":null}]})",
       R"({"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"c","logprobs":{"tokens":["c"],"token_logprobs":[-2],"text_offset":[3]},"finish_reason":"length"}]})",
       "[DONE]"});
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_EQ(
      sorted(*whole),
      sorted(parse(
          R"({"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"a bc","logprobs":{"tokens":["a","c"],"token_logprobs":[-1,-2],"text_offset":[0,3]},"finish_reason":"length"}]})")));
  EXPECT_EQ(sorted(*assemble(play(*whole))), sorted(*whole));
}

TEST(Replay, AWholeAnswerIsPlayedInPieces) {
  const Json whole = parse(
      R"({"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,
          "message":{"role":"assistant","content":"One two three, then four."},"logprobs":null,
          "finish_reason":"stop"}],"usage":{"total_tokens":9}})");
  const auto events = play(whole);
  ASSERT_GE(events.size(), 7U);
  std::string text;
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    const Json event = parse(events[i]);
    EXPECT_EQ(event.find("object")->as_string(), "chat.completion.chunk");
    EXPECT_EQ(event.find("id")->as_string(), "c");
    if (event.find("choices")->size() == 0) {
      EXPECT_EQ(i + 2, events.size()) << "usage comes last";
      EXPECT_EQ(event.find("usage")->find("total_tokens")->as_int(), 9);
      continue;
    }
    EXPECT_EQ(event.find("usage"), nullptr);
    const Json& choice = event.find("choices")->items()[0];
    const Json* piece = choice.find("delta")->find("content");
    if (piece != nullptr) {
      EXPECT_LE(piece->size(), 8U);
      text += piece->as_string();
    }
    EXPECT_EQ(choice.find("finish_reason")->is_string(), i + 3 == events.size());
  }
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_EQ(text, "One two three, then four.");
  EXPECT_EQ(play(whole, false).size() + 1, events.size());
  EXPECT_FALSE(replay_stream(parse(R"({"object":"list","data":[]})"), {}).ok());
  EXPECT_FALSE(
      replay_stream(parse(R"({"object":"chat.completion","choices":[{"index":0}]})"), {}).ok());
}

TEST(Replay, ToAStreamAndBackIsTheSame) {
  EXPECT_EQ(sorted(*assemble(play(parse(kChatWhole)))), sorted(parse(kChatWhole)));
  const std::vector<std::string> atoms = {"a", " ",  "\n", "\\", "\"", "ä",     "€",   "😀",
                                          "{", "0x", "",   "\t", "ß",  "word ", "日本"};
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    const auto text = [&](size_t most) {
      std::string out;
      for (uint64_t i = rng.below(most); i > 0; --i) out += atoms[rng.below(atoms.size())];
      return out;
    };
    Json answer = parse(R"({"id":"x","object":"chat.completion","created":1,"model":"m"})");
    Json choices = Json::array();
    for (uint64_t c = 0; c <= rng.below(3); ++c) {
      Json message = Json::object();
      message.set("role", "assistant");
      message.set("content", rng.below(5) == 0 ? Json(nullptr) : Json(text(60)));
      if (rng.below(3) == 0) message.set("refusal", text(10));
      if (rng.below(3) == 0) message.set("reasoning_content", text(30));
      if (rng.below(2) == 0) {
        Json calls = Json::array();
        for (uint64_t t = 0; t <= rng.below(3); ++t) {
          Json call = parse(R"({"id":"t","type":"function","function":{"name":"f"}})");
          call.find("function")->set("arguments", text(40));
          calls.push_back(std::move(call));
        }
        message.set("tool_calls", std::move(calls));
      }
      Json choice = Json::object();
      choice.set("index", static_cast<int64_t>(c));
      choice.set("message", std::move(message));
      if (rng.below(2) == 0) {
        choice.set("logprobs", parse(R"({"content":[{"token":"t","logprob":-1}]})"));
      } else {
        choice.set("logprobs", nullptr);
      }
      choice.set("finish_reason", "stop");
      choices.push_back(std::move(choice));
    }
    answer.set("choices", std::move(choices));
    answer.set("usage", parse(R"({"total_tokens":1})"));
    const auto events = play(answer, true, 1 + rng.below(40));
    const auto again = assemble(events);
    ASSERT_TRUE(again.ok()) << again.error().message;
    ASSERT_EQ(sorted(*again), sorted(answer)) << seed;
  }
}

TEST(Replay, WhatIsCutOrBrokenIsNotWhole) {
  for (size_t cut = 0; cut < kChatStream.size(); ++cut)
    EXPECT_FALSE(
        assemble({kChatStream.begin(), kChatStream.begin() + static_cast<long>(cut)}).ok());
  const std::string& good = kChatStream[1];
  for (
      const std::string& bad :
      {std::string(R"({"error":{"message":"overloaded"}})"),
       std::string(R"({"object":"chat.completion.chunk","choices":[],"error":{"code":500}})"),
       std::string("{}"), std::string("1"), std::string("{\"object\""),
       std::string(R"({"object":"list","choices":[]})"),
       std::string(R"({"object":"text_completion","choices":[]})"),
       std::string(R"({"object":"chat.completion.chunk","choices":[{"delta":{}}]})"),
       std::string(R"({"object":"chat.completion.chunk","choices":[{"index":-1,"delta":{}}]})"),
       std::string(R"({"object":"chat.completion.chunk","choices":[{"index":128,"delta":{}}]})"),
       std::string(R"({"object":"chat.completion.chunk","choices":[{"index":0,"delta":1}]})"),
       std::string(
           R"({"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":1}]}}]})"),
       std::string(
           R"({"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{}]}}]})")})
    EXPECT_FALSE(assemble({good, bad, kChatStream[7], "[DONE]"}).ok()) << bad;
  EXPECT_FALSE(assemble({good, kChatStream[7], "[DONE]", good}).ok());
  EXPECT_FALSE(assemble({"[DONE]"}).ok());
  EXPECT_FALSE(assemble({kChatStream[0], "[DONE]"}).ok()) << "without finish_reason";
  StreamAssembler small(100);
  EXPECT_EQ(small.add(good).error().code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace weir::gateway
