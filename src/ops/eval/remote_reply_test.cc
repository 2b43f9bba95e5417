#include "ops/eval/remote_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ops/eval/tool_calls.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kChat =
    R"({"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Paris é",)"
    R"("tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},)"
    R"("finish_reason":"length"}],"usage":{"prompt_tokens":7,"completion_tokens":3}})";
constexpr std::string_view kEcho =
    R"({"choices":[{"text":"a b c d","logprobs":{"tokens":["a"," b"," c"," d"],)"
    R"("token_logprobs":[null,-1.5,-0.25,-3],"text_offset":[0,1,3,5]},"finish_reason":"length"}],)"
    R"("usage":{"prompt_tokens":3,"completion_tokens":1}})";
constexpr std::string_view kModels =
    R"({"object":"list","data":[{"id":"a","max_model_len":4096},{"id":"b"}]})";

std::string replaced(std::string_view text, std::string_view what, std::string_view by) {
  std::string out(text);
  const size_t at = out.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return out.replace(at, what.size(), by);
}

template <typename T>
std::string error_of(const Result<T>& result) {
  return result.ok() ? "no error" : result.error().message;
}

TEST(RemoteReply, AnAnswerOfAChatWithItsCalls) {
  const auto answer = parse_chat_reply(kChat);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_THAT(answer->text, ::testing::StartsWith("Paris é\n<tool_call>"));
  EXPECT_EQ(answer->prompt_tokens, 7);
  EXPECT_EQ(answer->tokens, 3);
  EXPECT_TRUE(answer->cut);
  const auto calls = parse_tool_calls(answer->text);
  ASSERT_EQ(calls.size(), 1);
  EXPECT_EQ(calls[0].name, "f");
  EXPECT_EQ(calls[0].arguments.dump(), R"({"a":1})");
}

TEST(RemoteReply, ACallMayHoldTheMarkOfItsEnd) {
  const auto answer =
      parse_chat_reply(replaced(kChat, R"(\"a\":1)", R"(\"a\":\"</tool_call><tool_call>{}\")"));
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  const auto calls = parse_tool_calls(answer->text);
  ASSERT_EQ(calls.size(), 1);
  EXPECT_EQ(calls[0].arguments.find("a")->as_string(), "</tool_call><tool_call>{}");
}

TEST(RemoteReply, ARefusalAndNoContentAreAnswers) {
  const auto refusal = parse_chat_reply(
      R"({"choices":[{"message":{"content":null,"refusal":"I can't."},"finish_reason":"stop"}]})");
  ASSERT_TRUE(refusal.ok()) << refusal.error().message;
  EXPECT_EQ(refusal->text, "I can't.");
  EXPECT_FALSE(refusal->cut);
  const auto none = parse_chat_reply(R"({"choices":[{"message":{"content":null}}]})");
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->text, "");
}

TEST(RemoteReply, LogLikelihoodOfWhatFollowsTheContext) {
  const auto logprobs = parse_prompt_logprobs(kEcho);
  ASSERT_TRUE(logprobs.ok()) << logprobs.error().message;
  ASSERT_EQ(logprobs->size(), 3);  // not what was generated
  EXPECT_TRUE(std::isnan((*logprobs)[0]));
  EXPECT_EQ(*choice_log_likelihood(*logprobs, 1), -1.75);
  EXPECT_EQ(*choice_log_likelihood(*logprobs, 2), -0.25);
  EXPECT_THAT(error_of(choice_log_likelihood(*logprobs, 0)),
              HasSubstr("token_logprobs[0] is null, a token of the choice"));
  EXPECT_THAT(error_of(choice_log_likelihood(*logprobs, 3)), HasSubstr("3 with the choice and 3"));
}

TEST(RemoteReply, AServerWithoutLogprobsOfThePromptIsNamedWithTheRemedy) {
  const std::string_view values = "[null,-1.5,-0.25,-3]";
  const struct {
    std::string body;
    const char* what;
  } cases[] = {
      {R"({"choices":[{"text":"x","logprobs":null}],"usage":{"prompt_tokens":3}})",
       "choices[0].logprobs must be an object with token_logprobs, not null"},
      {replaced(kEcho, "token_logprobs", "content"), "logprobs.token_logprobs must be a list"},
      {replaced(kEcho, values, "[-3]"), "token_logprobs has 1 entries, and the prompt 3 tokens"},
      {replaced(kEcho, "-0.25", "-1e308"), "token_logprobs[2] must be a log-probability"},
      {replaced(kEcho, "-0.25", "0.5"), "token_logprobs[2] must be a log-probability"},
      {replaced(kEcho, "-0.25", "\"x\""), "token_logprobs[2] must be a log-probability"},
  };
  for (const auto& c : cases) {
    const std::string error = error_of(parse_prompt_logprobs(c.body));
    EXPECT_THAT(error, HasSubstr(c.what)) << c.body;
    EXPECT_THAT(error, HasSubstr("vLLM and weir do")) << c.body;
    EXPECT_THAT(error, HasSubstr("without its multiple_choice tasks")) << c.body;
  }
  EXPECT_THAT(error_of(parse_prompt_logprobs(replaced(kEcho, "prompt_tokens", "x"))),
              HasSubstr("usage.prompt_tokens must be a count"));
}

