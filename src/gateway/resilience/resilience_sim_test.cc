// The policies together, against upstreams that fail in every way of the fault table: how many
// requests succeed, how much load the upstreams see, how soon they are back. WEIR_SIM_SEEDS sets
// the number of seeds that each row runs with (60 were tried), WEIR_SIM_PRINT=1 prints the figures.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <string>

#include "gateway/resilience/simulation_testing.h"

namespace weir::gateway {
namespace {

constexpr int64_t kFaultFrom = 20'000;
constexpr int64_t kFaultTo = 50'000;

uint64_t seeds() {
  const char* given = std::getenv("WEIR_SIM_SEEDS");  // NOLINT(concurrency-mt-unsafe)
  return given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
}

// As a gateway would be set for an upstream that answers in 20 ms: the times of the defaults, but
// pauses of at most 5 s, so that a run of 80 s sees the recovery.
SimConfig usual(uint64_t seed) {
  SimConfig config;
  config.seed = seed;
  config.pool.endpoint.breaker.slow_ms = 300;
  config.pool.endpoint.breaker.open_max_ms = 5'000;
  config.pool.endpoint.slow_start.window_ms = 5'000;
  config.pool.outlier.base_ejection_ms = 2'000;
  config.pool.outlier.max_ejection_ms = 5'000;
  config.pool.retry.continue_streams = true;
  return config;
}

SimConfig with_fault(uint64_t seed, SimMode mode, size_t endpoints, int64_t period_ms = 0) {
  SimConfig config = usual(seed);
  for (size_t e = 0; e < endpoints; ++e)
    config.faults.push_back({e, mode, kFaultFrom, kFaultTo, period_ms});
  return config;
}

// Of the requests that arrived, and the attempts that began, within a time.
struct Figures {
  int64_t requests = 0;
  int64_t failed = 0;
  int64_t attempts = 0;
  int64_t at_faulty = 0;  // attempts at endpoint 0
  double slowest_ms = 0;  // until a request ended, well or not
  double slowest_first_byte_ms = 0;

