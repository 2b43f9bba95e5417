#include "gateway/answer_checks.h"

#include <gtest/gtest.h>

#include <chrono>

namespace weir::gateway {
namespace {

using text::Json;

Json json(std::string_view text) {
  auto parsed = Json::parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return std::move(*parsed);
}

AnswerContent saying(std::string text) { return {std::move(text), {}, {}}; }

TEST(AnswerChecks, ExpressionsAndSchemas) {
  AnswerCheckConfig c;
  c.regex = "^\\{";
  c.schema = json(R"({"type":"object","required":["a"]})");
  const AnswerChecks checks(c);
  EXPECT_EQ(checks.refused_by(saying(R"({"a":1})")), "");
  EXPECT_EQ(checks.refused_by(saying(R"( {"a":1})")), "regex");
  EXPECT_EQ(checks.refused_by(saying(R"({"b":1})")), "schema");
  EXPECT_EQ(checks.refused_by(saying(R"({"a":1)")), "schema");
  const std::string long_text = R"({"a":")" + std::string(AnswerChecks::kMaxTextBytes, 'x') + "\"}";
  EXPECT_EQ(checks.refused_by(saying(long_text)), "regex");
}

TEST(AnswerChecks, AnExpressionThatExplodesIsRefusedSoon) {
  AnswerCheckConfig c;
  c.regex = "(a+)+$";
  const AnswerChecks checks(c);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(checks.refused_by(saying(std::string(200, 'a') + "b")), "regex");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

TEST(AnswerChecks, LogProbabilitiesAreThoseOfTheFirstChoice) {
  const Json chat = json(R"({"choices":[{"message":{"content":"a b"},"logprobs":{"content":[
      {"token":"a","logprob":-0.5},{"token":" b","logprob":-1.5}]}}]})");
  const AnswerContent content = read_answer_content(chat);
  EXPECT_EQ(content.text, "a b");
  EXPECT_EQ(content.mean_logprob, -1);
  EXPECT_EQ(content.least_logprob, -1.5);
  AnswerCheckConfig c;
  c.mean_logprob = -1;
  EXPECT_EQ(AnswerChecks(c).refused_by(content), "");
  c.least_logprob = -1.4;
  EXPECT_EQ(AnswerChecks(c).refused_by(content), "logprob");
  EXPECT_EQ(AnswerChecks(c).refused_by(saying("a")), "logprob") << "there are none";
  const Json completion = json(
      R"({"choices":[{"text":"c","logprobs":{"token_logprobs":[null,-2],"tokens":["a","b"]}}]})");
  EXPECT_EQ(read_answer_content(completion).mean_logprob, -2);
}

TEST(AnswerChecks, TextsOfEveryKindOfAnswer) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"choices":[{"text":"a"}]})", "a"},
      {R"({"content":[{"type":"thinking","thinking":"x"},{"type":"text","text":"a"},{"type":"text","text":"b"}]})",
       "ab"},
      {R"({"output":[{"type":"reasoning"},{"content":[{"type":"output_text","text":"a"}]}]})", "a"},
      {R"({"choices":[{"message":{"content":null,"tool_calls":[]}}]})", ""},
      {R"({"choices":[]})", ""},
      {R"({"choices":7,"content":7,"output":7})", ""},
      {"7", ""}};
  for (const auto& [answer, text] : rows)
    EXPECT_EQ(read_answer_content(json(answer)).text, text) << answer;
}

TEST(AnswerChecks, AStepIsAskedWholeAndWithLogProbabilities) {
  const auto asked = [](const char* body, const char* route, bool logprobs) {
    return whole_request(json(body), route, logprobs);
  };
  const char* chat = "/v1/chat/completions";
  EXPECT_EQ(asked(R"({"stream":true,"stream_options":{"a":1},"n":1})", chat, true),
            R"({"stream":false,"n":1,"logprobs":true})");
  EXPECT_EQ(asked(R"({"n":1})", chat, false), R"({"n":1})");
  EXPECT_EQ(asked(R"({"logprobs":true})", chat, true), R"({"logprobs":true})");
  EXPECT_EQ(asked("{}", "/v1/completions", true), R"({"logprobs":1})");
  EXPECT_EQ(asked("{}", "/v1/messages", true), "{}");
  EXPECT_TRUE(asks_logprobs(json(R"({"logprobs":0})")));
  EXPECT_FALSE(asks_logprobs(json(R"({"logprobs":false})")));
  Json answer = json(R"({"choices":[{"logprobs":{"content":[]},"index":0}]})");
  strip_logprobs(answer);
  EXPECT_EQ(answer.dump(), R"({"choices":[{"logprobs":null,"index":0}]})");
}

TEST(AnswerChecks, JudgesReadQuestionAndAnswer) {
  AnswerCheckConfig c;
  c.judge =
      JudgeConfig{.model = "j", .prompt = "Q {question} A {answer}?", .accept = "(?i)^yes\\b"};
  const AnswerChecks checks(c);
  const Json body = json(checks.judge_request({"why", "", 0}, "{question}"));
  EXPECT_EQ(body.find("messages")->items()[0].find("content")->as_string(), "Q why A {question}?");
  EXPECT_EQ(body.find("max_tokens")->as_int(), 256);
  EXPECT_TRUE(checks.judge_accepts("Yes."));
  EXPECT_FALSE(checks.judge_accepts("No, yes would be wrong"));
}

TEST(AnswerChecks, ProgramsSayTrueOrFalse) {
  EXPECT_EQ(json(http_check_body("m\"", "/r", R"({"a":1})", "[]")).find("model")->as_string(),
            "m\"");
  EXPECT_TRUE(*http_check_verdict(200, R"({"accept":true})"));
  EXPECT_FALSE(*http_check_verdict(200, R"({"accept":false,"why":"x"})"));
  const std::string good = R"({"accept":true})";
  for (size_t cut = 0; cut < good.size(); ++cut)
    EXPECT_FALSE(http_check_verdict(200, good.substr(0, cut)).ok()) << cut;
  EXPECT_FALSE(http_check_verdict(500, good).ok());
  EXPECT_FALSE(http_check_verdict(200, R"({"accept":1})").ok());
}

TEST(AnswerChecks, AWholeAnswerIsPlayedInTheClientsProtocol) {
  const std::string chat =
      R"({"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}})";
  auto events = play_as_stream(json(chat), chat, "/v1/chat/completions", Protocol::kOpenAi, true);
  ASSERT_TRUE(events.ok()) << events.error().message;
  EXPECT_EQ(events->back(), "data: [DONE]\n\n");
  const std::string message =
      R"({"id":"1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hello there"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}})";
  events = play_as_stream(json(message), message, "/v1/messages", Protocol::kAnthropic, false);
  ASSERT_TRUE(events.ok()) << events.error().message;
  std::string all;
  for (const std::string& e : *events) all += e;
  EXPECT_EQ(all.substr(0, 21), "event: message_start\n") << all;
  EXPECT_NE(all.find("Hello there"), std::string::npos) << all;
  EXPECT_NE(all.find(R"("output_tokens":2)"), std::string::npos) << all;
  EXPECT_NE(all.find("event: message_stop\n"), std::string::npos) << all;
  EXPECT_FALSE(
      play_as_stream(json("{}"), "{}", "/v1/chat/completions", Protocol::kOpenAi, false).ok());
  EXPECT_FALSE(play_as_stream(json("{}"), "{}", "/v1/messages", Protocol::kAnthropic, false).ok());
}

}  // namespace
}  // namespace weir::gateway
