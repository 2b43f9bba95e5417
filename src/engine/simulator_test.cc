// The simulator: the real engine and scheduler under thousands of seeded schedules of arrivals,
// lengths, shared prefixes under tenants and salts, weights, classes, priorities, SLOs, cache
// flushes, cancels, slow readers, deadlines, queue time-outs, page shortages and failing steps,
// with a fake model and virtual time. After every step the invariants hold, and a step does
// something whenever a request could go on (work conservation); at the end every request that was
// not disturbed has exactly the tokens it gets alone, nothing is left over, and everything ended
// within a bounded number of steps. WEIR_SIM_SEED runs one schedule, WEIR_SIM_SCHEDULES sets their
// number.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "engine/engine_testing.h"
#include "engine/fake_runner.h"
#include "kv/page_tier.h"

namespace weir::engine {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kSchedules = 500;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr int kSchedules = 500;
#else
constexpr int kSchedules = 10'000;
#endif
#else
constexpr int kSchedules = 10'000;
#endif

constexpr int32_t kFails = 240;  // first tokens from here on: requests whose steps fail

struct Totals {
  uint64_t hits_tokens = 0;
  uint64_t evictions = 0;
  uint64_t tier_hits_pages = 0;
  uint64_t preemptions = 0;
  std::map<std::string, int> refusals;  // by bound
};
Totals& totals() {
  static Totals all;
  return all;
}

struct Planned {
  Request request;
  int arrives_at = 0;  // step
  int cancel_at = -1;  // step, or never
  int pause_at = -1;   // step; resumed some steps later
  int pause_steps = 0;
  bool fails = false;  // its steps fail from some token on
  RequestId id = 0;
  bool accepted = false;
  bool paused = false;
  Received got;
};

class Schedule {
 public:
  explicit Schedule(uint64_t seed) : rng_(seed) {
    shape_.page_tokens = rng_.below(2) == 0 ? 4 : 8;
    shape_.pages = static_cast<int32_t>(6 + rng_.below(30));
    shape_.context = 128;
    shape_.step_tokens = static_cast<int32_t>(4 + rng_.below(60));
    limits_.step_tokens = shape_.step_tokens;
    limits_.prefill_chunk_tokens =
        static_cast<int32_t>(1 + rng_.below(static_cast<uint64_t>(shape_.step_tokens)));
    limits_.max_running = static_cast<int32_t>(1 + rng_.below(8));
    limits_.max_queued_requests = static_cast<int32_t>(2 + rng_.below(12));
    limits_.fairness = rng_.below(4) == 0 ? Fairness::kFifo : Fairness::kVtc;
    if (rng_.below(4) == 0) limits_.queue_timeout_ms = static_cast<double>(1 + rng_.below(200));
    if (rng_.below(3) == 0) limits_.interactive.itl_ms = static_cast<double>(1 + rng_.below(20));
    if (rng_.below(4) == 0) limits_.batch.itl_ms = static_cast<double>(1 + rng_.below(20));
    if (rng_.below(4) == 0) limits_.interactive.ttft_ms = static_cast<double>(5 + rng_.below(200));
    if (rng_.below(2) == 0) {
      costs_ = {.fixed_ms = 0.5,
                .prefill_token_ms = 0.1,
                .decode_token_ms = 0.2,
                .decode_kv_token_ms = 0.001,
                .prefill_kv_pair_ms = 0.0005};
    }
    for (int t = 0; t < 3; ++t) {
      Tenant tenant;
      tenant.name = std::string(static_cast<size_t>(t), 't');
      tenant.weight = static_cast<double>(1 + rng_.below(4));
      if (rng_.below(4) == 0) tenant.max_running = static_cast<int32_t>(1 + rng_.below(3));
      if (rng_.below(6) == 0) tenant.max_queued_requests = static_cast<int32_t>(1 + rng_.below(3));
      if (rng_.below(6) == 0) tenant.max_queued_tokens = static_cast<int64_t>(1 + rng_.below(90));
      tenants_.push_back(tenant);
    }
    prefix_.enabled = rng_.below(8) != 0;
    prefix_.hash_key = {rng_.next(), rng_.next()};
    if (rng_.below(3) == 0) {
      const auto page_bytes = static_cast<size_t>(shape_.page_tokens) * sizeof(int32_t);
      auto tier = kv::PageTier::in_memory((1 + rng_.below(40)) * page_bytes, page_bytes);
      if (tier.ok()) tier_ = std::move(*tier);
      prefix_.tier = tier_.get();
    }
    flush_at_ = rng_.below(4) == 0 ? static_cast<int>(rng_.below(80)) : -1;
    const int n = static_cast<int>(1 + rng_.below(10));
    for (int i = 0; i < n; ++i) plan_.push_back(make_planned(i));
    if (rng_.below(2) == 0) speculate();
  }

