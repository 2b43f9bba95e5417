// Log probabilities of prompts: against the logits themselves, alone, in company, after preemption,
// beside the prefix cache.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/engine.h"
#include "engine/engine_testing.h"
#include "engine/fake_runner.h"
#include "engine/logprobs.h"
#include "engine/prompt_scorer.h"

namespace weir::engine {
namespace {

class PromptLogprobsTest : public ::testing::Test {
 protected:
  void build(FakeRunner::Shape shape = {}, EngineLimits limits = {}) {
    engine_.reset();
    runner_ = std::make_unique<FakeRunner>(shape);
    engine_ = std::make_unique<Engine>(*runner_, *tokenizer_, clock_, limits);
  }
  static Request scored(int32_t prompt_tokens, int32_t max_tokens, int32_t top = 2) {
    Request q;
    for (int32_t i = 0; i < prompt_tokens; ++i) q.prompt.push_back((i * 7 + prompt_tokens) % 200);
    q.sampling.temperature = 0;
    q.max_tokens = max_tokens;
    q.prompt_only = max_tokens == 0;
    q.ignore_eos = true;
    q.prompt_logprobs = top;
    return q;
  }
  void submit(const Request& q, Received& to) {
    const auto id = engine_->submit(q, std::make_unique<RecordingSink>(to));
    ASSERT_TRUE(id.ok()) << id.error().message;
  }
  void run() {
    for (int i = 0; i < 10'000 && !engine_->idle(); ++i) {
      engine_->step();
      const Status ok = engine_->check_invariants();
      ASSERT_TRUE(ok.ok()) << ok.error().message;
    }
    EXPECT_EQ(engine_->stats().free_pages, engine_->stats().total_pages);
  }
  Received alone(const Request& q, FakeRunner::Shape shape = {}, EngineLimits limits = {}) {
    Received r;
    build(shape, limits);
    submit(q, r);
    run();
    EXPECT_TRUE(r.done);
    return r;
  }
  // What the runner's logits say of a prompt, by the definition.
  static std::vector<TokenInfo> by_definition(const std::vector<int32_t>& prompt, int32_t top) {
    FakeRunner runner({});
    const auto vocab = static_cast<size_t>(runner.vocab_size());
    std::vector<int32_t> pages(static_cast<size_t>(runner.pages()));
    for (size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int32_t>(i);
    std::vector<float> logits(prompt.size() * vocab);
    const model::Chunk chunk{prompt, 0, pages, static_cast<int32_t>(prompt.size()), 0};
    EXPECT_TRUE(runner.forward({&chunk, 1}, logits, {}).ok());
    std::vector<TokenInfo> tokens(1);
    tokens[0].id = prompt[0];
    for (size_t i = 1; i < prompt.size(); ++i) {
      const float* row = logits.data() + (i - 1) * vocab;
      double sum = 0;
      for (size_t v = 0; v < vocab; ++v) sum += std::exp(double{row[v]});
      TokenInfo token{prompt[i], static_cast<float>(row[prompt[i]] - std::log(sum)), {}};
      std::vector<std::pair<float, int32_t>> order;
      for (size_t v = 0; v < vocab; ++v) order.emplace_back(-row[v], static_cast<int32_t>(v));
      std::sort(order.begin(), order.end());
      for (int32_t t = 0; t < top; ++t)
        token.top.emplace_back(
            order[static_cast<size_t>(t)].second,
            static_cast<float>(-order[static_cast<size_t>(t)].first - std::log(sum)));
      tokens.push_back(std::move(token));
    }
    return tokens;
  }
  static void expect_near(const std::vector<TokenInfo>& got, const std::vector<TokenInfo>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].id, want[i].id) << i;
      EXPECT_NEAR(got[i].logprob, want[i].logprob, 1e-5) << i;
      ASSERT_EQ(got[i].top.size(), want[i].top.size()) << i;
      for (size_t t = 0; t < got[i].top.size(); ++t) {
        EXPECT_EQ(got[i].top[t].first, want[i].top[t].first) << i;
        EXPECT_NEAR(got[i].top[t].second, want[i].top[t].second, 1e-5) << i;
      }
    }
  }
  static void expect_same(const std::vector<TokenInfo>& got, const std::vector<TokenInfo>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].id, want[i].id) << i;
      EXPECT_EQ(got[i].logprob, want[i].logprob) << i;
      EXPECT_EQ(got[i].top, want[i].top) << i;
    }
  }

  std::unique_ptr<text::Tokenizer> tokenizer_ = tiny_tokenizer();
  ManualClock clock_;
  std::unique_ptr<FakeRunner> runner_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(PromptLogprobsTest, AreThoseOfTheLogits) {
  for (const int32_t tokens : {1, 2, 9, 40}) {
    const Request q = scored(tokens, 3, 4);
    const Received r = alone(q);
    expect_near(r.choices.at(0).prompt, by_definition(q.prompt, 4));
    EXPECT_EQ(r.choices[0].tokens.size(), 3U);
  }
}

