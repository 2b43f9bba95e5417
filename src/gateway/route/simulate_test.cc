// The simulator by hand, the reader of traces, and the target of cache-aware routing.
#include "gateway/route/simulate.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/paths_testing.h"

namespace weir::gateway {
namespace {

constexpr std::string_view kLine =
    R"({"timestamp": 1000, "input_length": 1000, "output_length": 10, "hash_ids": [4, 5]})";

std::string line(int64_t ms, int64_t input, std::string_view ids) {
  return fmt::format(R"({{"timestamp":{},"input_length":{},"output_length":2,"hash_ids":[{}]}})"
                     "\n",
                     ms, input, ids);
}

TEST(SimulateTest, ReadsATrace) {
  const auto t = parse_mooncake(line(0, 1'000, "1,2") + "\n" + line(3'000, 600, "1,3") +
                                line(3'000, 512, "1"));
  ASSERT_TRUE(t.ok()) << t.error().message;
  ASSERT_EQ(t->requests.size(), 3U);
  EXPECT_EQ(t->requests[0].input_tokens, 1'000);
  EXPECT_EQ(t->blocks_of(t->requests[0]).back().end_tokens, 1'000U);
  EXPECT_EQ(t->blocks_of(t->requests[1]).front(), t->blocks_of(t->requests[0]).front());
  EXPECT_NE(t->blocks_of(t->requests[1]).back().name, t->blocks_of(t->requests[0]).back().name);
  EXPECT_EQ(t->requests[1].at_s, 3.0);
  EXPECT_EQ(t->requests[2].at_s, 4.5);  // times of one step of 3 s are spread
  EXPECT_NE(t->requests[0].session, t->requests[1].session);
  EXPECT_EQ(parse_mooncake(line(0, 1, "1") + "broken", 1)->requests.size(), 1U);
}

TEST(SimulateTest, NamesTheBrokenLine) {
  const auto message = [](std::string_view text) {
    const auto t = parse_mooncake(text);
    return t.ok() ? std::string("ok") : t.error().message;
  };
  const std::string good(kLine);
  EXPECT_EQ(message(""), "the trace has no requests");
  EXPECT_EQ(message(good + "\n" + line(999, 1, "1")),
            "line 2: timestamp is before that of the line above");
  EXPECT_EQ(message(line(0, -1, "1")),
            "line 1: input_length is not an integer from 0 to 2147483647");
  EXPECT_EQ(message(R"({"timestamp":0,"input_length":1,"output_length":1})"),
            "line 1: hash_ids is not an array");
  EXPECT_EQ(message(line(0, 1, "\"x\"")), "line 1: hash_ids holds no integers");
  for (size_t n = 1; n < kLine.size(); ++n)
    EXPECT_TRUE(message(kLine.substr(0, n)).starts_with("line 1: ")) << n;
}

// One upstream: 1,000 tokens/s, no overhead.
TEST(SimulateTest, FiguresByHand) {
  const auto t = parse_mooncake(line(0, 1'024, "1,2") + line(100, 1'024, "1,3") +
                                line(10'000, 1'024, "1,2") + line(20'000, 512, "9"));
  ASSERT_TRUE(t.ok());
  SimulationConfig config{.upstreams = 1,
                          .cache_tokens = 1'536,
                          .prefill_tokens_per_s = 1'000,
                          .itl_ms = 1,
                          .stream_cost = 0,
                          .overhead_ms = 0};
  // 1.024 s; behind it 0.512 s more of which 0.1 s have passed; all but the last token is there;
  // nothing of it.
  const SimulationResult r = simulate(*t, {}, config);
  EXPECT_NEAR(r.hit_rate, (512.0 + 1'023) / (3 * 1'024 + 512), 1e-9);
  EXPECT_NEAR(r.ttft_p50_s, (1.024 + 0.512) / 2, 1e-9);
  EXPECT_NEAR(r.ttft_p99_s, 1.436 - 0.03 * (1.436 - 1.024), 1e-9);
  EXPECT_NEAR(r.max_over_mean, 1, 1e-9);
  // In a cache of two blocks the second prompt has put out the end of the first.
  config.cache_tokens = 1'024;
  EXPECT_NEAR(simulate(*t, {}, config).hit_rate, (512.0 + 512) / (3 * 1'024 + 512), 1e-9);
  config.cache_tokens = 0;
  EXPECT_NEAR(simulate(*t, {}, config).hit_rate, r.hit_rate, 1e-9);
  // Running requests slow prompts down: the first one's 2 tokens last until 3 s.
  config.itl_ms = 1'000;
  config.stream_cost = 0.5;
  const auto two = parse_mooncake(line(0, 512, "1") + line(2'000, 1'000, "2,3"));
  EXPECT_NEAR(simulate(*two, {}, config).ttft_p99_s, 0.512 + 0.99 * (2 - 0.512), 1e-9);
}

Result<RouteTrace> shared_trace(const std::string& name, size_t requests) {
  std::ifstream file(paths::shared("data/traces/mooncake_" + name + "_trace.first3000.jsonl"));
  if (!file) return make_error(ErrorCode::kNotFound, "no trace {} here", name);
  std::stringstream text;
  text << file.rdbuf();
  return parse_mooncake(text.str(), requests);
}

// The target: at least twice round robin's hit rate and at most a third of its p90 TTFT, with 8
// upstreams of a million tokens of cache each, at three quarters of their prefill speed.
TEST(SimulateTest, CacheAwareBeatsRoundRobinOnTraces) {
  for (const char* name : {"conversation", "synthetic"}) {
    const auto trace = shared_trace(name, kMaxTraceRequests);
    if (!trace.ok()) GTEST_SKIP() << trace.error().message;
    const auto rows = compare_policies(*trace, {}, {});
    ASSERT_EQ(rows.size(), 5U);
    const SimulationResult& robin = rows[0].result;
    const SimulationResult& aware = rows[3].result;
    ASSERT_EQ(rows[3].policy, PickPolicy::kCacheAware);
    EXPECT_GE(aware.hit_rate, 2.5 * robin.hit_rate) << policy_table(rows);
    EXPECT_LE(aware.ttft_p90_s, robin.ttft_p90_s / 3) << policy_table(rows);
    for (const PolicyRow& row : rows) {
      EXPECT_LE(aware.ttft_p90_s, row.result.ttft_p90_s) << policy_table(rows);
      EXPECT_LE(row.result.hit_rate, 0.5);  // of one cache without bound: 0.31 and 0.49
    }
  }
}

// A gateway that takes caches for twice as large loses nothing; for half as large, it forgets what
// is still there.
TEST(SimulateTest, TheBelievedSizeMayBeWrong) {
  const auto trace = shared_trace("conversation", kMaxTraceRequests);
  if (!trace.ok()) GTEST_SKIP() << trace.error().message;
  PickConfig pick;
  pick.policy = PickPolicy::kCacheAware;
  const double right = simulate(*trace, pick, {}).hit_rate;
  EXPECT_GE(simulate(*trace, pick, {.believed_cache_tokens = 2'000'000}).hit_rate, 0.97 * right);
  EXPECT_GE(simulate(*trace, pick, {.believed_cache_tokens = 500'000}).hit_rate, 0.7 * right);
  EXPECT_LE(simulate(*trace, pick, {.believed_cache_tokens = 50'000}).hit_rate, 0.5 * right);
}

TEST(SimulateTest, TheTableHasRatios) {
  const std::string table =
      policy_table(std::vector<PolicyRow>{{PickPolicy::kRoundRobin, {0.1, 1, 6, 9, 1.1}},
                                          {PickPolicy::kCacheAware, {0.3, 0.5, 2, 4, 1}}});
  EXPECT_NE(table.find("| round_robin | 10.0 % | 1.00 | 1.00 | 6.00 | 1.00 | 9.00 | 1.10 |\n"),
            std::string::npos)
      << table;
  EXPECT_NE(table.find("| cache_aware | 30.0 % | 3.00 | 0.50 | 2.00 | 0.33 | 4.00 | 1.00 |\n"),
            std::string::npos)
      << table;
}

}  // namespace
}  // namespace weir::gateway
