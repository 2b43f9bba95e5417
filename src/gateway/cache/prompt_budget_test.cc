#include "gateway/cache/prompt_budget.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "gateway/cache/sentences.h"

namespace weir::gateway {
namespace {

using text::Json;

Json parse(std::string_view text) {
  auto json = Json::parse(text);
  EXPECT_TRUE(json.ok()) << text;
  return *json;
}

PromptBudgetConfig budget(int64_t tokens, PromptAction action) {
  PromptBudgetConfig c;
  c.max_input_tokens = tokens;
  c.action = action;
  return c;
}

Json message(std::string_view role, std::string_view content) {
  Json m = Json::object();
  m.set("role", role);
  m.set("content", content);
  return m;
}

// Words as tokens: easy to count.
int64_t words(std::string_view text) { return static_cast<int64_t>(words_of(text).size()); }

std::string contents(const Json& messages) {
  std::string out;
  for (const Json& m : messages.items()) {
    const Json* content = m.find("content");
    out += content != nullptr && content->is_string() ? content->as_string() : "-";
    out += "|";
  }
  return out;
}

const char* const kAgent = R"([
  {"role":"system","content":"rules"},
  {"role":"user","content":"first question here"},
  {"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},
  {"role":"tool","tool_call_id":"a","content":"result of a"},
  {"role":"assistant","content":"first answer"},
  {"role":"user","content":"second question"},
  {"role":"assistant","content":"second answer"},
  {"role":"developer","content":"more rules"},
  {"role":"user","content":"last question"},
  {"role":"assistant","content":null,"tool_calls":[{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c","type":"function","function":{"name":"g","arguments":"{}"}}]},
  {"role":"tool","tool_call_id":"b","content":"result of b"},
  {"role":"tool","tool_call_id":"c","content":"result of c"},
  {"role":"assistant","content":null,"tool_calls":[{"id":"d","type":"function","function":{"name":"f","arguments":"{}"}}]},
  {"role":"tool","tool_call_id":"d","content":"result of d"}])";

TEST(PromptBudget, CountsWhatATemplateShows) {
  const PromptBudgetConfig c;
  EXPECT_EQ(count_tokens(parse("[]"), c), 0);
  EXPECT_EQ(count_tokens(parse(R"([{"role":"user","content":"12345"}])"), c), 4 + 2);
  EXPECT_EQ(count_tokens(parse(R"([{"role":"user","content":"12345","name":"abcd"}])"), c), 4 + 3);
  EXPECT_EQ(
      count_tokens(
          parse(
              R"([{"role":"user","content":[{"type":"text","text":"1234"},{"type":"image_url","image_url":{}}]}])"),
          c),
      4 + 1 + 1000);
  EXPECT_GT(count_tokens(parse(kAgent), c, words), count_tokens(parse("[]"), c, words) + 14 * 4);
}

TEST(PromptBudget, WithinItNothingHappens) {
  const Json all = parse(kAgent);
  for (const PromptAction action :
       {PromptAction::kRefuse, PromptAction::kTruncate, PromptAction::kCompress}) {
    const int64_t tokens = count_tokens(all, {}, words);
    for (const int64_t most : {int64_t{0}, tokens, tokens + 1}) {
      const auto same = apply_prompt_budget(all, budget(most, action), words);
      ASSERT_TRUE(same.ok());
      EXPECT_FALSE(same->changed);
      EXPECT_EQ(same->messages, all);
      EXPECT_EQ(same->header(), "");
    }
  }
}

TEST(PromptBudget, Refuses) {
  const auto refused = apply_prompt_budget(parse(kAgent), budget(50, PromptAction::kRefuse), words);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kMaxInputTokensExceeded);
  EXPECT_EQ(refused.error().param, "messages");
  EXPECT_NE(refused.error().message.find("50 are taken"), std::string::npos);
}

TEST(PromptBudget, TruncatesTheOldestTurnsFirst) {
  const Json all = parse(kAgent);
  const int64_t tokens = count_tokens(all, {}, words);
  auto cut = apply_prompt_budget(all, budget(tokens - 1, PromptAction::kTruncate), words);
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(contents(cut->messages),
            "rules|second question|second answer|more rules|last question|-|result of b|result of "
            "c|-|result of d|");
  EXPECT_EQ(cut->messages_dropped, 4U);
  EXPECT_EQ(cut->tokens_after, count_tokens(cut->messages, {}, words));
  EXPECT_EQ(cut->header(),
            fmt::format("truncate; tokens={}/{}; dropped=4", tokens, cut->tokens_after));
  cut = apply_prompt_budget(all, budget(cut->tokens_after - 1, PromptAction::kTruncate), words);
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(contents(cut->messages),
            "rules|more rules|last question|-|result of b|result of c|-|result of d|");
  cut = apply_prompt_budget(all, budget(cut->tokens_after - 1, PromptAction::kTruncate), words);
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(contents(cut->messages), "rules|more rules|last question|-|result of d|");
  const auto none =
      apply_prompt_budget(all, budget(cut->tokens_after - 1, PromptAction::kTruncate), words);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::kMaxInputTokensExceeded);
}

// Whatever the conversation: within the budget, system messages and the last user message there,
// calls and results together, the order kept.
TEST(PromptBudget, PropertiesOfTruncation) {
  size_t fitted = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Rng rng(seed);
    Json all = Json::array();
    std::string last_user;
    size_t systems = 0;
    for (uint64_t i = 0; i < 3 + rng.below(20); ++i) {
      const std::string text = fmt::format("m{} {}", i, std::string(rng.below(80), 'x'));
      switch (rng.below(5)) {
        case 0:
          all.push_back(message("system", text));
          ++systems;
          break;
        case 1:
          all.push_back(message("assistant", text));
          break;
        case 2: {
          Json call = parse(R"({"role":"assistant","content":null,"tool_calls":[]})");
          const uint64_t calls = 1 + rng.below(3);
          for (uint64_t t = 0; t < calls; ++t) {
            Json one = Json::object();
            one.set("id", fmt::format("{}-{}", i, t));
            call.find("tool_calls")->push_back(std::move(one));
          }
          all.push_back(std::move(call));
          for (uint64_t t = 0; t < calls; ++t) {
            Json result = message("tool", text);
            result.set("tool_call_id", fmt::format("{}-{}", i, t));
            all.push_back(std::move(result));
          }
          break;
        }
        default:
          all.push_back(message("user", text));
          last_user = text;
      }
    }
    const int64_t most = 20 + static_cast<int64_t>(rng.below(200));
    const auto cut = apply_prompt_budget(all, budget(most, PromptAction::kTruncate));
    if (!cut.ok()) continue;
    ++fitted;
    EXPECT_LE(count_tokens(cut->messages, {}), most);
    EXPECT_EQ(cut->tokens_after, count_tokens(cut->messages, {}));
    size_t at = 0;
    bool user_there = last_user.empty();
    std::map<std::string, int> calls;
    for (const Json& m : cut->messages.items()) {
      while (at < all.size() && !(all.items()[at] == m)) ++at;
      ASSERT_LT(at++, all.size()) << "in order, and nothing new";
      if (*m.find("role") == Json("system")) --systems;
      if (*m.find("content") == Json(last_user)) user_there = true;
      if (const Json* made = m.find("tool_calls")) {
        for (const Json& c : made->items()) ++calls[c.find("id")->as_string()];
      }
      if (const Json* id = m.find("tool_call_id")) --calls[id->as_string()];
    }
    EXPECT_EQ(systems, 0U);
    EXPECT_TRUE(user_there);
    for (const auto& [id, count] : calls) EXPECT_EQ(count, 0) << seed << ": " << id;
  }
  EXPECT_GT(fitted, 200U);
}

TEST(Sentences, EveryByteThatIsNoSpaceIsInOne) {
  const auto split = [](std::string_view text) {
    std::string out;
    for (const Sentence& s : split_sentences(text)) {
      out += s.starts_paragraph ? "[" : "<";
      out += text.substr(s.begin, s.end - s.begin);
      out += ">";
    }
    return out;
  };
  EXPECT_EQ(split("One. Two!  Three?\nFour 1.5 e.g.x\n\nFive"),
            "[One.><Two!><Three?><Four 1.5 e.g.x>[Five>");
  EXPECT_EQ(split(" \n "), "");
  EXPECT_EQ(split("一。二！三"), "[一。><二！><三>");
  EXPECT_EQ(words_of("Der Maß-Stab, C3PO 日本 naïve"),
            (std::vector<std::string>{"der", "maß", "stab", "c3po", "日", "本", "naïve"}));
  Rng rng(3);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (uint64_t n = rng.below(40); n > 0; --n) text += std::string_view("ab. \n!?")[rng.below(7)];
    std::string joined;
    size_t before = 0;
    for (const Sentence& s : split_sentences(text)) {
      ASSERT_LT(s.begin, s.end);
      ASSERT_GE(s.begin, before);
      joined += text.substr(s.begin, s.end - s.begin);
      before = s.end;
    }
    const auto bare = [](std::string t) {
      std::erase_if(t, [](char c) { return c == ' ' || c == '\n'; });
      return t;
    };
    ASSERT_EQ(bare(joined), bare(text));
  }
}

