#include "engine/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine/engine_testing.h"
#include "engine/fake_runner.h"

namespace weir::engine {
namespace {

class EngineTest : public ::testing::Test {
 protected:
  void build(FakeRunner::Shape shape = {}, EngineLimits limits = {}) {
    runner_ = std::make_unique<FakeRunner>(shape);
    engine_ = std::make_unique<Engine>(*runner_, *tokenizer_, clock_, limits);
  }
  static Request greedy(int32_t prompt_tokens, int32_t max_tokens) {
    Request q;
    for (int32_t i = 0; i < prompt_tokens; ++i) q.prompt.push_back((i * 7 + prompt_tokens) % 200);
    q.sampling.temperature = 0;
    q.max_tokens = max_tokens;
    q.ignore_eos = true;
    return q;
  }
  Result<RequestId> submit(Request q, Received& to) {
    return engine_->submit(std::move(q), std::make_unique<RecordingSink>(to));
  }
  void run(int max_steps = 10'000) {
    for (int i = 0; i < max_steps && !engine_->idle(); ++i) {
      engine_->step();
      clock_.advance_ms(1);
      const Status ok = engine_->check_invariants();
      ASSERT_TRUE(ok.ok()) << ok.error().message;
    }
  }
  Received alone(const Request& q) {
    Received r;
    FakeRunner::Shape shape;
    build(shape);
    EXPECT_TRUE(submit(q, r).ok());
    run();
    return r;
  }

  std::unique_ptr<text::Tokenizer> tokenizer_ = tiny_tokenizer();
  ManualClock clock_;
  std::unique_ptr<FakeRunner> runner_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, GeneratesUntilMaxTokens) {
  const Received r = alone(greedy(5, 12));
  ASSERT_TRUE(r.done);
  ASSERT_EQ(r.choices.size(), 1U);
  EXPECT_EQ(r.choices[0].tokens.size(), 12U);
  EXPECT_EQ(r.choices[0].finish, FinishReason::kLength);
  EXPECT_EQ(r.usage.prompt_tokens, 5);
  EXPECT_EQ(r.usage.completion_tokens, 12);
  EXPECT_EQ(r.deliveries, 12) << "one delivery a step";
  EXPECT_EQ(engine_->stats().free_pages, engine_->stats().total_pages);
}

TEST_F(EngineTest, CompanyDoesNotChangeTokens) {
  std::vector<Request> requests;
  std::vector<Received> expected;
  for (int32_t i = 0; i < 8; ++i) {
    Request q = greedy(3 + 11 * i, 20);
    q.sampling.temperature = i % 2 == 0 ? 0.0F : 0.9F;
    q.sampling.seed = static_cast<uint64_t>(i);
    q.sampling.logprobs = 0;
    requests.push_back(q);
    expected.push_back(alone(q));
  }
  FakeRunner::Shape tight;
  tight.pages = 24;  // 192 tokens for eight requests that need 500: preemption
  tight.context = 160;
  build(tight);
  std::vector<Received> got(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) ASSERT_TRUE(submit(requests[i], got[i]).ok());
  run();
  EXPECT_GT(engine_->stats().preemptions, 0U);
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_TRUE(got[i].done);
    EXPECT_EQ(got[i].choices[0].tokens, expected[i].choices[0].tokens) << i;
    EXPECT_EQ(got[i].choices[0].logprobs, expected[i].choices[0].logprobs) << i;
    EXPECT_EQ(got[i].choices[0].text, expected[i].choices[0].text) << i;
  }
  EXPECT_EQ(engine_->stats().free_pages, engine_->stats().total_pages);
}

TEST_F(EngineTest, RefusesWhatDoesNotFitTheWindow) {
  build();
  Received r;
  const auto code = [&](Request q) {
    const auto id = submit(std::move(q), r);
    return id.ok() ? ErrorCode::kUsage : id.error().code;
  };
  EXPECT_EQ(code(greedy(250, 7)), ErrorCode::kContextLengthExceeded);
  EXPECT_EQ(code(greedy(0, 7)), ErrorCode::kInvalidValue);
  Request bad = greedy(3, 3);
  bad.prompt[1] = 262;
  EXPECT_EQ(code(bad), ErrorCode::kInvalidValue);
  bad.prompt[1] = -1;
  EXPECT_EQ(code(bad), ErrorCode::kInvalidValue);
  bad = greedy(3, 3);
  bad.sampling.logit_bias = {{999, 1.0F}};
  EXPECT_EQ(code(bad), ErrorCode::kInvalidValue);
  bad = greedy(3, 3);
  bad.n = 17;
  EXPECT_EQ(code(bad), ErrorCode::kInvalidValue);
  bad = greedy(3, 3);
  bad.stop = {""};
  EXPECT_EQ(code(bad), ErrorCode::kInvalidValue);
  EXPECT_FALSE(engine_->step());
}

TEST_F(EngineTest, DefaultsMaxTokensToWhatFits) {
  const Received r = alone(greedy(200, 0));
  EXPECT_EQ(r.choices[0].tokens.size(), 56U);
  EXPECT_EQ(r.choices[0].finish, FinishReason::kLength);
}

TEST_F(EngineTest, RefusesWhenTheQueueIsFullAndSaysWhen) {
  EngineLimits limits;
  limits.max_queued_requests = 2;
  build({}, limits);
  Received a, b, c;
  ASSERT_TRUE(submit(greedy(4, 4), a).ok());
  ASSERT_TRUE(submit(greedy(4, 4), b).ok());
  const auto refused = submit(greedy(4, 4), c);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kServerOverloaded);
  EXPECT_GE(refused.error().retry_after_s, 1.0);
  EXPECT_NE(refused.error().message.find("max_queued_requests"), std::string::npos);
  engine_->step();
  EXPECT_TRUE(submit(greedy(4, 4), c).ok()) << "the queue emptied";
  run();
  EXPECT_TRUE(a.done && b.done && c.done);
}

