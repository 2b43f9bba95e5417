// What tenants and classes get of the whole engine, with a fake model and virtual time.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "engine/engine_testing.h"
#include "engine/fake_runner.h"

namespace weir::engine {
namespace {

constexpr double kPromptTokenMs = 1;

class Service : public ::testing::Test {
 protected:
  void start(EngineLimits limits, FakeRunner::Shape shape = {}) {
    tokenizer_ = tiny_tokenizer();
    ASSERT_NE(tokenizer_, nullptr);
    shape.pages = 400;
    engine_.reset();  // before the runner it borrows
    runner_ = std::make_unique<FakeRunner>(shape);
    runner_->before = [this](std::span<const model::Chunk> batch) -> Status {
      double ms = 1;
      for (const model::Chunk& c : batch)
        ms += kPromptTokenMs * static_cast<double>(c.tokens.size());
      clock_.advance_ms(ms);
      return {};
    };
    std::vector<StepSample> samples;
    samples.reserve(8);  // references into it stay valid
    for (const int64_t tokens : {1, 4, 16, 64}) {
      StepSample& prompt = samples.emplace_back();
      prompt.work.add_prefill(0, tokens);
      StepSample& decode = samples.emplace_back();
      for (int64_t i = 0; i < tokens; ++i) decode.work.add_decode(1);
      prompt.ms = decode.ms = 1 + kPromptTokenMs * static_cast<double>(tokens);
    }
    PrefixOptions none;
    none.enabled = false;
    engine_ = std::make_unique<Engine>(*runner_, *tokenizer_, clock_, limits, none,
                                       CostModel::fit(samples));
  }

