#include "ops/eval/choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/fake_runner.h"
#include "ops/eval/perplexity.h"
#include "text/tokenizer_testing.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<text::Tokenizer> tokenizer() {
  auto t = text::testing::load_written(text::testing::tiny_bpe());
  EXPECT_TRUE(t.ok());
  return std::move(t).value();
}

// Prompts of every length about a page, which is 8 tokens, and choices of one token and more.
std::vector<ChoiceItem> some_items(size_t count) {
  std::vector<ChoiceItem> items;
  for (size_t i = 0; i < count; ++i) {
    ChoiceItem item;
    item.id = std::to_string(i);
    item.prompt = std::string(1 + i % 19, static_cast<char>('a' + i % 26));
    if (i % 3 == 0) item.prompt += " ";
    item.choices = {"x", "longer choice " + std::to_string(i), "mid", "\xC3\xA9t\xC3\xA9"};
    item.answer = i % 4;
    items.push_back(std::move(item));
  }
  return items;
}

// The same by one forward call for each choice, the whole text at once.
double log_likelihood(const text::Tokenizer& t, const std::string& prompt,
                      const std::string& continuation) {
  engine::FakeRunner runner({.step_tokens = 512});
  const auto ids = t.encode(prompt + continuation, {.add_bos_eos = true});
  const size_t first = t.encode(prompt, {.add_bos_eos = true}).size();
  std::vector<int32_t> pages(32);
  std::iota(pages.begin(), pages.end(), 0);
  std::vector<float> logits(ids.size() * 262);
  const model::Chunk chunk{ids, 0, pages, static_cast<int32_t>(ids.size()), 0};
  EXPECT_TRUE(runner.forward({&chunk, 1}, logits, {}).ok());
  double sum = 0;
  for (size_t i = first; i < ids.size(); ++i)
    sum -= token_loss(kernels::kernels_for(kernels::Isa::kScalar),
                      std::span<const float>(logits).subspan((i - 1) * 262, 262), ids[i]);
  return sum;
}

TEST(ChoiceTest, ScoresInBatchesAreThoseOfOneAtATime) {
  const auto t = tokenizer();
  const auto items = some_items(60);
  for (const int32_t pages : {30, 64, 400}) {
    engine::FakeRunner runner({.pages = pages});
    int64_t tokens = 0, seen = 0;
    const auto scored = score_choices(runner, *t, items, tokens, [&](int64_t done, int64_t all) {
      seen = done;
      EXPECT_EQ(all, 60);
    });
    ASSERT_TRUE(scored.ok()) << scored.error().message;
    ASSERT_EQ(scored->size(), items.size());
    EXPECT_EQ(seen, 60);
    for (size_t i = 0; i < items.size(); ++i) {
      const ChoiceItem& item = items[i];
      std::string prompt = item.prompt, blank;
      if (prompt.ends_with(' ')) {
        prompt.pop_back();
        blank = " ";
      }
      const size_t lengths[] = {1, item.choices[1].size(), 3, 3};  // characters, not bytes
      size_t best = 0, best_norm = 0;
      std::vector<double> ll, norm;
      for (size_t c = 0; c < 4; ++c) {
        ll.push_back(log_likelihood(*t, prompt, blank + " " + item.choices[c]));
        norm.push_back(ll[c] / static_cast<double>(lengths[c]));
        if (ll[c] > ll[best]) best = c;
        if (norm[c] > norm[best_norm]) best_norm = c;
      }
      const EvalItem& got = (*scored)[i];
      EXPECT_NEAR(*got.score("ll"), ll[item.answer], 1e-9) << i;
      EXPECT_EQ(*got.score("acc"), best == item.answer ? 1 : 0) << i;
      EXPECT_EQ(*got.score("acc_norm"), best_norm == item.answer ? 1 : 0) << i;
      EXPECT_EQ(got.answer, item.choices[best_norm]);
    }
  }
}