TEST(Sentences, RareWordsOfTheQuestionCountMost) {
  const auto scores = bm25_scores(
      {"the cat sat", "the zebra ran", "the dog the the", "zebra zebra stripes", "none"},
      "the zebra");
  EXPECT_EQ(scores[1], 1.0);
  EXPECT_GT(scores[3], scores[2]);
  EXPECT_GT(scores[2], scores[0]) << "twice counts more than once";
  EXPECT_GT(scores[0], 0.0);
  EXPECT_EQ(scores[4], 0.0);
  EXPECT_EQ(bm25_scores({"a", "b"}, "c"), (std::vector<double>{0, 0}));
  EXPECT_TRUE(bm25_scores({}, "c").empty());
}

TEST(PromptBudget, CompressionKeepsWhatTheQuestionIsAbout) {
  std::string document;
  for (int i = 0; i < 100; ++i)
    document += fmt::format("Filler sentence number {} says little. ", i);
  document += "The reactor in Oslo was built in 1961. ";
  for (int i = 0; i < 100; ++i) document += fmt::format("More filler about topic {} here. ", i);
  Json all = Json::array();
  all.push_back(message("system", "Answer briefly. Do not guess."));
  all.push_back(message("user", document));
  all.push_back(message("assistant", "I have read it."));
  all.push_back(message("user", "When was the reactor in Oslo built?"));
  const auto short_one = apply_prompt_budget(all, budget(80, PromptAction::kCompress), words);
  ASSERT_TRUE(short_one.ok()) << short_one.error().message;
  const Json& m = short_one->messages;
  EXPECT_EQ(m.size(), 4U);
  EXPECT_EQ(m.items()[0], all.items()[0]);
  EXPECT_EQ(m.items()[3], all.items()[3]);
  const std::string kept = m.items()[1].find("content")->as_string();
  EXPECT_NE(kept.find("The reactor in Oslo was built in 1961."), std::string::npos) << kept;
  EXPECT_NE(kept.find(kGap), std::string::npos);
  EXPECT_LE(count_tokens(m, {}, words), 80);
  EXPECT_EQ(short_one->tokens_after, count_tokens(m, {}, words));
  EXPECT_GT(short_one->tokens_after, 60) << "the room is used";
  EXPECT_LT(short_one->ratio(), 0.1);
  // The spans are what stands between the gaps.
  std::string joined;
  for (const KeptSpan& s : short_one->spans) {
    if (s.message != 1) continue;
    if (s.begin > 0) joined += kGap;
    joined += document.substr(s.begin, s.end - s.begin);
  }
  EXPECT_EQ(joined + std::string(kGap), kept);
  EXPECT_TRUE(short_one->header().starts_with("compress; tokens="));
  EXPECT_LE(short_one->header().size(), 512U);
  // The same again gives the same.
  EXPECT_EQ(apply_prompt_budget(all, budget(80, PromptAction::kCompress), words)->messages, m);
  // Four messages, five words of the system and seven of the question: these stay in any case.
  EXPECT_TRUE(apply_prompt_budget(all, budget(28, PromptAction::kCompress), words).ok());
  EXPECT_FALSE(apply_prompt_budget(all, budget(27, PromptAction::kCompress), words).ok());
}

