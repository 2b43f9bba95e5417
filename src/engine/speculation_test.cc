// Speculation in the engine: the same tokens, text and probabilities as without, whatever is
// guessed; and fewer steps where the guesses are right.
#include <gtest/gtest.h>

#include "engine/draft_model.h"
#include "engine/engine_testing.h"
#include "engine/fake_runner.h"

namespace weir::engine {
namespace {

class SpeculationTest : public ::testing::Test {
 protected:
  SpeculationTest() { shape_.alphabet = 6; }

  static Request request(int32_t prompt_tokens, int32_t max_tokens) {
    Request q;
    for (int32_t i = 0; i < prompt_tokens; ++i) q.prompt.push_back((i * 5 + prompt_tokens) % 6);
    q.sampling.temperature = 0;
    q.sampling.logprobs = 2;
    q.max_tokens = max_tokens;
    q.ignore_eos = true;
    return q;
  }

  // All requests in one engine, at this depth.
  std::vector<Received> run(std::span<const Request> requests, int32_t depth,
                            Runner* draft = nullptr) {
    FakeRunner runner(shape_);
    EngineLimits limits;
    limits.speculation.depth = depth;
    Engine engine(runner, *tokenizer_, clock_, limits, {}, {}, draft);
    std::vector<Received> got(requests.size());
    for (size_t i = 0; i < requests.size(); ++i)
      EXPECT_TRUE(engine.submit(requests[i], std::make_unique<RecordingSink>(got[i])).ok());
    for (int i = 0; i < 10'000 && !engine.idle(); ++i) {
      engine.step();
      clock_.advance_ms(1);
      const Status ok = engine.check_invariants();
      EXPECT_TRUE(ok.ok()) << ok.error().message;
      if (!ok.ok()) break;
    }
    EXPECT_TRUE(engine.idle());
    stats_ = engine.stats();
    EXPECT_EQ(stats_.free_pages, stats_.total_pages);
    return got;
  }
  Received run_one(const Request& q, int32_t depth) { return run({&q, 1}, depth)[0]; }

  static void expect_same(const Received& want, const Received& got) {
    ASSERT_EQ(want.choices.size(), got.choices.size());
    for (size_t i = 0; i < want.choices.size(); ++i) {
      EXPECT_EQ(want.choices[i].tokens, got.choices[i].tokens);
      EXPECT_EQ(want.choices[i].logprobs, got.choices[i].logprobs);
      EXPECT_EQ(want.choices[i].text, got.choices[i].text);
      EXPECT_EQ(want.choices[i].finish, got.choices[i].finish);
    }
    EXPECT_EQ(want.usage.completion_tokens, got.usage.completion_tokens);
  }

