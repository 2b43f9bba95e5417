#include "bench/engine_bench.h"

#include <gtest/gtest.h>

#include <utility>

#include "engine/fake_runner.h"

namespace weir::bench {
namespace {

// What each forward was asked: first position, tokens of a sequence, sequences.
struct Call {
  int32_t position;
  size_t tokens;
  size_t sequences;
  bool operator==(const Call&) const = default;
};

std::vector<Call> calls_of(const EngineBenchOptions& options, std::vector<EngineBenchRow>* rows) {
  engine::FakeRunner runner({});
  std::vector<Call> calls;
  runner.before = [&](std::span<const model::Chunk> batch) -> Status {
    calls.push_back({batch[0].position, batch[0].tokens.size(), batch.size()});
    return {};
  };
  const SystemClock clock;
  auto result = bench_engine(runner, options, clock, nullptr);
  EXPECT_TRUE(result.ok());
  if (result.ok()) *rows = std::move(*result);
  return calls;
}

EngineBenchOptions options_of(int32_t prompt, int32_t gen, int32_t depth) {
  EngineBenchOptions o;
  o.prompt_tokens = prompt;
  o.gen_tokens = gen;
  o.depth_tokens = depth;
  o.step_tokens = 64;
  o.reps = 1;
  o.warmup = false;
  return o;
}

TEST(BenchEngine, ADepthIsFilledBeforeTheRowAndNotAgain) {
  EngineBenchOptions o = options_of(16, 2, 100);
  o.reps = 2;
  std::vector<EngineBenchRow> rows;
  const std::vector<Call> calls = calls_of(o, &rows);
  const std::vector<Call> expected{{0, 64, 1},  {64, 36, 1}, {100, 16, 1}, {100, 16, 1},
                                   {0, 64, 1},  {64, 36, 1}, {100, 1, 1},  {101, 1, 1},
                                   {100, 1, 1}, {101, 1, 1}};
  EXPECT_EQ(calls, expected);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].test, "pp16 @ d100");
  EXPECT_EQ(rows[1].test, "tg2 @ d100");
  EXPECT_EQ(rows[1].context_tokens, 100);
}

TEST(BenchEngine, WithoutDepthOneStreamStartsFromNothingSeveralFromAPrompt) {
  EngineBenchOptions o = options_of(0, 1, 0);
  o.batches = {1, 2};
  o.batched_prompt_tokens = 8;
  o.warmup = true;
  std::vector<EngineBenchRow> rows;
  const std::vector<Call> calls = calls_of(o, &rows);
  const std::vector<Call> expected{{0, 1, 1}, {0, 1, 1}, {0, 8, 1},
                                   {0, 8, 1}, {8, 1, 2}, {8, 1, 2}};
  EXPECT_EQ(calls, expected);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].test, "tg1");
  EXPECT_EQ(rows[1].context_tokens, 8);
}

TEST(BenchEngine, ARowPastTheWindowIsRefused) {
  engine::FakeRunner runner({});
  const SystemClock clock;
  EXPECT_FALSE(bench_engine(runner, options_of(157, 0, 100), clock, nullptr).ok());
  EXPECT_FALSE(bench_engine(runner, options_of(0, 157, 100), clock, nullptr).ok());
  EXPECT_TRUE(bench_engine(runner, options_of(156, 0, 100), clock, nullptr).ok());
}

TEST(RequiredKvTokens, CoversTheLargestRow) {
  EXPECT_EQ(required_kv_tokens(options_of(512, 64, 0), 32), 512);
  EXPECT_EQ(required_kv_tokens(options_of(0, 33, 100), 32), 160);
  EngineBenchOptions o = options_of(0, 32, 64);
  o.batches = {1, 4};
  EXPECT_EQ(required_kv_tokens(o, 32), 4 * 96);
}

}  // namespace
}  // namespace weir::bench