  Result<RequestId> submit(const std::string& tenant, int prompt, int output,
                           const std::function<void(Request&)>& change = {}) {
    Request q;
    q.prompt.assign(static_cast<size_t>(prompt), 5);
    q.max_tokens = output;
    q.ignore_eos = true;
    q.tenant.name = tenant;
    if (change) change(q);
    received_.emplace_back();
    return engine_->submit(std::move(q), std::make_unique<RecordingSink>(received_.back()));
  }
  static size_t tokens_of(const Received& r) {
    return r.choices.empty() ? 0 : r.choices[0].tokens.size();
  }

  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<FakeRunner> runner_;
  ManualClock clock_;
  std::deque<Received> received_;  // outlives the engine
  std::unique_ptr<Engine> engine_;
};

// The paper's theorem on the whole engine. Service is prompt tokens computed and output tokens
// twice; M are the tokens of a step.
TEST_F(Service, OfTwoBackloggedTenantsDiffersWithinTheBound) {
  EngineLimits limits;
  limits.max_running = 4;
  limits.step_tokens = 32;
  limits.max_queued_requests = 10'000;
  start(limits);
  std::vector<size_t> owner;
  const auto give = [&](const char* tenant, int prompt, int output) {
    ASSERT_TRUE(submit(tenant, prompt, output).ok());
    owner.push_back(tenant[0] == 'a' ? 0 : 1);
  };
  for (int i = 0; i < 60; ++i) give("a", 40, 4);  // many, and first
  for (int i = 0; i < 30; ++i) give("b", 60, 10);
  // A prompt, and the outputs of the places.
  const double bound = 2 * std::max(kInputWeight * 60, kOutputWeight * 4 * 10);
  for (int step = 0; step < 400; ++step) {
    engine_->step();
    double had[2] = {0, 0};
    bool waits[2] = {false, false};
    for (size_t i = 0; i < received_.size(); ++i) {
      const Received& r = received_[i];
      const double prompt = owner[i] == 0 ? 40 : 60;
      const double n = static_cast<double>(tokens_of(r));
      if (n > 0) had[owner[i]] += kInputWeight * prompt + kOutputWeight * n;
      waits[owner[i]] |= n == 0;
    }
    if (!waits[0] || !waits[1]) break;
    ASSERT_LE(std::abs(had[0] - had[1]), bound) << "step " << step;
  }
  EXPECT_GT(tokens_of(received_[60]), 0U) << "the second tenant was served at all";
}

TEST_F(Service, ATenantThatFloodsDelaysOthersLittle) {
  for (const Fairness fairness : {Fairness::kVtc, Fairness::kFifo}) {
    EngineLimits limits;
    limits.step_tokens = 32;
    limits.fairness = fairness;
    start(limits);
    received_.clear();
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(submit("flood", 60, 1).ok());
    for (int i = 0; i < 5; ++i) engine_->step();
    ASSERT_TRUE(submit("other", 20, 1).ok());
    int steps = 0;
    while (!received_.back().done) {
      engine_->step();
      ++steps;
    }
    if (fairness == Fairness::kVtc) {
      EXPECT_LE(steps, 3);
    } else {
      EXPECT_GT(steps, 100) << "else this test shows nothing";
    }
    engine_.reset();
  }
}

TEST_F(Service, BatchIsServedUnderEndlessInteractiveLoad) {
  EngineLimits limits;
  limits.step_tokens = 32;
  limits.max_running = 8;
  start(limits);
  ASSERT_TRUE(submit("t", 60, 4, [](Request& q) { q.service_class = ServiceClass::kBatch; }).ok());
  int steps = 0;
  for (; steps < 2000 && !received_.front().done; ++steps) {
    while (engine_->stats().queued_requests < 4) ASSERT_TRUE(submit("t", 60, 2).ok());
    engine_->step();
  }
  EXPECT_LT(steps, 400) << "a tenth of the prompts' tokens, and decodes like all";
  EXPECT_GT(steps, 10) << "interactive ones come first";
}

TEST_F(Service, AFirstTokenThatWouldComeTooLateIsRefusedWithTheWait) {
  EngineLimits limits;
  limits.interactive.ttft_ms = 1000;
  start(limits);
  int accepted = 0;
  Result<RequestId> last = RequestId{0};
  for (int i = 0; i < 100; ++i) {
    last = submit("t", 100, 1);
    if (!last.ok()) break;
    ++accepted;
  }
  ASSERT_FALSE(last.ok());
  EXPECT_EQ(last.error().code, ErrorCode::kServerOverloaded);
  EXPECT_EQ(last.error().bound, "slo.ttft_ms");
  EXPECT_NEAR(accepted, 9, 1) << "100 ms each";
  EXPECT_GT(last.error().retry_after_s, 0.0);
  EXPECT_LT(last.error().retry_after_s, 0.3);
  // Another tenant's request comes before most of these, a batch request has no such SLO.
  EXPECT_TRUE(submit("other", 100, 1).ok());
  EXPECT_TRUE(submit("t", 100, 1, [](Request& q) { q.service_class = ServiceClass::kBatch; }).ok());
  while (!engine_->idle()) engine_->step();
  for (int i = 0; i < accepted; ++i) {
    const Timings& t = received_[static_cast<size_t>(i)].timings;
    EXPECT_LT(t.queue_ms + t.prefill_ms, 1400);
  }
  // A prompt that takes longer by itself is taken by an idle engine.
  limits.interactive.ttft_ms = 10;
  start(limits);
  EXPECT_TRUE(submit("t", 100, 1).ok());
  EXPECT_FALSE(submit("t", 100, 1).ok());
  engine_.reset();
}

TEST_F(Service, ADeadlineThatCannotBeMetIsRefusedAtOnce) {
  start({});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(submit("t", 100, 1).ok());
  const auto in_ms = [&](double ms) {
    return submit("t", 100, 1, [&](Request& q) {
      q.deadline_ns = clock_.now_ns() + static_cast<int64_t>(ms * 1e6);
    });
  };
  const auto refused = in_ms(300);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().bound, "deadline");
  // In milliseconds: deadlines are given so, and seconds would round most of them to 0.0.
  EXPECT_NE(refused.error().message.find(" ms, the request's deadline is in "), std::string::npos)
      << refused.error().message;
  EXPECT_NEAR(refused.error().retry_after_s, 0.3, 0.1);
  EXPECT_TRUE(in_ms(900).ok());
  while (!engine_->idle()) engine_->step();
}

// Short prompts may go before a long one, and not so that their tenant gets more than its share.
TEST_F(Service, ShortPromptsDoNotEarnMoreThanTheWeightOfTheirTenant) {
  EngineLimits limits;
  limits.max_queued_requests = 10'000;
  start(limits);
  const auto weigh = [](double weight) {
    return [weight](Request& q) { q.tenant.weight = weight; };
  };
  constexpr size_t kLong = 40;
  for (size_t i = 0; i < kLong; ++i) ASSERT_TRUE(submit("long", 240, 1, weigh(8)).ok());
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(submit("short", 20, 1, weigh(1)).ok());
  const auto done = [this](size_t from, size_t to) {
    return static_cast<double>(std::count_if(received_.begin() + static_cast<ptrdiff_t>(from),
                                             received_.begin() + static_cast<ptrdiff_t>(to),
                                             [](const Received& r) { return r.done; }));
  };
  while (done(0, kLong) < 20) engine_->step();
  const double weighted_long = done(0, kLong) * (240 + 2) / 8;
  const double weighted_short = done(kLong, received_.size()) * (20 + 2);
  EXPECT_NEAR(weighted_short, weighted_long, 2 * 240) << "the paper's bound";
  while (!engine_->idle()) engine_->step();
}

TEST_F(Service, AStepThatFailedSaysNothingOfWhatStepsCost) {
  start({});
  const auto healthy = runner_->before;
  runner_->before = [this](std::span<const model::Chunk>) -> Status {
    clock_.advance_ms(0.01);
    return make_error(ErrorCode::kInternal, "injected");
  };
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(submit("t", 64, 1).ok());
    engine_->step();
  }
  ASSERT_TRUE(engine_->idle());
  runner_->before = healthy;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(submit("t", 100, 1).ok());
  while (!engine_->idle()) engine_->step();
  const Timings& t = received_.back().timings;
  EXPECT_NEAR(t.predicted_ttft_ms, t.queue_ms + t.prefill_ms, 0.2 * t.predicted_ttft_ms);
}