  FakeRunner::Shape shape_;
  std::unique_ptr<text::Tokenizer> tokenizer_ = tiny_tokenizer();
  ManualClock clock_;
  EngineStats stats_;
};

TEST_F(SpeculationTest, ARightPredictionTakesFewerSteps) {
  shape_.alphabet = 0;  // nothing repeats: only the prediction can be right
  Request q = request(5, 40);
  const Received plain = run_one(q, 0);
  q.prediction = plain.choices[0].tokens;
  const Received got = run_one(q, 7);
  expect_same(plain, got);
  // The prompt gives the first token; 39 more in steps of 1 + 7.
  EXPECT_EQ(stats_.steps, 6U);
  EXPECT_EQ(got.usage.accepted_prediction_tokens, 34);
  EXPECT_EQ(got.usage.rejected_prediction_tokens, 0);
  EXPECT_EQ(stats_.accepted_draft_tokens, 34U);
}

TEST_F(SpeculationTest, AWrongPredictionChangesNothing) {
  shape_.alphabet = 0;
  Request q = request(5, 40);
  const Received plain = run_one(q, 0);
  for (const int32_t t : plain.choices[0].tokens) q.prediction.push_back((t + 1) % 262);
  const Received got = run_one(q, 7);
  expect_same(plain, got);
  EXPECT_EQ(got.usage.accepted_prediction_tokens, 0);
  EXPECT_GT(got.usage.rejected_prediction_tokens, 0);
}

TEST_F(SpeculationTest, AnEditedPredictionIsTakenUpAgain) {
  shape_.alphabet = 0;
  Request q = request(5, 120);
  const Received plain = run_one(q, 0);
  std::vector<int32_t> edited = plain.choices[0].tokens;
  edited[20] = (edited[20] + 1) % 262;                     // replaced
  edited.erase(edited.begin() + 50, edited.begin() + 53);  // left out
  edited.insert(edited.begin() + 80, {251, 252, 253});     // put in
  q.prediction = edited;
  const Received got = run_one(q, 7);
  expect_same(plain, got);
  EXPECT_LT(stats_.steps, 30U) << "15 without any edit";
}

TEST_F(SpeculationTest, TheSameTokensForEveryKindOfRequest) {
  std::vector<Request> requests;
  for (int32_t i = 0; i < 12; ++i) {
    Request q = request(3 + 5 * i, 30 + i);
    q.sampling.seed = static_cast<uint64_t>(i);
    if (i % 3 == 1) q.sampling.temperature = 0.7F;
    if (i % 4 == 1) q.sampling.repetition_penalty = 1.05F;
    if (i % 4 == 2) q.sampling.frequency_penalty = 0.02F;
    if (i % 5 == 2) q.sampling.presence_penalty = 0.1F;
    if (i % 6 == 3) q.n = 3;
    requests.push_back(q);
  }
  requests[4].stop_token_ids = {3};
  requests[4].min_tokens = 9;
  requests[5].stop = {"aa", "ab", "ba"};
  requests[5].min_tokens = 6;
  requests[6].sampling.logit_bias = {{2, 1.5F}};
  requests[7].ignore_eos = false;
  requests[8].sampling.top_p = 0.8F;
  requests[8].sampling.top_k = 3;
  std::vector<Received> plain;
  for (const Request& q : requests) plain.push_back(run_one(q, 0));
  for (const int32_t depth : {1, 3, 15, SpeculationLimits::kAuto}) {
    SCOPED_TRACE(depth);
    for (size_t i = 0; i < requests.size(); ++i) {
      SCOPED_TRACE(i);
      expect_same(plain[i], run_one(requests[i], depth));
    }
    shape_.pages = 300;
    const std::vector<Received> together = run(requests, depth);
    EXPECT_GT(stats_.accepted_draft_tokens, 0U);
    shape_.pages = 34;  // for 12 requests that come to hold 90 pages
    const std::vector<Received> crowded = run(requests, depth);
    EXPECT_GT(stats_.preemptions, 0U);
    for (size_t i = 0; i < requests.size(); ++i) {
      SCOPED_TRACE(i);
      expect_same(plain[i], together[i]);
      expect_same(plain[i], crowded[i]);
    }
    shape_.pages = 64;
  }
}

// The second answer of a tenant repeats the first; another tenant and another salt see nothing of
// it.
TEST_F(SpeculationTest, WhatTheTenantWasAnsweredBeforeIsGuessed) {
  shape_.alphabet = 0;  // nothing repeats within an answer
  FakeRunner runner(shape_);
  EngineLimits limits;
  limits.speculation.depth = 7;
  limits.speculation.shared_tokens = 1000;
  Engine engine(runner, *tokenizer_, clock_, limits);
  const auto accepted = [&](const char* tenant, const char* salt) {
    Request q = request(5, 40);
    q.tenant.name = tenant;
    q.cache_salt = salt;
    Received got;
    EXPECT_TRUE(engine.submit(q, std::make_unique<RecordingSink>(got)).ok());
    while (!engine.idle()) engine.step();
    expect_same(run_one(request(5, 40), 0), got);
    return got.usage.accepted_prediction_tokens;
  };
  EXPECT_EQ(accepted("a", ""), 0);
  EXPECT_GE(accepted("a", ""), 30);
  EXPECT_EQ(accepted("b", ""), 0);
  EXPECT_EQ(accepted("a", "salt"), 0);
}

// A large model takes 100 ms a step, where each token more hardly counts: drafts pay there most.
TEST_F(SpeculationTest, SlowStepsHaveDraftsToo) {
  shape_.alphabet = 0;
  Request q = request(5, 120);
  q.prediction = run_one(q, 0).choices[0].tokens;
  for (const int32_t depth : {7, SpeculationLimits::kAuto}) {
    SCOPED_TRACE(depth);
    FakeRunner runner(shape_);
    runner.before = [this](std::span<const model::Chunk> batch) -> Status {
      clock_.advance_ms(100 + static_cast<int64_t>(batch[0].tokens.size()));
      return {};
    };
    EngineLimits limits;
    limits.speculation.depth = depth;
    Engine engine(runner, *tokenizer_, clock_, limits);
    const auto steps = [&](const Request& r) {
      Received got;
      const uint64_t before = engine.stats().steps;
      EXPECT_TRUE(engine.submit(r, std::make_unique<RecordingSink>(got)).ok());
      while (!engine.idle()) engine.step();
      return engine.stats().steps - before;
    };
    steps(request(9, 200));  // its cost is known by then
    EXPECT_LT(steps(q), 60U);
  }
}

// A stop in the midst of accepted drafts: what comes after it is not delivered.
TEST_F(SpeculationTest, AStopEndsWithinAStep) {
  shape_.alphabet = 0;
  Request q = request(5, 40);
  const Received whole = run_one(q, 0);
  q.prediction = whole.choices[0].tokens;
  for (const size_t at : {3U, 7U, 8U, 9U, 20U}) {
    SCOPED_TRACE(at);
    q.stop_token_ids = {whole.choices[0].tokens[at]};
    const Received plain = run_one(q, 0);
    EXPECT_LE(plain.choices[0].tokens.size(), at);
    expect_same(plain, run_one(q, 7));
  }
}

TEST_F(SpeculationTest, DraftsNeverPassTheWindow) {
  Request q = request(200, 0);  // to the end of the window of 256
  const Received plain = run_one(q, 0);
  ASSERT_EQ(plain.choices[0].tokens.size(), 56U);
  expect_same(plain, run_one(q, 15));
  EXPECT_GT(stats_.accepted_draft_tokens, 0U);
}

TEST_F(SpeculationTest, ADraftModelThatIsRightTakesFewerSteps) {
  shape_.alphabet = 0;  // nothing repeats
  const Request q = request(70, 40);
  const Received plain = run_one(q, 0);
  FakeRunner draft(shape_);  // the same "weights": always right
  const std::vector<Received> got = run({&q, 1}, 7, &draft);
  expect_same(plain, got[0]);
  EXPECT_LE(stats_.steps, 9U);
  EXPECT_GE(got[0].usage.accepted_prediction_tokens, 30);
}

TEST_F(SpeculationTest, WhateverADraftModelGuessesTheTokensAreTheSame) {
  std::vector<Request> requests;
  for (int32_t i = 0; i < 8; ++i) {
    requests.push_back(request(3 + 7 * i, 25 + i));
    requests.back().sampling.seed = static_cast<uint64_t>(i);
    if (i % 2 == 1) requests.back().sampling.temperature = 0.8F;
  }
  requests[3].n = 2;
  shape_.pages = 120;
  const std::vector<Received> plain = run(requests, 0);
  FakeRunner::Shape other = shape_;
  other.alphabet = 3;  // mostly wrong
  other.pages = 12;    // and short of pages
  other.page_tokens = 4;
  other.step_tokens = 16;
  other.context = 60;
  for (const int32_t depth : {1, 4, SpeculationLimits::kAuto}) {
    SCOPED_TRACE(depth);
    FakeRunner wrong(other), failing(shape_), right(shape_);
    int calls = 0;
    failing.before = [&calls](std::span<const model::Chunk>) -> Status {
      if (++calls % 3 == 0) return make_error(ErrorCode::kInternal, "injected");
      return {};
    };
    for (Runner* draft : std::initializer_list<Runner*>{&wrong, &failing, &right}) {
      const std::vector<Received> got = run(requests, depth, draft);
      for (size_t i = 0; i < requests.size(); ++i) expect_same(plain[i], got[i]);
    }
    EXPECT_GT(stats_.accepted_draft_tokens, 0U);
  }
}

// A step with a prompt has no room for drafts, so nobody is asked for any.
TEST_F(SpeculationTest, ADraftModelIsNotAskedInStepsWithPrompts) {
  for (const int32_t depth : {2, SpeculationLimits::kAuto}) {
    FakeRunner runner(shape_), draft(shape_);
    EngineLimits limits;
    limits.speculation.depth = depth;
    limits.prefill_chunk_tokens = 4;
    Received first, second;  // outlive the engine
    Engine engine(runner, *tokenizer_, clock_, limits, {}, {}, &draft);
    ASSERT_TRUE(engine.submit(request(3, 60), std::make_unique<RecordingSink>(first)).ok());
    for (int i = 0; i < 5; ++i) engine.step();
    const uint64_t before = draft.calls;
    EXPECT_GT(before, 0U);
    ASSERT_TRUE(engine.submit(request(40, 1), std::make_unique<RecordingSink>(second)).ok());
    while (!second.done) {
      engine.step();
      clock_.advance_ms(1);
    }
    EXPECT_EQ(draft.calls, before) << "depth " << depth;
  }
}

TEST_F(SpeculationTest, ADraftModelNeedsTheSameVocabulary) {
  EXPECT_TRUE(check_same_vocabulary(*tokenizer_, *tiny_tokenizer()).ok());
  const auto other = text::testing::load_written(text::testing::tiny_bpe("", "<gat>"));
  ASSERT_TRUE(other.ok());
  const Status refused = check_same_vocabulary(*tokenizer_, **other);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("token 261 is \"<gat>\", in the model \"<tag>\""),
            std::string::npos)
      << refused.error().message;
}

// A failing step is run again sequence by sequence, drafts included.
TEST_F(SpeculationTest, AFailedStepIsRepeatedWithItsDrafts) {
  const std::vector<Request> requests = {request(5, 40), request(9, 40), request(12, 40)};
  const std::vector<Received> plain = run(requests, 0);
  FakeRunner runner(shape_);
  EngineLimits limits;
  limits.speculation.depth = 5;
  Engine engine(runner, *tokenizer_, clock_, limits);
  runner.before = [](std::span<const model::Chunk> batch) -> Status {
    if (batch.size() > 1 && batch[0].position % 3 == 0)
      return make_error(ErrorCode::kInternal, "injected");
    return {};
  };
  std::vector<Received> got(requests.size());
  for (size_t i = 0; i < requests.size(); ++i)
    ASSERT_TRUE(engine.submit(requests[i], std::make_unique<RecordingSink>(got[i])).ok());
  while (!engine.idle()) {
    engine.step();
    ASSERT_TRUE(engine.check_invariants().ok());
  }
  EXPECT_GT(engine.stats().failed_steps, 0U);
  EXPECT_GT(engine.stats().accepted_draft_tokens, 0U);
  for (size_t i = 0; i < requests.size(); ++i) expect_same(plain[i], got[i]);
}

}  // namespace
}  // namespace weir::engine