  double success() const {
    return 1.0 - static_cast<double>(failed) / static_cast<double>(requests);
  }
  double load() const { return static_cast<double>(attempts) / static_cast<double>(requests); }
};

Figures figures(const ResilienceSim& sim, int64_t from_ms, int64_t to_ms) {
  Figures f;
  for (const SimRequest& r : sim.requests()) {
    if (r.arrived_ms < static_cast<double>(from_ms) || r.arrived_ms >= static_cast<double>(to_ms))
      continue;
    ++f.requests;
    f.failed += r.ok ? 0 : 1;
    f.slowest_ms = std::max(f.slowest_ms, r.ended_ms);
    f.slowest_first_byte_ms = std::max(f.slowest_first_byte_ms, r.first_byte_ms);
  }
  for (const SimAttempt& a : sim.attempts()) {
    if (a.at_ms < static_cast<double>(from_ms) || a.at_ms >= static_cast<double>(to_ms)) continue;
    ++f.attempts;
    f.at_faulty += a.endpoint == 0 ? 1 : 0;
  }
  return f;
}

void print(const char* name, uint64_t seed, const Figures& f) {
  if (std::getenv("WEIR_SIM_PRINT") == nullptr) return;  // NOLINT(concurrency-mt-unsafe)
  std::printf(
      "%-12s seed %llu: %6lld requests, success %.4f %%, load %.3f, at faulty %lld, "
      "slowest %.0f ms, first byte %.0f ms\n",
      name, static_cast<unsigned long long>(seed), static_cast<long long>(f.requests),
      100 * f.success(), f.load(), static_cast<long long>(f.at_faulty), f.slowest_ms,
      f.slowest_first_byte_ms);
}

struct Row {
  const char* name;
  SimMode mode;
  size_t faulty;  // of 4
  int64_t period_ms;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class FaultTableTest : public testing::TestWithParam<Row> {};

TEST_P(FaultTableTest, ServedByTheHealthyAndBackAfterwards) {
  const Row row = GetParam();
  for (uint64_t seed = 1; seed <= seeds(); ++seed) {
    ResilienceSim sim(with_fault(seed, row.mode, row.faulty, row.period_ms));
    sim.run();
    const Figures before = figures(sim, 0, kFaultFrom);
    const Figures during = figures(sim, kFaultFrom, kFaultTo);
    const Figures after = figures(sim, kFaultTo, 80'000);
    const Figures late = figures(sim, 70'000, 80'000);
    print(row.name, seed, during);
    EXPECT_EQ(before.failed, 0) << seed;
    EXPECT_GE(during.success(), 0.999) << seed << ": " << during.failed;
    EXPECT_GE(after.success(), 0.9999) << seed << ": " << after.failed;
    EXPECT_LE(during.load(), 1.1) << seed;
    // Nobody waited longer than three hung attempts, the waits between, and the stream.
    EXPECT_LE(during.slowest_ms, 3'300) << seed;
    // 20 s after the fault each endpoint has its share again: a quarter, by least load.
    EXPECT_GE(static_cast<double>(late.at_faulty), 0.2 * static_cast<double>(late.attempts))
        << seed;
    EXPECT_LE(sim.most_probes(), 2) << seed;
    EXPECT_EQ(sim.open_permits(), 0) << seed;
    for (size_t e = 0; e < 4; ++e) EXPECT_EQ(sim.pool().endpoint(e).in_flight(), 0) << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Faults, FaultTableTest,
    testing::Values(Row{"dead", SimMode::kDead, 1, 0}, Row{"dead3", SimMode::kDead, 3, 0},
                    Row{"hung", SimMode::kHung, 1, 0}, Row{"hung3", SimMode::kHung, 3, 0},
                    Row{"slow", SimMode::kSlow, 1, 0}, Row{"errors", SimMode::kErrors, 1, 0},
                    Row{"errors3", SimMode::kErrors, 3, 0}, Row{"busy", SimMode::kBusy, 1, 0},
                    Row{"busy3", SimMode::kBusy, 3, 0}, Row{"cutting", SimMode::kCutting, 1, 0},
                    Row{"flapping", SimMode::kDead, 1, 3'000},
                    Row{"flapping2", SimMode::kDead, 2, 1'000}),
    [](const testing::TestParamInfo<Row>& param) { return param.param.name; });

// The whole pool is down: its requests fail at once, the upstreams see a small part of the load,
// and when they are back, so is the service.
TEST(ResilienceSimTest, AWhollyDeadPool) {
  for (uint64_t seed = 1; seed <= seeds(); ++seed) {
    ResilienceSim sim(with_fault(seed, SimMode::kDead, 4));
    sim.run();
    const Figures during = figures(sim, kFaultFrom, kFaultTo);
    print("all dead", seed, during);
    EXPECT_LE(during.load(), 0.1) << seed;
    EXPECT_LE(during.slowest_ms, 200) << seed;
    EXPECT_LE(sim.most_probes(), 2) << seed;
    // The longest time open (5 s and a fifth) later.
    EXPECT_EQ(figures(sim, kFaultTo + 6'000, 80'000).failed, 0) << seed;
  }
}

// Without breakers, ejection and checks the budget alone bounds the load.
TEST(ResilienceSimTest, TheBudgetAlone) {
  for (uint64_t seed = 1; seed <= seeds(); ++seed) {
    SimConfig config = with_fault(seed, SimMode::kDead, 4);
    config.faults.clear();
    for (size_t e = 0; e < 4; ++e) config.faults.push_back({e, SimMode::kDead, 0, 90'000, 0});
    config.pool.endpoint.health.enabled = false;
    config.pool.endpoint.breaker.in_a_row = 0;
    config.pool.endpoint.breaker.failure_rate = 2;
    config.pool.outlier = {.consecutive_failures = 0, .stdev_factor = 0};
    ResilienceSim sim(config);
    sim.run();
    const Figures all = figures(sim, 0, 80'000);
    print("budget only", seed, all);
    EXPECT_EQ(all.failed, all.requests);
    EXPECT_GT(all.load(), 1.09) << seed;
    EXPECT_LE(all.load(), 1.1) << seed;
  }
}

// All upstreams answer 429 with Retry-After: 2. They are asked again when they said, not before.
TEST(ResilienceSimTest, AStormOf429) {
  for (uint64_t seed = 1; seed <= seeds(); ++seed) {
    ResilienceSim sim(with_fault(seed, SimMode::kBusy, 4));
    sim.run();
    const Figures during = figures(sim, kFaultFrom, kFaultTo);
    print("all busy", seed, during);
    // 15 pauses in 30 s; with each come the requests that were sent before its answer, 2 ms later.
    EXPECT_LE(during.at_faulty, 15 * 4) << seed;
    EXPECT_EQ(figures(sim, kFaultTo + 3'000, 80'000).failed, 0) << seed;
  }
}

TEST(ResilienceSimTest, HedgesCutTheTailWithinTheirBudget) {
  for (uint64_t seed = 1; seed <= seeds(); ++seed) {
    const auto tail = [seed](bool hedge, double& slow_part, Figures& all) {
      SimConfig config = usual(seed);
      config.length_ms = 40'000;
      config.pool.endpoint.limit.max_limit = 100;
      config.hedge.enabled = hedge;
      config.hedge.quantile = 0.97;
      config.faults.push_back({0, SimMode::kSlowTail, 0, 40'000, 0});
      ResilienceSim sim(config);
      sim.run();
      all = figures(sim, 10'000, 40'000);
      int64_t slow = 0;
      for (const SimRequest& r : sim.requests())
        if (r.arrived_ms >= 10'000 && r.first_byte_ms > 300) ++slow;
      slow_part = static_cast<double>(slow) / static_cast<double>(all.requests);
      const RetryBudgetView budget = sim.hedge().view(sim.now_ns());
      EXPECT_LE(static_cast<double>(budget.retries), 0.02 * static_cast<double>(budget.requests));
      EXPECT_EQ(sim.open_permits(), 0);
      EXPECT_EQ(all.failed, 0);
    };
    double without = 0;
    double with = 0;
    Figures all;
    tail(false, without, all);
    EXPECT_DOUBLE_EQ(all.load(), 1.0);
    tail(true, with, all);
    print("hedged", seed, all);
    EXPECT_GT(all.load(), 1.0);
    EXPECT_LE(all.load(), 1.02 + 0.001);
    EXPECT_GT(without, 0.006) << seed;
    EXPECT_LT(with, 0.25 * without) << seed;
  }
}

// Four times what an upstream can do: without a limit every request waits longer and longer; with
// one that follows the latency those let through are answered in time, the others refused at once.
TEST(ResilienceSimTest, TheLimitKeepsAnOverloadedUpstreamUseful) {
  for (uint64_t seed = 1; seed <= seeds(); ++seed) {
    const auto run = [seed](bool adaptive) {
      SimConfig config = usual(seed);
      config.endpoints = 1;
      config.length_ms = 40'000;
      config.capacity = 3;
      config.pool.retry.max_attempts = 1;
      config.pool.endpoint.limit.adaptive = adaptive;
      ResilienceSim sim(config);
      sim.run();
      EXPECT_EQ(sim.open_permits(), 0);
      return figures(sim, 25'000, 40'000);  // from 64 down it takes a while
    };
    const Figures fixed = run(false);
    const Figures adaptive = run(true);
    print("no limit", seed, fixed);
    print("limit", seed, adaptive);
    EXPECT_GT(adaptive.success(), 0.15) << seed;
    EXPECT_GT(adaptive.success(), 2 * fixed.success()) << seed;
    EXPECT_LT(adaptive.slowest_first_byte_ms, 200) << seed;
    EXPECT_GT(fixed.slowest_first_byte_ms, 500) << seed;
  }
}

TEST(ResilienceSimTest, TheSameSeedGivesTheSame) {
  const auto run = [](uint64_t seed) {
    SimConfig config = with_fault(seed, SimMode::kErrors, 2, 2'000);
    config.length_ms = 30'000;
    ResilienceSim sim(config);
    sim.run();
    return sim.fingerprint();
  };
  const uint64_t first = run(1);
  EXPECT_EQ(first, run(1));
  EXPECT_NE(first, run(2));
}

}  // namespace
}  // namespace weir::gateway