TEST_F(EngineTest, BoundsTheQueueInTokens) {
  EngineLimits limits;
  limits.max_queued_tokens = 100;
  build({}, limits);
  Received a, b;
  ASSERT_TRUE(submit(greedy(90, 4), a).ok());
  EXPECT_EQ(submit(greedy(20, 4), b).error().code, ErrorCode::kServerOverloaded);
  run();
}

TEST_F(EngineTest, CancelLeavesBeforeTheNextStepAndFreesPages) {
  build();
  Received a, b;
  const RequestId id = *submit(greedy(40, 100), a);
  ASSERT_TRUE(submit(greedy(40, 10), b).ok());
  engine_->step();
  engine_->cancel(id);
  engine_->step();
  ASSERT_TRUE(a.done);
  EXPECT_EQ(a.choices[0].finish, FinishReason::kCancelled);
  EXPECT_LE(a.choices[0].tokens.size(), 1U);
  run();
  EXPECT_EQ(b.choices[0].tokens.size(), 10U);
  EXPECT_EQ(engine_->stats().free_pages, engine_->stats().total_pages);
}

TEST_F(EngineTest, AStepThatFailsTakesDownOnlyTheRequestAtFault) {
  const Received expected = alone(greedy(9, 10));
  build();
  runner_->before = [](std::span<const model::Chunk> batch) -> Status {
    for (const model::Chunk& c : batch) {
      if (c.position + static_cast<int32_t>(c.tokens.size()) > 33 && c.tokens.size() == 1) {
        return make_error(ErrorCode::kInternal, "boom");
      }
    }
    return {};
  };
  Received bad, good;
  ASSERT_TRUE(submit(greedy(30, 50), bad).ok());
  ASSERT_TRUE(submit(greedy(9, 10), good).ok());
  run();
  ASSERT_TRUE(bad.done);
  EXPECT_EQ(bad.choices[0].finish, FinishReason::kError);
  EXPECT_EQ(bad.choices[0].error->message, "boom");
  EXPECT_EQ(good.choices[0].tokens, expected.choices[0].tokens);
  EXPECT_EQ(engine_->stats().free_pages, engine_->stats().total_pages);
}