  void run(const text::Tokenizer& tokenizer) {
    FakeRunner runner(shape_);
    Engine engine(runner, tokenizer, clock_, limits_, prefix_, cost_model());
    runner.before = [this](std::span<const model::Chunk> batch) { return maybe_fail(batch); };
    const int kMaxSteps = 3000;  // all tokens of ten requests one by one, several times over
    int step = 0;
    for (; step < kMaxSteps; ++step) {
      bool waiting = false;
      for (Planned& p : plan_) waiting |= act(engine, p, step);
      if (step == flush_at_) engine.flush_cache();
      const bool worked = engine.step();
      clock_.advance_ms(1);
      ASSERT_TRUE(worked || !could_go_on()) << "step " << step << " was idle";
      const Status ok = engine.check_invariants();
      ASSERT_TRUE(ok.ok()) << "step " << step << ": " << ok.error().message;
      if (!waiting && engine.idle()) break;
    }
    ASSERT_LT(step, kMaxSteps) << "no progress";
    const EngineStats left = engine.stats();
    EXPECT_EQ(left.free_pages, left.total_pages);
    EXPECT_EQ(left.prefix_pages, left.evictable_pages);
    totals().hits_tokens += left.prefix_hits_tokens;
    totals().evictions += left.prefix_evictions;
    totals().tier_hits_pages += left.tier_hits_pages;
    totals().preemptions += left.preemptions;
    EXPECT_EQ(engine.stats().queued_tokens, 0);
    for (Planned& p : plan_) check_outcome(p, tokenizer);
    accepted_drafts = engine.stats().accepted_draft_tokens;
    rejected_drafts = engine.stats().draft_tokens - accepted_drafts;
  }
  uint64_t accepted_drafts = 0;
  uint64_t rejected_drafts = 0;

 private:
  // As calibration would find it; without, the engine learns from a clock that tells nothing.
  CostModel cost_model() const {
    std::vector<StepSample> samples;
    for (const int64_t tokens : {1, 8, 32}) {
      for (const int64_t position : {0, 64}) {
        samples.emplace_back().work.add_prefill(position, tokens);
        StepWork& decodes = samples.emplace_back().work;
        for (int64_t i = 0; i < tokens; ++i) decodes.add_decode(position + 1);
      }
    }
    for (StepSample& s : samples) s.ms = costs_.predict_ms(s.work);
    return costs_.known() ? CostModel::fit(samples) : CostModel{};
  }

  // Whether a request is unfinished whose reader is not slow.
  bool could_go_on() const {
    return std::any_of(plan_.begin(), plan_.end(),
                       [](const Planned& p) { return p.accepted && !p.got.done && !p.paused; });
  }

  // Texts that repeat themselves, guesses of any depth, predictions good and bad.
  void speculate() {
    shape_.alphabet = static_cast<int32_t>(2 + rng_.below(20));
    SpeculationLimits& l = limits_.speculation;
    l.depth =
        rng_.below(3) == 0 ? SpeculationLimits::kAuto : static_cast<int32_t>(1 + rng_.below(9));
    if (rng_.below(4) == 0) l.max_index_tokens = static_cast<int32_t>(2 + rng_.below(40));
    if (rng_.below(4) == 0) l.max_all_index_tokens = static_cast<int64_t>(rng_.below(200));
    for (Planned& p : plan_) {
      p.request.sampling.logprobs = 0;
      const uint64_t predicted = rng_.below(3) == 0 ? rng_.below(60) : 0;
      for (uint64_t i = 0; i < predicted; ++i)
        p.request.prediction.push_back(
            static_cast<int32_t>(rng_.below(static_cast<uint64_t>(shape_.alphabet))));
    }
  }