TEST(PromptBudget, TheHeaderIsBounded) {
  std::string document;
  for (int i = 0; i < 200; ++i) document += i % 2 == 0 ? "The zebra runs. " : "Nothing at all. ";
  Json all = Json::array();
  all.push_back(message("user", document));
  all.push_back(message("user", "Where does the zebra run?"));
  const auto done = apply_prompt_budget(all, budget(313, PromptAction::kCompress), words);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_GT(done->spans.size(), 90U);
  EXPECT_LE(done->header().size(), 512U);
  EXPECT_GT(done->header().size(), 480U);
  EXPECT_TRUE(done->header().ends_with(",..."));
}

TEST(PromptBudget, CompressionOfPartsAndTools) {
  Json all = parse(kAgent);
  std::string long_text = "Unrelated. ";
  for (int i = 0; i < 50; ++i) long_text += fmt::format("Noise {} noise. ", i);
  *all.items()[3].find("content") = long_text + "The last question is answered by z.";
  all.items()[1].set("content", parse(R"([{"type":"text","text":"A b c. D e f."},
      {"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"G h i. J k l."}])"));
  PromptBudgetConfig c = budget(count_tokens(all, {}, words) - 90, PromptAction::kCompress);
  const auto done = apply_prompt_budget(all, c, words);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_LE(done->tokens_after, c.max_input_tokens);
  for (size_t i = 0; i < all.size(); ++i) {
    const Json& was = all.items()[i];
    const Json& is = done->messages.items()[i];
    EXPECT_EQ(*is.find("role"), *was.find("role"));
    const Json* calls = was.find("tool_calls");
    if (calls != nullptr) {
      EXPECT_EQ(*is.find("tool_calls"), *calls);
    }
  }
  EXPECT_EQ(done->messages.items()[1].find("content")->items()[1],
            all.items()[1].find("content")->items()[1]);
  EXPECT_NE(done->messages.items()[3].find("content")->as_string().find("answered by z"),
            std::string::npos);
}

// With any counter and any text the result is within the budget, or an error says that it cannot.
TEST(PromptBudget, PropertiesOfCompression) {
  size_t fitted = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    Json all = Json::array();
    for (uint64_t i = 0; i < 2 + rng.below(6); ++i) {
      std::string text;
      for (uint64_t s = rng.below(30); s > 0; --s) {
        for (uint64_t w = rng.below(8); w > 0; --w) text += fmt::format("w{} ", rng.below(50));
        text += std::string_view(".\n!?")[rng.below(4)];
        text += rng.below(3) == 0 ? "\n\n" : " ";
      }
      all.push_back(message(rng.below(2) == 0 ? "user" : "assistant", text));
    }
    all.push_back(message("user", "What is w7?"));
    const int64_t most = 40 + static_cast<int64_t>(rng.below(300));
    const bool counted = rng.below(2) == 0;
    const TokenCounter counter = counted ? TokenCounter(words) : TokenCounter();
    const auto done = apply_prompt_budget(all, budget(most, PromptAction::kCompress), counter);
    if (!done.ok()) {
      EXPECT_EQ(done.error().code, ErrorCode::kMaxInputTokensExceeded);
      continue;
    }
    ++fitted;
    EXPECT_LE(count_tokens(done->messages, {}, counter), most);
    EXPECT_EQ(done->messages.items().back(), all.items().back());
    EXPECT_LE(done->header().size(), 512U);
  }
  EXPECT_GT(fitted, 150U);
}

}  // namespace
}  // namespace weir::gateway
