#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace weir::engine {
namespace {

StepBudget budget(int32_t free_pages, int32_t step_tokens = 32) {
  StepBudget b;
  b.step_tokens = step_tokens;
  b.prefill_chunk_tokens = step_tokens;
  b.page_tokens = 4;
  b.free_pages = free_pages;
  return b;
}

TEST(Scheduler, DecodesComeBeforePrefillsThatAreOlder) {
  const SequenceView views[] = {{.tokens = 40}, {.tokens = 9, .computed = 8, .pages = 2}};
  const StepPlan plan = plan_step(views, budget(20, 10));
  ASSERT_EQ(plan.chunks.size(), 2U);
  EXPECT_EQ(plan.chunks[0].sequence, 1U);
  EXPECT_EQ(plan.chunks[0].new_pages, 1);
  EXPECT_TRUE(plan.chunks[0].samples);
  EXPECT_EQ(plan.chunks[1].tokens, 9);
  EXPECT_FALSE(plan.chunks[1].samples);
}

TEST(Scheduler, APromptGoesOnInChunksAndSamplesAtItsEnd) {
  const SequenceView views[] = {{.tokens = 40, .computed = 32, .pages = 8}};
  const StepPlan plan = plan_step(views, budget(2));
  ASSERT_EQ(plan.chunks.size(), 1U);
  EXPECT_EQ(plan.chunks[0].tokens, 8);
  EXPECT_EQ(plan.chunks[0].new_pages, 2);
  EXPECT_TRUE(plan.chunks[0].samples);
}

TEST(Scheduler, AWholeTextIsComputedInOneStepOrNotYet) {
  const SequenceView views[] = {
      {.tokens = 20, .whole = true}, {.tokens = 20, .whole = true}, {.tokens = 12, .whole = true}};
  StepBudget b = budget(20);
  b.prefill_chunk_tokens = 8;  // is about prompts, which may be cut
  const StepPlan plan = plan_step(views, b);
  ASSERT_EQ(plan.chunks.size(), 2U);
  EXPECT_EQ(plan.chunks[0].tokens, 20);
  EXPECT_EQ(plan.chunks[1].sequence, 2U);  // fits beside the first, the second does not
  EXPECT_EQ(plan.chunks[1].tokens, 12);
  EXPECT_TRUE(plan.chunks[0].samples && plan.chunks[1].samples);
}

TEST(Scheduler, PreemptsTheYoungestForAnOlderOne) {
  const SequenceView views[] = {{.tokens = 9, .computed = 8, .pages = 2, .seniority = 0},
                                {.tokens = 9, .computed = 8, .pages = 2, .seniority = 1},
                                {.tokens = 7, .computed = 6, .pages = 2, .seniority = 2}};
  const StepPlan plan = plan_step(views, budget(0));
  EXPECT_EQ(plan.preempted, std::vector<size_t>{2});
  ASSERT_EQ(plan.chunks.size(), 2U);
}

TEST(Scheduler, ANewSequenceNeverTakesPagesFromOlderOnes) {
  const SequenceView views[] = {{.tokens = 7, .computed = 6, .pages = 2, .seniority = 0},
                                {.tokens = 20, .seniority = 1}};
  const StepPlan plan = plan_step(views, budget(4));
  EXPECT_TRUE(plan.preempted.empty());
  ASSERT_EQ(plan.chunks.size(), 1U) << "20 tokens need 5 pages, 4 are free";
}

TEST(Scheduler, PausedSequencesAreNotAdvancedButCanLosePages) {
  const SequenceView views[] = {{.tokens = 9, .computed = 8, .pages = 2},
                                {.tokens = 9, .computed = 8, .pages = 2, .paused = true}};
  EXPECT_EQ(plan_step(views, budget(3)).chunks.size(), 1U);
  EXPECT_EQ(plan_step(views, budget(0)).preempted, std::vector<size_t>{1});
}

TEST(Scheduler, RunsNoMoreSequencesThanAllowed) {
  const SequenceView views[] = {{.tokens = 4}, {.tokens = 4}, {.tokens = 4}};
  StepBudget b = budget(20);
  b.max_running = 2;
  EXPECT_EQ(plan_step(views, b).chunks.size(), 2U);
}

StepBudget timed(double interactive_itl_ms, double batch_itl_ms = 0) {
  StepBudget b = budget(1000, 512);
  b.costs = {.fixed_ms = 4, .prefill_token_ms = 1, .decode_token_ms = 2};
  b.interactive_itl_ms = interactive_itl_ms;
  b.batch_itl_ms = batch_itl_ms;
  return b;
}

TEST(Scheduler, APromptBesideDecodesGetsWhatTheItlTargetLeaves) {
  const SequenceView views[] = {{.tokens = 9, .computed = 8, .pages = 2}, {.tokens = 300}};
  EXPECT_EQ(plan_step(views, timed(30)).chunks.at(1).tokens, 24) << "30 - 4 - 2";
  EXPECT_EQ(plan_step(views, timed(0)).chunks.at(1).tokens, 3) << "(1.6 - 1) of 6 ms";
  EXPECT_EQ(plan_step(views, timed(1)).chunks.at(1).tokens, 1) << "an impossible target";
}

TEST(Scheduler, PromptsThatWouldBeLateGetMoreOfAStep) {
  SequenceView views[] = {
      {.tokens = 9, .computed = 8, .pages = 2}, {.tokens = 300}, {.tokens = 300}};
  const std::span<const SequenceView> one(views, 2);
  EXPECT_EQ(plan_step(one, timed(0)).chunks.at(1).tokens, 3) << "800 ms in place of 300";
  EXPECT_EQ(plan_step(views, timed(0)).chunks.at(1).tokens, 29) << "1,600 ms: 35 - 4 - 2";
  EXPECT_EQ(plan_step(views, timed(30)).chunks.at(1).tokens, 24) << "a given target stays";
  views[1].age_ms = 399;
  EXPECT_EQ(plan_step(one, timed(0)).chunks.at(1).tokens, 3);
  views[1].age_ms = 401;
  EXPECT_EQ(plan_step(one, timed(0)).chunks.at(1).tokens, 29);
  views[1].service_class = ServiceClass::kBatch;
  EXPECT_EQ(plan_step(one, timed(0)).chunks.at(1).tokens, 3) << "batch prompts may wait";
}

TEST(Scheduler, ALongPromptDoesNotStallShortOnesBehindIt) {
  SequenceView views[] = {{.tokens = 2000}, {.tokens = 500}, {.tokens = 80}, {.tokens = 501}};
  StepBudget b = budget(1000, 512);
  b.step_tokens = 512;
  const auto chunks = plan_step(views, b).chunks;
  ASSERT_EQ(chunks.size(), 3U);
  EXPECT_EQ(chunks[0].sequence, 2U);
  EXPECT_EQ(chunks[0].tokens, 80);
  EXPECT_EQ(chunks[1].sequence, 1U);
  EXPECT_EQ(chunks[1].tokens, 256 - 80);
  EXPECT_EQ(chunks[2].sequence, 0U);
  EXPECT_EQ(chunks[2].tokens, 256);
  views[0].standing.priority = -1;
  EXPECT_EQ(plan_step(views, b).chunks.at(0).sequence, 0U) << "a better priority stays in front";
}

TEST(Scheduler, ShortPromptsGoFirstOnlyAsFarAsTheirTenantHasHadNoMore) {
  SequenceView views[] = {{.tokens = 2000, .standing = {.counter = 100}},
                          {.tokens = 80, .standing = {.counter = 2100}}};
  StepBudget b = budget(1000, 512);
  EXPECT_EQ(plan_step(views, b).chunks.at(0).sequence, 1U);
  views[1].standing.counter = 2101;
  EXPECT_EQ(plan_step(views, b).chunks.at(0).sequence, 0U);
  views[1].standing.counter = 600;
  views[0].weight = 4;
  EXPECT_EQ(plan_step(views, b).chunks.at(0).sequence, 1U) << "2000 tokens count as 500";
  views[1].standing.counter = 601;
  EXPECT_EQ(plan_step(views, b).chunks.at(0).sequence, 0U);
}

TEST(Scheduler, WithoutDecodesThatCarePromptsGetTheWholeStep) {
  SequenceView views[] = {
      {.tokens = 9, .computed = 8, .pages = 2, .service_class = ServiceClass::kBatch},
      {.tokens = 300}};
  EXPECT_EQ(plan_step(views, timed(10)).chunks.at(1).tokens, 300);
  EXPECT_EQ(plan_step(views, timed(10, 20)).chunks.at(1).tokens, 14);
  views[0].service_class = ServiceClass::kInteractive;
  views[0].paused = true;
  EXPECT_EQ(plan_step(views, timed(10)).chunks.at(0).tokens, 300);
}

TEST(Scheduler, AttentionShortensTheChunksOfALongPrompt) {
  const SequenceView views[] = {{.tokens = 9, .computed = 8, .pages = 2},
                                {.tokens = 3000, .computed = 2000, .pages = 500}};
  StepBudget b = timed(30);
  b.costs.prefill_kv_pair_ms = 0.001;
  EXPECT_EQ(plan_step(views, b).chunks.at(1).tokens, 7) << "24 ms at 3 ms a token, the 8th over it";
}

TEST(Scheduler, PreemptsTheYoungestOfTheHeaviestTenant) {
  const SequenceView views[] = {
      {.tokens = 9, .computed = 8, .pages = 2, .seniority = 0, .standing = {.counter = 9}},
      {.tokens = 7, .computed = 6, .pages = 2, .seniority = 1, .standing = {.counter = 9}},
      {.tokens = 7, .computed = 6, .pages = 2, .seniority = 2, .standing = {.counter = 9}},
      {.tokens = 7, .computed = 6, .pages = 2, .seniority = 3, .standing = {.counter = 5}}};
  EXPECT_EQ(plan_step(views, budget(0)).preempted, std::vector<size_t>{2});
}

TEST(Scheduler, BatchRequestsArePreemptedFirstAndLeavePlacesFree) {
  SequenceView views[] = {
      {.tokens = 9, .computed = 8, .pages = 2, .seniority = 0},
      {.tokens = 7, .computed = 6, .pages = 2, .seniority = 1, .standing = {.rank = 1}},
      {.tokens = 7, .computed = 6, .pages = 2, .seniority = 2, .standing = {.counter = 50}}};
  EXPECT_EQ(plan_step(views, budget(0)).preempted, std::vector<size_t>{1});

  std::vector<SequenceView> many(20, {.tokens = 1, .service_class = ServiceClass::kBatch});
  for (size_t i = 0; i < many.size(); ++i) many[i].seniority = i;
  StepBudget b = budget(100);
  b.max_running = 16;
  EXPECT_EQ(plan_step(many, b).chunks.size(), 14U);
}

TEST(Scheduler, WhoStartsTakesNoPagesFromThoseWhoComeFirst) {
  SequenceView views[] = {
      {.tokens = 7, .computed = 6, .pages = 2, .seniority = 5, .standing = {.counter = 1}},
      {.tokens = 8, .seniority = 1, .standing = {.counter = 9}}};
  EXPECT_TRUE(plan_step(views, budget(0)).preempted.empty()) << "the lighter tenant keeps them";
  views[0].standing.counter = 10;
  EXPECT_EQ(plan_step(views, budget(0)).preempted, std::vector<size_t>{0});
}

// Whatever the view: the plan stays within its budget, and the oldest sequence that may run
// progresses if its need can be met by all pages.
TEST(Scheduler, EveryPlanFitsItsBudget) {
  Rng rng(11);
  for (int round = 0; round < 20000; ++round) {
    std::vector<SequenceView> views(1 + rng.below(8));
    int32_t held = 0;
    for (SequenceView& v : views) {
      v.tokens = static_cast<int32_t>(1 + rng.below(40));
      v.computed =
          rng.below(2) == 0 ? 0 : static_cast<int32_t>(rng.below(static_cast<uint64_t>(v.tokens)));
      v.pages = (v.computed + 3) / 4;
      v.paused = rng.below(10) == 0;
      v.seniority = static_cast<uint64_t>(&v - views.data());
      v.standing.counter = static_cast<double>(rng.below(3));
      held += v.pages;
    }
    StepBudget b =
        budget(static_cast<int32_t>(rng.below(12)), static_cast<int32_t>(1 + rng.below(30)));
    b.max_running = static_cast<int32_t>(views.size());
    const StepPlan plan = plan_step(views, b);
    int32_t tokens = 0, pages = b.free_pages;
    for (const size_t v : plan.preempted) pages += views[v].pages;
    for (const PlannedChunk& c : plan.chunks) {
      const SequenceView& v = views[c.sequence];
      ASSERT_FALSE(v.paused);
      ASSERT_GT(c.tokens, 0);
      ASSERT_LE(v.computed + c.tokens, v.tokens);
      ASSERT_EQ(c.new_pages, (v.computed + c.tokens + 3) / 4 - v.pages);
      ASSERT_EQ(c.samples, v.computed + c.tokens == v.tokens);
      tokens += c.tokens;
      pages -= c.new_pages;
      for (const size_t p : plan.preempted) ASSERT_NE(p, c.sequence);
    }
    ASSERT_LE(tokens, b.step_tokens);
    ASSERT_GE(pages, 0);
    // The oldest that runs goes on, or an older one starts; what paused ones hold can be taken.
    size_t oldest = 0;
    while (oldest < views.size() && (views[oldest].paused || views[oldest].pages == 0)) ++oldest;
    if (oldest < views.size()) {
      bool advances = false;
      for (const PlannedChunk& c : plan.chunks) advances |= c.sequence <= oldest;
      // Others may have taken the step's tokens; never its pages.
      const bool fits = (views[oldest].tokens + 3) / 4 <= b.free_pages + held;
      ASSERT_TRUE(advances || !fits || tokens == b.step_tokens);
    }
  }
}

}  // namespace
}  // namespace weir::engine