  Planned make_planned(int i) {
    Planned p;
    Request& q = p.request;
    const auto prompt = 1 + rng_.below(40);
    for (uint64_t t = 0; t < prompt; ++t)
      q.prompt.push_back(static_cast<int32_t>(rng_.below(kFails)));
    if (i > 0 && rng_.below(2) == 0) share(q.prompt);
    q.tenant = tenants_[rng_.below(tenants_.size())];
    if (rng_.below(4) == 0) q.service_class = ServiceClass::kBatch;
    if (rng_.below(4) == 0) q.cache_salt = "s";
    q.priority = static_cast<int32_t>(rng_.below(2));
    q.max_tokens = static_cast<int32_t>(1 + rng_.below(40));
    q.n = static_cast<int32_t>(1 + (rng_.below(5) == 0 ? 1 + rng_.below(2) : 0));
    q.ignore_eos = rng_.below(2) == 0;
    q.sampling.temperature = rng_.below(2) == 0 ? 0.0F : 0.8F;
    q.sampling.seed = rng_.next();
    if (rng_.below(4) == 0) q.stop = {"a", "bc"};
    p.arrives_at = static_cast<int>(rng_.below(60));
    if (rng_.below(6) == 0) p.cancel_at = p.arrives_at + static_cast<int>(rng_.below(40));
    if (rng_.below(8) == 0) {
      p.pause_at = p.arrives_at + static_cast<int>(rng_.below(20));
      p.pause_steps = static_cast<int>(1 + rng_.below(30));
    }
    if (rng_.below(8) == 0)
      q.deadline_ns = (p.arrives_at + 1 + static_cast<int64_t>(rng_.below(60))) * 1'000'000;
    p.fails = rng_.below(12) == 0;
    // A failing step knows whose it is by its first token.
    if (p.fails) q.prompt[0] = kFails + i;
    return p;
  }

  // The prompt begins as that of an earlier request and its answer may go, or as a part of it.
  void share(std::vector<int32_t>& prompt) {
    const std::vector<int32_t>& other = plan_[rng_.below(plan_.size())].request.prompt;
    if (other[0] >= kFails) return;
    const size_t n = std::min(other.size(), static_cast<size_t>(1 + rng_.below(40)));
    prompt.insert(prompt.begin(), other.begin(), other.begin() + static_cast<ptrdiff_t>(n));
    if (prompt.size() > 60) prompt.resize(60);
  }

  // Does what is due for p at this step; whether something is still to come.
  bool act(Engine& engine, Planned& p, int step) {
    if (step == p.arrives_at) {
      const auto id = engine.submit(p.request, std::make_unique<RecordingSink>(p.got));
      p.accepted = id.ok();
      if (id.ok()) {
        p.id = *id;
      } else if (id.error().code == ErrorCode::kServerOverloaded) {
        EXPECT_FALSE(id.error().bound.empty()) << id.error().message;
        EXPECT_GT(id.error().retry_after_s, 0);
        ++totals().refusals[id.error().bound];
      }
    }
    if (p.accepted && step == p.cancel_at) engine.cancel(p.id);
    if (p.accepted && step == p.pause_at) {
      engine.pause(p.id);
      p.paused = true;
    }
    if (p.accepted && step == p.pause_at + p.pause_steps) {
      engine.resume(p.id);
      p.paused = false;
    }
    return step < p.arrives_at || step < p.pause_at + p.pause_steps;
  }

  // A chunk that starts a sequence marked as failing makes its step fail.
  Status maybe_fail(std::span<const model::Chunk> batch) {
    StepWork work;
    for (const model::Chunk& c : batch) {
      const auto n = static_cast<int64_t>(c.tokens.size());
      n == 1 ? work.add_decode(c.position + 1) : work.add_prefill(c.position, n);
    }
    clock_.advance_ms(costs_.predict_ms(work));
    for (const model::Chunk& c : batch) {
      if (c.position == 0 && c.tokens[0] >= kFails) {
        return make_error(ErrorCode::kInternal, "injected");
      }
    }
    return {};
  }