TEST_F(PromptLogprobsTest, LeaveWhatIsGeneratedAsItIs) {
  Request q = scored(30, 8);
  const Received with = alone(q);
  q.prompt_logprobs = -1;
  const Received without = alone(q);
  EXPECT_EQ(with.choices.at(0).tokens, without.choices.at(0).tokens);
  EXPECT_TRUE(without.choices[0].prompt.empty());
}

TEST_F(PromptLogprobsTest, APromptAloneGeneratesNothing) {
  FakeRunner::Shape shape;
  shape.context = 40;
  const Request q = scored(40, 0);  // it fills the window
  const Received r = alone(q, shape);
  expect_near(r.choices.at(0).prompt, by_definition(q.prompt, 2));
  EXPECT_TRUE(r.choices[0].tokens.empty());
  EXPECT_EQ(r.choices[0].finish, FinishReason::kLength);
  EXPECT_EQ(r.usage.prompt_tokens, 40);
  EXPECT_EQ(r.usage.completion_tokens, 0);
  Received refused;
  EXPECT_FALSE(engine_->submit(scored(41, 0), std::make_unique<RecordingSink>(refused)).ok());
}

TEST_F(PromptLogprobsTest, AreTheSameInChunksInCompanyAndAfterPreemption) {
  const Request q = scored(50, 6);
  const Received want = alone(q);
  for (const int32_t chunk : {1, 3, 64}) {
    FakeRunner::Shape tight;
    tight.pages = 14;  // 112 tokens, for three requests that need 230
    build(tight, {.step_tokens = 64, .prefill_chunk_tokens = chunk});
    Received first, second, got;
    submit(scored(40, 40), first);
    submit(scored(20, 30), second);
    submit(q, got);
    run();
    EXPECT_GT(engine_->stats().preemptions, 0U) << chunk;
    expect_same(got.choices.at(0).prompt, want.choices.at(0).prompt);
    EXPECT_EQ(got.choices[0].tokens, want.choices[0].tokens) << chunk;
  }
}

TEST_F(PromptLogprobsTest, TheCacheHidesNoPosition) {
  const Request q = scored(48, 4);
  const Received want = alone(q);
  Request plain = q;
  plain.prompt_logprobs = -1;
  build();
  Received before, got, after;
  submit(plain, before);
  run();
  submit(q, got);
  run();
  expect_same(got.choices.at(0).prompt, want.choices.at(0).prompt);
  EXPECT_EQ(got.usage.cached_tokens, 0);
  submit(plain, after);  // what a scored prompt computed is there for others
  run();
  EXPECT_EQ(after.usage.cached_tokens, 47);
}

TEST_F(PromptLogprobsTest, WhatWasTakenNeedNotBeComputedAgain) {
  // One step's rows, then the sequence loses its pages to an older one; only the rest is scored.
  FakeRunner::Shape shape;
  shape.pages = 7;
  build(shape, {.step_tokens = 64, .prefill_chunk_tokens = 8});
  std::vector<int32_t> rows;  // of each chunk that wants more than one
  runner_->before = [&](std::span<const model::Chunk> batch) -> Status {
    for (const model::Chunk& c : batch)
      if (c.logit_rows > 1) rows.push_back(c.logit_rows);
    return {};
  };
  Received older, got;
  Request decode = scored(16, 40);
  decode.prompt_logprobs = -1;
  submit(decode, older);
  const Request q = scored(40, 1);
  submit(q, got);
  run();
  int32_t all = 0;
  for (const int32_t n : rows) all += n;
  EXPECT_GT(engine_->stats().preemptions, 0U);
  EXPECT_LE(all, 40);
  expect_near(got.choices.at(0).prompt, by_definition(q.prompt, 2));
}

TEST_F(PromptLogprobsTest, ManyChoicesHaveThemOnce) {
  Request q = scored(20, 3);
  q.n = 3;
  const Received r = alone(q);
  ASSERT_EQ(r.choices.size(), 3U);
  EXPECT_EQ(r.choices[0].prompt.size(), 20U);
  EXPECT_TRUE(r.choices[1].prompt.empty());
  EXPECT_EQ(r.choices[2].tokens.size(), 3U);
}