TEST_F(EngineTest, DeadlinesEndQueuedAndRunningRequests) {
  build();
  Received late, running;
  Request q = greedy(4, 100);
  q.deadline_ns = clock_.now_ns() + 5'000'000;
  ASSERT_TRUE(submit(q, running).ok());
  engine_->step();
  clock_.advance_ms(6);
  EXPECT_EQ(submit(q, late).error().code, ErrorCode::kServerOverloaded);
  engine_->step();
  ASSERT_TRUE(running.done);
  EXPECT_EQ(running.choices[0].finish, FinishReason::kError);
  EXPECT_NE(running.choices[0].error->message.find("deadline"), std::string::npos);
}

TEST_F(EngineTest, ChoicesDrawTheirOwnTokens) {
  Request q = greedy(6, 15);
  q.n = 3;
  q.sampling.temperature = 1.0F;
  q.sampling.seed = 5;
  const Received r = alone(q);
  ASSERT_EQ(r.choices.size(), 3U);
  EXPECT_NE(r.choices[0].tokens, r.choices[1].tokens);
  EXPECT_NE(r.choices[1].tokens, r.choices[2].tokens);
  EXPECT_EQ(r.usage.completion_tokens, 45);
  Request one = q;
  one.n = 1;
  EXPECT_EQ(alone(one).choices[0].tokens, r.choices[0].tokens);
}

TEST_F(EngineTest, StopsAtAStopStringAndShowsNothingOfIt) {
  const Received plain = alone(greedy(5, 30));
  const std::string text = plain.choices[0].text;
  ASSERT_GT(text.size(), 12U);
  Request q = greedy(5, 30);
  size_t at = 6;  // not inside a character
  while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  size_t end = at + 5;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  q.stop = {"never", text.substr(at, end - at)};
  const Received r = alone(q);
  EXPECT_EQ(r.choices[0].finish, FinishReason::kStop);
  EXPECT_EQ(r.choices[0].text, text.substr(0, text.find(q.stop[1])));
}

TEST_F(EngineTest, StopTokensEndAndMinTokensHoldThemOff) {
  const Received plain = alone(greedy(5, 30));
  Request q = greedy(5, 30);
  q.stop_token_ids = {plain.choices[0].tokens[4]};
  const Received r = alone(q);
  EXPECT_EQ(r.choices[0].finish, FinishReason::kStop);
  EXPECT_EQ(r.choices[0].tokens.size(), 4U);
  q.min_tokens = 10;
  EXPECT_GE(alone(q).choices[0].tokens.size(), 10U);
}

TEST_F(EngineTest, PausedRequestsKeepTheirPlaceAndResume) {
  const Received expected = alone(greedy(5, 10));
  build();
  Received a;
  const RequestId id = *submit(greedy(5, 10), a);
  engine_->step();
  engine_->pause(id);
  EXPECT_FALSE(engine_->step());
  EXPECT_FALSE(engine_->step());
  engine_->resume(id);
  run();
  EXPECT_EQ(a.choices[0].tokens, expected.choices[0].tokens);
}

TEST_F(EngineTest, IsNotIdleWhileARequestIsDelivered) {
  struct Watcher final : EventSink {
    explicit Watcher(const Engine& e) : engine(e) {}
    void on_delivery(const Delivery&) override { EXPECT_FALSE(engine.idle()); }
    const Engine& engine;
  };
  build();
  ASSERT_TRUE(engine_->idle());
  ASSERT_TRUE(engine_->submit(greedy(5, 3), std::make_unique<Watcher>(*engine_)).ok());
  EXPECT_FALSE(engine_->idle());
  while (engine_->step()) {
  }
  EXPECT_TRUE(engine_->idle());
}