  void check_outcome(Planned& p, const text::Tokenizer& tokenizer) {
    if (!p.accepted) return;
    ASSERT_TRUE(p.got.done);
    ASSERT_EQ(p.got.choices.size(), static_cast<size_t>(p.request.n));
    if (p.fails) {
      EXPECT_NE(p.got.choices[0].finish, FinishReason::kLength);
      return;
    }
    FakeRunner::Shape roomy;
    roomy.alphabet = shape_.alphabet;
    FakeRunner runner(roomy);
    Request q = p.request;
    q.deadline_ns = 0;
    q.tenant = {};
    PrefixOptions without;
    without.enabled = false;
    Engine engine(runner, tokenizer, clock_, {}, without);
    Received expected;
    ASSERT_TRUE(engine.submit(q, std::make_unique<RecordingSink>(expected)).ok());
    while (!engine.idle()) engine.step();
    for (size_t i = 0; i < expected.choices.size(); ++i) {
      const Received::Choice& got = p.got.choices[i];
      const Received::Choice& want = expected.choices[i];
      const bool cut = got.finish == FinishReason::kCancelled || got.finish == FinishReason::kError;
      if (cut) {  // a prefix of what it gets alone
        ASSERT_LE(got.tokens.size(), want.tokens.size());
        EXPECT_TRUE(std::equal(got.tokens.begin(), got.tokens.end(), want.tokens.begin()));
        EXPECT_TRUE(p.cancel_at >= 0 || p.request.deadline_ns != 0 || limits_.queue_timeout_ms > 0);
      } else {
        EXPECT_EQ(got.tokens, want.tokens);
        EXPECT_EQ(got.logprobs, want.logprobs);
        EXPECT_EQ(got.text, want.text);
        EXPECT_EQ(got.finish, want.finish);
      }
    }
  }

  Rng rng_;
  FakeRunner::Shape shape_;
  EngineLimits limits_;
  StepCosts costs_;  // of virtual time
  std::vector<Tenant> tenants_;
  PrefixOptions prefix_;
  std::unique_ptr<kv::PageTier> tier_;  // outlives the engine of run()
  int flush_at_ = -1;                   // step, or never
  ManualClock clock_;
  std::vector<Planned> plan_;
};

TEST(Simulator, SeededSchedulesKeepEveryInvariant) {
  const auto tokenizer = tiny_tokenizer();
  ASSERT_NE(tokenizer, nullptr);
  if (const char* seed = std::getenv("WEIR_SIM_SEED"); seed != nullptr) {
    Schedule(std::strtoull(seed, nullptr, 10)).run(*tokenizer);
    return;
  }
  const char* wanted = std::getenv("WEIR_SIM_SCHEDULES");
  const int schedules = wanted != nullptr ? std::atoi(wanted) : kSchedules;
  uint64_t accepted = 0;
  uint64_t rejected = 0;
  for (int i = 0; i < schedules; ++i) {
    SCOPED_TRACE("WEIR_SIM_SEED=" + std::to_string(i));
    Schedule schedule(static_cast<uint64_t>(i));
    schedule.run(*tokenizer);
    if (::testing::Test::HasFailure()) return;
    accepted += schedule.accepted_drafts;
    rejected += schedule.rejected_drafts;
  }
  std::printf("%d schedules, %llu prompt tokens found, %llu pages evicted, %llu came back\n",
              schedules, static_cast<unsigned long long>(totals().hits_tokens),
              static_cast<unsigned long long>(totals().evictions),
              static_cast<unsigned long long>(totals().tier_hits_pages));
  EXPECT_GT(totals().hits_tokens, 0U);
  EXPECT_GT(totals().evictions, 0U);
  EXPECT_GT(totals().tier_hits_pages, 0U);
  std::printf("%llu preemptions; refused by",
              static_cast<unsigned long long>(totals().preemptions));
  for (const auto& [bound, count] : totals().refusals) std::printf(" %s: %d", bound.c_str(), count);
  std::printf("\n");
  EXPECT_GT(accepted, 0U);
  EXPECT_GT(rejected, 0U);
  std::printf("%llu drafts accepted, %llu rejected\n", static_cast<unsigned long long>(accepted),
              static_cast<unsigned long long>(rejected));
}

}  // namespace
}  // namespace weir::engine
