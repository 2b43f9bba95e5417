// Completions with echo and logprobs, over a socket.
#include "server/logprob_entries.h"
#include "server/server_testing.h"

namespace weir::server {
namespace {

class EchoLogprobsTest : public ServerTest {
 protected:
  Json answer(const std::string& members) { return parsed(complete(members)); }
  static const Json& choice(const Json& answer, size_t i) {
    return answer.find("choices")->items().at(i);
  }
  static const Json& logprobs(const Json& answer, size_t i) {
    return *choice(answer, i).find("logprobs");
  }
  // What the tokens, one after the other, say.
  static std::string joined(const Json& tokens) {
    std::string text;
    for (const Json& t : tokens.items()) text += t.as_string();
    return text;
  }
};

TEST_F(EchoLogprobsTest, ThePromptsTokensComeFirst) {
  start();
  const Json a = answer(R"("max_tokens":3,"echo":true,"logprobs":2,"ignore_eos":true)");
  const Json& lp = logprobs(a, 0);
  const auto prompt = static_cast<size_t>(a.find("usage")->find("prompt_tokens")->as_int());
  ASSERT_EQ(lp.find("tokens")->size(), prompt + 3);
  ASSERT_EQ(lp.find("token_logprobs")->size(), prompt + 3);
  ASSERT_EQ(lp.find("top_logprobs")->size(), prompt + 3);
  ASSERT_EQ(lp.find("text_offset")->size(), prompt + 3);
  EXPECT_EQ(choice(a, 0).find("text")->as_string().substr(0, 5), "hello");
  EXPECT_EQ(joined(*lp.find("tokens")).substr(0, 5), "hello");
  EXPECT_TRUE(lp.find("token_logprobs")->items()[0].is_null());
  EXPECT_TRUE(lp.find("top_logprobs")->items()[0].is_null());
  for (size_t i = 1; i < prompt + 3; ++i) {
    const double own = lp.find("token_logprobs")->items()[i].as_double();
    EXPECT_LT(own, 0);
    const Json& top = lp.find("top_logprobs")->items()[i];
    EXPECT_GE(top.size(), 1U);
    EXPECT_LE(top.size(), 3U);
    EXPECT_GE(top.members()[0].second.as_double(), own);
  }
  EXPECT_EQ(lp.find("text_offset")->items()[prompt].as_int(), 5);
}

TEST_F(EchoLogprobsTest, AnswersAreTheSameStreamedRepeatedAndInManyChoices) {
  start();
  const std::string members = R"("max_tokens":3,"echo":true,"logprobs":1,"ignore_eos":true)";
  const std::string want = logprobs(answer(members), 0).dump();
  EXPECT_EQ(logprobs(answer(members), 0).dump(), want) << "the prefix cache has the prompt now";
  const Json many = answer(members + R"(,"n":2)");
  EXPECT_EQ(logprobs(many, 0).dump(), want);
  const std::string prompt = R"(["hell","o")";
  const std::string other = logprobs(many, 1).find("tokens")->dump();
  EXPECT_EQ(other.substr(0, prompt.size()), prompt);

  const auto stream = complete(members + R"(,"stream":true)");
  ASSERT_TRUE(stream.has_value());
  std::vector<std::string> tokens, offsets;
  std::istringstream lines(stream->body);
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("data: {", 0) != 0) continue;
    const auto chunk = Json::parse(line.substr(6));
    ASSERT_TRUE(chunk.ok());
    text += choice(*chunk, 0).find("text")->as_string();
    const Json* lp = choice(*chunk, 0).find("logprobs");
    if (lp->is_null()) continue;
    for (const Json& t : lp->find("tokens")->items()) tokens.push_back(t.as_string());
    for (const Json& o : lp->find("text_offset")->items())
      offsets.push_back(std::to_string(o.as_int()));
  }
  const Json whole = answer(members);
  EXPECT_EQ(text, choice(whole, 0).find("text")->as_string());
  // Up to the first generated one: behind it bytes that are no text take another length.
  ASSERT_GE(offsets.size(), 3U);
  const std::string first = fmt::format("[{},{},{}", offsets[0], offsets[1], offsets[2]);
  EXPECT_EQ(logprobs(whole, 0).find("text_offset")->dump().substr(0, first.size()), first);
  EXPECT_EQ(tokens.size(), logprobs(whole, 0).find("tokens")->size());
}