TEST_F(EngineTest, ThreadsSubmitCancelAndDrain) {
  build();
  const SystemClock real;
  Engine engine(*runner_, *tokenizer_, real, {});
  engine.start();
  constexpr int kThreads = 4, kEach = 25;
  std::vector<Received> got(kThreads * kEach);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        Received& r = got[static_cast<size_t>(t * kEach + i)];
        const auto id = engine.submit(greedy(3 + i, 20), std::make_unique<RecordingSink>(r));
        if (id.ok() && i % 5 == 0) engine.cancel(*id);
        if (id.ok() && i % 7 == 0) {
          engine.pause(*id);
          engine.resume(*id);
        }
        engine.stats();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  engine.drain();
  Received refused;
  EXPECT_EQ(engine.submit(greedy(3, 3), std::make_unique<RecordingSink>(refused)).error().code,
            ErrorCode::kServerOverloaded);
  while (!engine.idle()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  engine.stop();
  for (const Received& r : got) {
    ASSERT_TRUE(r.done);
    EXPECT_TRUE(r.choices[0].finish == FinishReason::kLength ||
                r.choices[0].finish == FinishReason::kCancelled);
  }
  EXPECT_EQ(engine.stats().free_pages, engine.stats().total_pages);
}

class RecordingObserver final : public StepObserver {
 public:
  void on_step(const EngineStats& stats, const StepRecord& step) override {
    EXPECT_EQ(stats.last_step_tokens, step.prefill_tokens + step.decode_tokens);
    EXPECT_LE(step.start_ns, step.end_ns);
    steps.push_back(step);
  }
  void on_request_end(const RequestRecord& r) override { requests.push_back(r); }
  std::vector<StepRecord> steps;
  std::vector<RequestRecord> requests;
};

TEST_F(EngineTest, TheObserverHearsOfStepsAndRequests) {
  RecordingObserver observer;
  FakeRunner::Shape shape;
  shape.step_tokens = 8;
  build(shape);
  runner_->before = [this](std::span<const model::Chunk>) -> Status {
    clock_.advance_ms(3);
    return {};
  };
  engine_->observe(&observer);
  Received r;
  Request q = greedy(12, 3);
  q.request_id = "abc";
  ASSERT_TRUE(submit(q, r).ok());
  Received gone;
  const auto id = submit(greedy(3, 3), gone);
  ASSERT_TRUE(id.ok());
  engine_->cancel(*id);
  run();
  engine_->observe(nullptr);
  ASSERT_EQ(observer.steps.size(), 4U) << "two chunks of the prompt, two decodes";
  EXPECT_EQ(observer.steps[0].prefill_tokens, 8);
  EXPECT_EQ(observer.steps[1].prefill_tokens, 4);
  EXPECT_EQ(observer.steps[2].decode_tokens, 1);
  for (const StepRecord& s : observer.steps) {
    ASSERT_EQ(s.parts.size(), 1U);
    EXPECT_EQ(s.phase_ns[static_cast<size_t>(Phase::kForward)], 3'000'000);
    EXPECT_EQ(s.end_ns - s.start_ns, 3'000'000) << "the clock stands still elsewhere";
  }
  ASSERT_EQ(observer.requests.size(), 2U);
  EXPECT_EQ(observer.requests[0].outcome, FinishReason::kCancelled);
  EXPECT_EQ(observer.requests[0].started_ns, 0);
  EXPECT_EQ(observer.requests[1].request_id, "abc");
  EXPECT_EQ(observer.requests[1].outcome, FinishReason::kLength);
  EXPECT_EQ(observer.requests[1].usage.completion_tokens, 3);
  EXPECT_LT(observer.requests[1].started_ns, observer.requests[1].first_token_ns);
}

}  // namespace
}  // namespace weir::engine
