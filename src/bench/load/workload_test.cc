#include "bench/load/workload.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "bench/load/prompt_text.h"

namespace weir::bench {
namespace {

PromptWords words(int32_t overhead = 0) {
  PromptWords w;
  for (const std::string_view word : default_words()) w.words.emplace_back(word);
  w.overhead_tokens = overhead;
  return w;
}

int count(std::string_view text) {
  return text.empty() ? 0 : static_cast<int>(std::count(text.begin(), text.end(), ' ')) + 1;
}

WorkloadSpec spec() {
  WorkloadSpec s;
  s.prompt = *parse_length("", "uniform:50-90");
  s.output = *parse_length("", "lognormal:20:0.5");
  return s;
}

TEST(PromptText, HasTheWantedTokens) {
  const std::vector<Piece> pieces{{1, 10}, {2, 5}};
  EXPECT_EQ(count(prompt_text(words(), 1, pieces)), 15);
  EXPECT_EQ(count(prompt_text(words(3), 1, pieces)), 12);
  EXPECT_EQ(count(prompt_text(words(99), 1, pieces)), 1);
}

TEST(PromptText, EqualPiecesShareTheirText) {
  const std::string a = prompt_text(words(), 1, std::vector<Piece>{{7, 100}, {8, 20}});
  const std::string b = prompt_text(words(), 1, std::vector<Piece>{{7, 100}, {9, 20}});
  const std::string part = prompt_text(words(), 1, std::vector<Piece>{{7, 60}});
  const std::string head = prompt_text(words(), 1, std::vector<Piece>{{7, 100}});
  EXPECT_TRUE(a.starts_with(head + " "));
  EXPECT_TRUE(b.starts_with(head + " "));
  EXPECT_TRUE(head.starts_with(part + " "));
  EXPECT_NE(a, b);
  // Overhead is taken from the end: it does not move what is shared.
  EXPECT_TRUE(prompt_text(words(2), 1, std::vector<Piece>{{7, 100}, {8, 20}}).starts_with(head));
  EXPECT_NE(prompt_text(words(), 2, std::vector<Piece>{{7, 100}}), head);
}

TEST(Workload, IsAFunctionOfSpecAndIndex) {
  const auto w = Workload::make(spec(), nullptr);
  ASSERT_TRUE(w.ok());
  std::set<uint64_t> ids;
  for (uint64_t i = 0; i < 200; ++i) {
    const Conversation a = w->conversation(i);
    const Conversation b = Workload::make(spec(), nullptr)->conversation(i);
    ASSERT_EQ(a.turns.size(), 1U);
    EXPECT_EQ(a.turns[0].pieces, b.turns[0].pieces);
    EXPECT_EQ(a.turns[0].output_tokens, b.turns[0].output_tokens);
    EXPECT_GE(a.prompt_tokens(), 50);
    EXPECT_LE(a.prompt_tokens(), 90);
    EXPECT_TRUE(ids.insert(a.turns[0].pieces[0].id).second) << "a prompt comes twice";
  }
}

TEST(Workload, GroupsFollowZipf) {
  WorkloadSpec s = spec();
  s.prefix_tokens = 40;
  s.groups = 4;
  s.zipf = 1;
  const auto w = Workload::make(s, nullptr);
  std::map<int32_t, int> seen;
  std::map<int32_t, uint64_t> ids;
  constexpr int kDraws = 20000;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const Conversation c = w->conversation(i);
    ++seen[c.group];
    ASSERT_EQ(c.turns[0].pieces.size(), 2U);
    EXPECT_EQ(c.turns[0].pieces[0].tokens, 40);
    const auto [it, added] = ids.emplace(c.group, c.turns[0].pieces[0].id);
    EXPECT_EQ(it->second, c.turns[0].pieces[0].id);
  }
  ASSERT_EQ(seen.size(), 4U);
  const double sum = 1 + 1.0 / 2 + 1.0 / 3 + 1.0 / 4;
  for (int k = 0; k < 4; ++k)
    EXPECT_NEAR(seen[k] / static_cast<double>(kDraws), 1 / ((k + 1) * sum), 0.015) << k;
}

TEST(Workload, TurnsThinkAndDiffer) {
  WorkloadSpec s = spec();
  s.turns = 3;
  s.think_s = 2;
  const auto w = Workload::make(s, nullptr);
  double think = 0;
  for (uint64_t i = 0; i < 5000; ++i) {
    const Conversation c = w->conversation(i);
    ASSERT_EQ(c.turns.size(), 3U);
    EXPECT_EQ(c.session, static_cast<int32_t>(i));
    EXPECT_EQ(c.turns[0].think_s, 0);
    EXPECT_NE(c.turns[1].pieces[0].id, c.turns[2].pieces[0].id);
    think += c.turns[1].think_s;
  }
  EXPECT_NEAR(think / 5000, 2, 0.1);
}

TEST(Workload, TraceRowsGiveLengthsAndSharedBlocks) {
  const auto d = ops::parse_dataset(
      "{\"timestamp\":0,\"input_length\":1100,\"output_length\":50,\"hash_ids\":[10,11,12]}\n"
      "{\"timestamp\":1,\"input_length\":1024,\"output_length\":5,\"hash_ids\":[10,11]}\n");
  ASSERT_TRUE(d.ok());
  WorkloadSpec s;
  s.prompt = *parse_length("", "trace");
  s.output = *parse_length("", "trace");
  const auto w = Workload::make(s, &*d);
  ASSERT_TRUE(w.ok());
  const Conversation a = w->conversation(0);
  const Conversation b = w->conversation(1);
  EXPECT_EQ(a.prompt_tokens(), 1100);
  EXPECT_EQ(a.turns[0].output_tokens, 50);
  ASSERT_EQ(a.turns[0].pieces.size(), 3U);
  EXPECT_EQ(a.turns[0].pieces[2].tokens, 76);
  ASSERT_EQ(b.turns[0].pieces.size(), 2U);
  EXPECT_EQ(a.turns[0].pieces[1], b.turns[0].pieces[1]);
  const std::string text = prompt_text(words(), 1, a.turns[0].pieces);
  EXPECT_TRUE(text.starts_with(prompt_text(words(), 1, b.turns[0].pieces)));
  EXPECT_EQ(w->conversation(2).prompt_tokens(), 1100) << "rows repeat";

  s.max_prompt_tokens = 600;
  s.max_output_tokens = 10;
  const Conversation cut = Workload::make(s, &*d)->conversation(0);
  EXPECT_EQ(cut.prompt_tokens(), 600);
  EXPECT_EQ(cut.turns[0].output_tokens, 10);
}

TEST(Workload, RowsOfOwnPrompts) {
  const auto d = ops::parse_dataset("{\"prompt\":\"a\"}\n{\"prompt\":\"b\",\"output_tokens\":3}\n");
  ASSERT_TRUE(d.ok());
  WorkloadSpec s = spec();
  s.output = *parse_length("", "8");
  s.prefix_tokens = 10;
  const auto w = Workload::make(s, &*d);
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(w->conversation(0).turns[0].row, 0);
  EXPECT_EQ(w->conversation(0).turns[0].output_tokens, 8);
  EXPECT_EQ(w->conversation(3).turns[0].row, 1);
  EXPECT_EQ(w->conversation(3).turns[0].output_tokens, 3);
  EXPECT_TRUE(w->conversation(3).turns[0].pieces.empty());
}

TEST(Workload, Refused) {
  WorkloadSpec s = spec();
  s.prompt = *parse_length("", "trace");
  EXPECT_FALSE(Workload::make(s, nullptr).ok());
  s = spec();
  s.output = *parse_length("", "trace");
  EXPECT_FALSE(Workload::make(s, nullptr).ok());
  const auto d = ops::parse_dataset("{\"prompt\":\"a\"}\n");
  s = spec();
  s.turns = 2;
  EXPECT_FALSE(Workload::make(s, &*d).ok());
}

}  // namespace
}  // namespace weir::bench