TEST(ChoiceTest, WhatAllPromptsBeginWithIsComputedOnce) {
  const auto t = tokenizer();
  auto items = some_items(30);
  engine::FakeRunner plain({.pages = 400}), few({.pages = 60});
  std::vector<ChoiceItem> whole = items;
  const std::string shots = std::string(53, 's') + "\n\n";  // 55 tokens: six pages and a rest
  for (ChoiceItem& item : items) item.shots = shots;
  for (ChoiceItem& item : whole) item.prompt = shots + item.prompt;
  whole.push_back({"other", "zzz", {"a", "bc"}, 0});  // has no prefix with the others
  int64_t tokens = 0, all_tokens = 0;
  const auto shared = score_choices(few, *t, items, tokens, nullptr);
  const auto alone = score_choices(plain, *t, whole, all_tokens, nullptr);
  ASSERT_TRUE(shared.ok()) << shared.error().message;
  ASSERT_TRUE(alone.ok()) << alone.error().message;
  for (size_t i = 0; i < items.size(); ++i) {
    for (size_t s = 0; s < 3; ++s)
      EXPECT_EQ((*shared)[i].scores[s].second, (*alone)[i].scores[s].second) << i;
  }
  const int64_t saved = all_tokens - tokens;
  EXPECT_GE(saved, 29 * 48);
  EXPECT_LT(saved, 29 * 48 + 16);  // what "other" took
  // One past the window, which shares nothing, changes nothing for the others.
  items.push_back({"long", std::string(400, 'q'), {"a", "bcd"}, 1, shots});
  engine::FakeRunner again({.pages = 100});
  const auto more = score_choices(again, *t, items, tokens, nullptr);
  ASSERT_TRUE(more.ok()) << more.error().message;
  EXPECT_EQ(*(*more)[7].score("ll"), *(*shared)[7].score("ll"));
  // Where it would not fit beside the common beginning, that is computed for each.
  engine::FakeRunner tight({.pages = 38});
  const auto apart = score_choices(tight, *t, items, tokens, nullptr);
  ASSERT_TRUE(apart.ok()) << apart.error().message;
  EXPECT_EQ(*(*apart)[7].score("ll"), *(*shared)[7].score("ll"));
  EXPECT_EQ(*(*apart)[30].score("ll"), *(*more)[30].score("ll"));
}

TEST(ChoiceTest, PromptsPastTheWindowLoseTheirBeginning) {
  const auto t = tokenizer();
  ChoiceItem item{"long", std::string(400, 'q') + "xyz", {"a", "bcd"}, 1};
  engine::FakeRunner runner({});
  int64_t tokens = 0;
  const auto scored = score_choices(runner, *t, {&item, 1}, tokens, nullptr);
  ASSERT_TRUE(scored.ok()) << scored.error().message;
  EXPECT_TRUE(std::isfinite(*scored->front().score("ll")));
  EXPECT_LE(tokens, 256 + 8);
  EXPECT_GE(tokens, 240);
}

TEST(ChoiceTest, WhatDoesNotFitIsNamed) {
  const auto t = tokenizer();
  int64_t tokens = 0;
  engine::FakeRunner runner({});
  ChoiceItem item{"q7", "abc", {"d", std::string(300, 'z')}, 0};
  auto failed = score_choices(runner, *t, {&item, 1}, tokens, nullptr);
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().message, HasSubstr("item q7"));
  engine::FakeRunner small({.pages = 3});
  item.choices[1] = "e";
  item.prompt = std::string(100, 'p');
  failed = score_choices(small, *t, {&item, 1}, tokens, nullptr);
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().message, HasSubstr("--ctx"));
}

TEST(ChoiceTest, EachItemIsToldWhenItIsScored) {
  const auto t = tokenizer();
  const auto items = some_items(20);
  engine::FakeRunner runner({.pages = 30});
  int64_t tokens = 0;
  std::vector<std::string> told;
  const auto done = [&](size_t i, const EvalItem& item) -> Status {
    EXPECT_EQ(items[i].id, item.id);
    told.push_back(item.id);
    return {};
  };
  ASSERT_TRUE(score_choices(runner, *t, items, tokens, nullptr, done).ok());
  EXPECT_EQ(told.size(), items.size());
  const auto refuse = [&](size_t i, const EvalItem&) -> Status {
    if (i < 3) return {};
    return make_error(ErrorCode::kIo, "disk full");
  };
  const auto failed = score_choices(runner, *t, items, tokens, nullptr, refuse);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "disk full");
}

}  // namespace
}  // namespace weir::ops