TEST_F(PromptLogprobsTest, AStepHoldsABoundedNumberOfRows) {
  FakeRunner::Shape shape;
  shape.vocab = 1 << 19;  // 2 MB a row: 16 rows in 32 MB
  shape.step_tokens = 64;
  build(shape, {.step_tokens = 64, .prefill_chunk_tokens = 64});
  int32_t most = 0;
  runner_->before = [&](std::span<const model::Chunk> batch) -> Status {
    int32_t rows = 0;
    for (const model::Chunk& c : batch) rows += c.logit_rows;
    most = std::max(most, rows);
    return {};
  };
  Received a, b;
  submit(scored(20, 1, 0), a);
  submit(scored(21, 1, 0), b);
  run();
  EXPECT_EQ(a.choices.at(0).prompt.size(), 20U);
  EXPECT_EQ(b.choices.at(0).prompt.size(), 21U);
  EXPECT_LE(most, 16 + 2);  // and one for each that samples
  EXPECT_GE(most, 16);
}

TEST_F(PromptLogprobsTest, SpeculationDoesNotTouchThem) {
  FakeRunner::Shape shape;
  shape.alphabet = 5;
  const Request q = scored(33, 20);
  const Received want = alone(q, shape);
  EngineLimits limits;
  limits.speculation.depth = 4;
  limits.prefill_chunk_tokens = 8;  // the last chunk is one token, as a decode is
  const Received got = alone(q, shape, limits);
  expect_same(got.choices.at(0).prompt, want.choices.at(0).prompt);
  EXPECT_EQ(got.choices[0].tokens, want.choices[0].tokens);
  EXPECT_GT(engine_->stats().draft_tokens, 0U);
}

TEST_F(PromptLogprobsTest, TheTokenThatEndsIsToldApart) {
  Request q = scored(10, 5);
  q.sampling.logprobs = 0;
  const int32_t first = alone(q).choices.at(0).tokens.at(0);
  q.stop_token_ids = {first};
  const Received r = alone(q);
  EXPECT_TRUE(r.choices.at(0).tokens.empty());
  ASSERT_TRUE(r.choices[0].end_token.has_value());
  EXPECT_EQ(r.choices[0].end_token->id, first);
  EXPECT_LT(r.choices[0].end_token->logprob, 0);
}

TEST(Logprobs, OrdersEqualsByIdAndLeavesOutWhatCannotCome) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const std::vector<float> logits{1, 3, kNever, 3, 2};
  const auto best = most_likely(logits, 0, 5);
  ASSERT_EQ(best.size(), 4U);
  EXPECT_EQ(best[0].first, 1);
  EXPECT_EQ(best[1].first, 3);
  EXPECT_EQ(best[2].first, 4);
  EXPECT_EQ(best[3].first, 0);
  EXPECT_TRUE(most_likely(logits, 0, 0).empty());
  EXPECT_FALSE(
      describe_token(kernels::kernels_for(kernels::Isa::kScalar), std::vector<float>{0, NAN}, 0, 1)
          .ok());
  EXPECT_FALSE(describe_token(kernels::kernels_for(kernels::Isa::kScalar),
                              std::vector<float>{kNever, kNever}, 0, 1)
                   .ok());
}

TEST(PromptScorer, WantsEachRowOnceWhateverIsComputedAgain) {
  const std::vector<int32_t> prompt{5, 6, 7, 8};
  PromptScorer scorer(prompt, 0);
  EXPECT_EQ(scorer.wanted_rows(0, 2), 2);
  ASSERT_TRUE(scorer
                  .add(kernels::kernels_for(kernels::Isa::kScalar), prompt,
                       std::vector<float>(2 * 10, 0.0F), 10)
                  .ok());
  EXPECT_EQ(scorer.taken(), 2);
  EXPECT_EQ(scorer.wanted_rows(0, 2), 0);
  EXPECT_EQ(scorer.wanted_rows(0, 3), 1);
  EXPECT_EQ(scorer.wanted_rows(2, 2), 1) << "nothing of the prompt comes after its last token";
  ASSERT_TRUE(scorer
                  .add(kernels::kernels_for(kernels::Isa::kScalar), prompt,
                       std::vector<float>(10, 0.0F), 10)
                  .ok());
  const std::vector<TokenInfo> tokens = scorer.take();
  ASSERT_EQ(tokens.size(), 4U);
  EXPECT_EQ(tokens[3].id, 8);
  EXPECT_NEAR(tokens[3].logprob, -std::log(10.0F), 1e-6);
}

}  // namespace
}  // namespace weir::engine