TEST_F(Service, BoundsOfATenantCountForIt) {
  start({});
  const auto few = [](Request& q) {
    q.tenant.max_queued_requests = 2;
    q.tenant.max_queued_tokens = 100;
  };
  ASSERT_TRUE(submit("t", 60, 1, few).ok());
  EXPECT_EQ(submit("t", 50, 1, few).error().bound, "tenant.max_queued_tokens");
  ASSERT_TRUE(submit("t", 30, 1, few).ok());
  EXPECT_EQ(submit("t", 1, 1, few).error().bound, "tenant.max_queued_requests");
  EXPECT_TRUE(submit("u", 60, 1, few).ok());
  while (!engine_->idle()) engine_->step();
  EXPECT_TRUE(submit("t", 60, 1, few).ok()) << "what has left the queue counts no more";
  engine_.reset();
}

TEST_F(Service, ATenantLeavesRoomInTheQueueForOthers) {
  EngineLimits limits;
  limits.max_queued_requests = 40;
  limits.max_queued_tokens = 4000;
  start(limits);
  const auto fill = [&](const std::string& tenant, int32_t tokens) {
    int accepted = 0;
    for (;; ++accepted) {
      const auto r = submit(tenant, tokens, 1);
      if (r.ok()) continue;
      EXPECT_EQ(r.error().bound, tenant.empty() ? "max_queued_requests" : "tenant.share_of_queue");
      return accepted;
    }
  };
  EXPECT_EQ(fill("heavy", 10), 30) << "three quarters of the requests";
  EXPECT_GT(fill("second", 10), 6);
  EXPECT_TRUE(submit("light", 10, 1).ok());
  while (!engine_->idle()) engine_->step();
  EXPECT_NEAR(fill("heavy", 120), 25, 1) << "three quarters of the tokens";
  EXPECT_TRUE(submit("light", 120, 1).ok());
  while (!engine_->idle()) engine_->step();
  EXPECT_EQ(fill("", 10), 40) << "without keys there are no others";
  engine_.reset();
}

TEST_F(Service, WhoWaitsLongerThanTheQueueAllowsIsToldSo) {
  EngineLimits limits;
  limits.max_running = 1;
  limits.queue_timeout_ms = 50;
  start(limits);
  ASSERT_TRUE(submit("t", 10, 100).ok());
  ASSERT_TRUE(submit("t", 10, 1).ok());
  while (!engine_->idle()) engine_->step();
  EXPECT_EQ(tokens_of(received_[0]), 100U) << "what has started is not in the queue";
  ASSERT_TRUE(received_[1].choices.at(0).error.has_value());
  EXPECT_EQ(received_[1].choices[0].error->bound, "queue_timeout_s");
}

TEST_F(Service, PredictionsComeTrue) {
  start({});
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(submit(i % 2 == 0 ? "a" : "b", 100, 1).ok());
  while (!engine_->idle()) engine_->step();
  for (size_t i = 3; i < received_.size(); ++i) {
    const Timings& t = received_[i].timings;
    const double actual = t.queue_ms + t.prefill_ms;
    EXPECT_NEAR(t.predicted_ttft_ms, actual, 0.35 * actual) << i;
  }
}

}  // namespace
}  // namespace weir::engine