TEST(RemoteReply, WhatIsWrongIsNamed) {
  EXPECT_THAT(error_of(parse_chat_reply("<html>")), HasSubstr("the reply is no JSON"));
  EXPECT_THAT(error_of(parse_chat_reply("{}")), HasSubstr("choices must be a list"));
  EXPECT_THAT(error_of(parse_chat_reply(R"({"choices":[]})")),
              HasSubstr("choices must be a list of at least one, not an empty list"));
  EXPECT_THAT(error_of(parse_chat_reply(R"({"error":{"message":"out of memory"},"choices":[]})")),
              HasSubstr("the server answered with an error: out of memory"));
  EXPECT_THAT(error_of(parse_chat_reply(R"({"choices":[1]})")), HasSubstr("choices[0] must be"));
  EXPECT_THAT(error_of(parse_chat_reply(replaced(kChat, "\"f\"", "7"))),
              HasSubstr("tool_calls[0].function.name must be a string, not 7"));
  EXPECT_THAT(error_of(parse_chat_reply(replaced(kChat, "\"Paris é\"", "[]"))),
              HasSubstr("message.content must be a string or null, not an empty list"));
  EXPECT_THAT(error_of(parse_chat_reply(replaced(kChat, ":7", ":-7"))),
              HasSubstr("usage.prompt_tokens must be a count of at most 1048576, not -7"));
  EXPECT_THAT(error_of(parse_completion_reply(kChat)), HasSubstr("choices[0].text must be"));
  std::string calls;
  for (size_t i = 0; i <= ReplyLimits::kToolCalls; ++i) calls += "{},";
  EXPECT_THAT(
      error_of(parse_chat_reply(replaced(kChat, "\"tool_calls\":[", "\"tool_calls\":[" + calls))),
      HasSubstr("tool_calls has 66 entries, more than 64"));
}

TEST(RemoteReply, HalfOfASurrogatePairIsReplaced) {
  const auto got = parse_chat_reply(R"({"choices":[{"message":{"content":"a\ud83d"}}]})");
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->text, "a\uFFFD");
}

TEST(RemoteReply, ModelsAndCounts) {
  EXPECT_EQ(parse_models_reply(kModels, "a")->window_tokens, 4096);
  EXPECT_FALSE(parse_models_reply(kModels, "b")->window_tokens.has_value());
  EXPECT_THAT(error_of(parse_models_reply(kModels, "")),
              HasSubstr("2 models; name one of them: a, b"));
  EXPECT_THAT(error_of(parse_models_reply(kModels, "c")), HasSubstr("no model c; name one"));
  EXPECT_EQ(parse_models_reply(R"({"data":[{"id":"x"}]})", "")->id, "x");
  EXPECT_EQ(*parse_token_count(R"({"count":5,"max_model_len":9})"), 5);
  EXPECT_EQ(*parse_token_count(R"({"tokens":[1,2,3]})"), 3);
  EXPECT_THAT(error_of(parse_token_count("{}")), HasSubstr("count must be"));
}

TEST(RemoteReply, WhatAnErrorSaysIsOneCleanLine) {
  EXPECT_EQ(reply_error(R"({"error":{"message":"no\nsuch \u001b[31mmodel"}})"),
            "no such  [31mmodel");
  EXPECT_EQ(reply_error(R"({"object":"error","message":"old vLLM"})"), "old vLLM");
  EXPECT_EQ(reply_error(R"({"detail":[{"msg":"x"}]})"), R"([{"msg":"x"}])");
  EXPECT_EQ(reply_error("Bad\r\nGateway\xFF"), "Bad  Gateway\xEF\xBF\xBD");
  EXPECT_LE(reply_error(std::string(100'000, 'x')).size(), ReplyLimits::kErrorBytes);
}

// A reply that ends anywhere is an error that says so, and never half an answer.
TEST(RemoteReply, CutAtEveryByte) {
  for (size_t n = 0; n < kChat.size(); ++n)
    EXPECT_THAT(error_of(parse_chat_reply(kChat.substr(0, n))), HasSubstr("no JSON")) << n;
  for (size_t n = 0; n < kEcho.size(); ++n) {
    const std::string_view cut = kEcho.substr(0, n);
    EXPECT_THAT(error_of(parse_prompt_logprobs(cut)), HasSubstr("no JSON")) << n;
    EXPECT_FALSE(parse_completion_reply(cut).ok()) << n;
    EXPECT_FALSE(parse_prompt_tokens(cut).ok()) << n;
    EXPECT_FALSE(parse_token_count(cut).ok()) << n;
    reply_error(cut);
  }
  for (size_t n = 0; n < kModels.size(); ++n)
    EXPECT_FALSE(parse_models_reply(kModels.substr(0, n), "a").ok()) << n;
}

}  // namespace
}  // namespace weir::ops