TEST_F(EchoLogprobsTest, NoTokenNeedBeGenerated) {
  start();
  const Json a = answer(R"("max_tokens":0,"echo":true,"logprobs":1)");
  EXPECT_EQ(choice(a, 0).find("text")->as_string(), "hello");
  EXPECT_EQ(choice(a, 0).find("finish_reason")->as_string(), "length");
  EXPECT_EQ(logprobs(a, 0).find("tokens")->dump(), R"(["hell","o"])");
  EXPECT_EQ(a.find("usage")->find("completion_tokens")->as_int(), 0);
  const Json plain = answer(R"("max_tokens":0,"echo":true)");
  EXPECT_EQ(choice(plain, 0).find("text")->as_string(), "hello");
  EXPECT_TRUE(choice(plain, 0).find("logprobs")->is_null());
  EXPECT_TRUE(eventually([&] { return engine_is_empty(); }));
}

TEST_F(EchoLogprobsTest, WhatEndsTheAnswerIsCountedButNotShown) {
  start();
  const Json a = answer(R"("max_tokens":1,"echo":true,"logprobs":1,"logit_bias":{"260":100})");
  const Json& lp = logprobs(a, 0);
  EXPECT_EQ(choice(a, 0).find("text")->as_string(), "hello");
  EXPECT_EQ(choice(a, 0).find("finish_reason")->as_string(), "stop");
  EXPECT_EQ(lp.find("tokens")->dump(), R"(["hell","o","</s>"])");
  EXPECT_EQ(lp.find("text_offset")->dump(), "[0,4,5]");
}

TEST_F(EchoLogprobsTest, IsRefusedWhereItWouldNotEnd) {
  start();
  EXPECT_EQ(error_code(complete(R"("max_tokens":0)")), "invalid_value");
  EXPECT_EQ(error_code(complete(R"("prompt_logprobs":1)")), "invalid_value");
  EXPECT_EQ(error_code(complete(R"("echo":true,"logprobs":1,"stream":true,"n":2)")),
            "invalid_value");
}

TEST(PromptEntries, OffsetsFollowTheTextThatIsShown) {
  const auto tokenizer = engine::tiny_tokenizer();
  const auto offsets = [&](std::string_view shown, std::vector<int32_t> ids) {
    std::vector<engine::TokenInfo> tokens;
    for (const int32_t id : ids) tokens.push_back({id, -1, {}});
    std::vector<int64_t> characters;
    for (const api::TokenLogprob& e : prompt_entries(*tokenizer, shown, tokens))
      characters.push_back(*e.shown_characters);
    return characters;
  };
  const std::vector<int32_t> he{tokenizer->encode("h").at(0), tokenizer->encode("e").at(0)};
  const std::vector<int32_t> blank = tokenizer->encode(" ");
  ASSERT_EQ(blank.size(), 1U);
  using Counts = std::vector<int64_t>;
  EXPECT_EQ(offsets("he", he), (Counts{1, 1}));
  EXPECT_EQ(offsets("he", {260, he[0], he[1]}), (Counts{0, 1, 1}));       // a BOS that was added
  EXPECT_EQ(offsets("</s>he", {260, he[0], he[1]}), (Counts{4, 1, 1}));   // one that was written
  EXPECT_EQ(offsets("he", {blank[0], he[0], he[1]}), (Counts{0, 1, 1}));  // a space put first
  EXPECT_EQ(offsets("\xEF\xBF\xBD", {he[0]}), (Counts{1}));               // the last has the rest
}

}  // namespace
}  // namespace weir::server
