#include "engine/speculation_policy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "engine/draft_stats.h"
#include "engine/drafter.h"
#include "engine/past_texts.h"
#include "engine/request.h"

namespace weir::engine {
namespace {

// A step of n tokens takes 1 + slope * (n - 1).
class Line final : public StepCost {
 public:
  explicit Line(double slope) : slope_(slope) {}
  double of(int32_t tokens) const override { return 1.0 + slope_ * (tokens - 1); }

 private:
  double slope_;
};

std::vector<int32_t> choose(int32_t step_tokens, const std::vector<std::vector<double>>& chances,
                            int32_t max_drafts, double slope) {
  const std::vector<std::span<const double>> spans(chances.begin(), chances.end());
  return choose_depths(step_tokens, spans, max_drafts, Line(slope));
}

TEST(SpeculationPolicy, CheapTokensAreAddedAndDearOnesAreNot) {
  const std::vector<double> likely = {0.9, 0.8, 0.7, 0.6};
  EXPECT_EQ(choose(1, {likely}, 8, 0.05), std::vector<int32_t>{4});
  EXPECT_EQ(choose(1, {likely}, 8, 0.95), std::vector<int32_t>{0});
  EXPECT_EQ(choose(1, {{0.04}}, 8, 0.05), std::vector<int32_t>{0});
  EXPECT_EQ(choose(1, {likely}, 2, 0.05), std::vector<int32_t>{2});
}

TEST(SpeculationPolicy, ABatchBoundByArithmeticGetsNone) {
  const std::vector<double> certain(15, 0.99);
  // Sixty-four tokens in the step and each costs the same: 0.99 for the price of 1.
  EXPECT_EQ(choose(64, {certain}, 64, 1.0), std::vector<int32_t>{0});
}

TEST(SpeculationPolicy, TheLikelierSequenceGetsMore) {
  const std::vector<int32_t> depths = choose(2, {{0.5, 0.2, 0.1}, {0.95, 0.9, 0.85}}, 4, 0.1);
  EXPECT_EQ(depths[1], 3);
  EXPECT_LE(depths[0], 1);
}

// No other choice of prefixes has a better speed.
TEST(SpeculationPolicy, NoChoiceIsBetter) {
  Rng rng(9);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::vector<double>> chances(1 + rng.below(3));
    for (auto& c : chances) {
      double p = 1;
      for (uint64_t i = rng.below(5); i > 0; --i)
        c.push_back(p *= static_cast<double>(rng.below(1000)) / 1000);
    }
    const double slope = static_cast<double>(rng.below(1000)) / 1500;
    const auto n = static_cast<int32_t>(chances.size() + rng.below(3));
    const Line cost(slope);
    const auto speed = [&](const std::vector<int32_t>& depths) {
      double progress = n;
      int32_t drafts = 0;
      for (size_t i = 0; i < depths.size(); ++i) {
        drafts += depths[i];
        for (int32_t d = 0; d < depths[i]; ++d) progress += chances[i][static_cast<size_t>(d)];
      }
      return progress / cost.of(n + drafts);
    };
    const double got = speed(choose(n, chances, 100, slope));
    std::vector<int32_t> depths(chances.size(), 0);
    while (true) {  // all of them
      ASSERT_LE(speed(depths), got * 1.0301) << "round " << round;
      size_t i = 0;
      while (i < depths.size() && depths[i] == static_cast<int32_t>(chances[i].size()))
        depths[i++] = 0;
      if (i == depths.size()) break;
      ++depths[i];
    }
    ASSERT_GE(got, speed(std::vector<int32_t>(chances.size(), 0)));
  }
}

TEST(SpeculationPolicy, ADraftModelIsAskedWhereItPays) {
  const Line cost(0.05);
  const double good[] = {0.9};
  const double bad[] = {0.2};
  EXPECT_GT(choose_model_depth(1, good, 15, 0.1, cost), 2);
  EXPECT_EQ(choose_model_depth(1, good, 15, 1.0, cost), 0);
  EXPECT_EQ(choose_model_depth(1, bad, 15, 0.2, cost), 0);
  EXPECT_LE(choose_model_depth(1, good, 3, 0.0, cost), 3);
  // Sixteen sequences share the model's passes, but the batch pays for each token.
  const std::vector<double> many(16, 0.9);
  EXPECT_EQ(choose_model_depth(16, many, 4, 0.1, Line(1.0)), 0);
}

TEST(StepCost, LearnsACurveFromWhatRan) {
  LearnedStepCost cost;
  Rng rng(1);
  const auto truth = [](int32_t n) { return n <= 16 ? 20.0 + 0.5 * n : 28.0 + 2.0 * (n - 16); };
  for (int i = 0; i < 4000; ++i) {
    const auto n = static_cast<int32_t>(1 + rng.below(24));
    const double noise = 0.9 + static_cast<double>(rng.below(200)) / 1000;
    cost.learn(n, truth(n) * noise);
  }
  for (const int32_t n : {1, 2, 4, 8, 12, 16, 24})
    EXPECT_NEAR(cost.of(n) / truth(n), 1.0, 0.1) << n;
  for (int32_t n = 1; n < 600; ++n) EXPECT_LE(cost.of(n), cost.of(n + 1)) << n;
}

TEST(StepCost, AMachineThatSlowsDownMovesTheWholeCurve) {
  LearnedStepCost cost;
  for (int i = 0; i < 500; ++i) cost.learn(1 + i % 16, 10.0 + i % 16);
  const double ratio = cost.of(8) / cost.of(1);
  for (int i = 0; i < 200; ++i) cost.learn(8, 34.0);  // twice as slow, and only steps of 8
  EXPECT_NEAR(cost.of(8) / cost.of(1), ratio, ratio * 0.35);
  EXPECT_NEAR(cost.of(8), 34.0, 2.0);
}

TEST(StepCost, OneSlowStepSaysLittle) {
  LearnedStepCost cost;
  for (int i = 0; i < 500; ++i) cost.learn(1 + i % 16, 10.0 + i % 16);
  const double before = cost.of(4);
  cost.learn(4, 5000);
  EXPECT_LT(cost.of(4), before * 1.15);
  cost.learn(4, 0);
  cost.learn(0, 5);
}

TEST(DraftStats, ClassesFollowTheLengthOfTheMatch) {
  EXPECT_LT(DraftStats::class_of(1, false), DraftStats::class_of(2, false));
  EXPECT_EQ(DraftStats::class_of(1'000'000, false), DraftStats::class_of(21, false));
  EXPECT_NE(DraftStats::class_of(0, true), DraftStats::class_of(0, false));
  EXPECT_EQ(DraftStats::class_of(9, true), DraftStats::class_of(9, false));
  for (int32_t run = 0; run < 100; ++run) {
    EXPECT_LT(DraftStats::class_of(run, true), DraftStats::kClasses);
    EXPECT_LT(DraftStats::class_of(run, false), DraftStats::kClasses);
  }
}

TEST(DraftStats, ForgetsWhatIsLongAgo) {
  DraftStats prior, stats;
  for (int i = 0; i < 100; ++i) stats.add(3, true, 20);
  EXPECT_GT(stats.rate(3, prior), 0.85);
  for (int i = 0; i < 60; ++i) stats.add(3, false, 20);
  EXPECT_LT(stats.rate(3, prior), 0.3);
}

// What a drafter proposes is never a separator, never more than asked for, and its chances fall.
TEST(Drafter, ProposesWhatFollowed) {
  DraftStats shared;
  Drafter drafter({}, {}, 8, shared, 1000);
  const std::vector<int32_t> text = {1, 2, 3, 4, 5, 6, 1, 2};
  EXPECT_EQ(drafter.read(text, 3), 3);
  EXPECT_TRUE(drafter.propose(text, 4).tokens.empty()) << "not read to its end";
  drafter.read(text, 100);
  const Draft d = drafter.propose(text, 3);
  EXPECT_EQ(d.tokens, (std::vector<int32_t>{3, 4, 5}));
  for (size_t i = 1; i < d.chances.size(); ++i) EXPECT_LE(d.chances[i], d.chances[i - 1]);
}

TEST(Drafter, ProposesWhatPastTextsSaid) {
  DraftStats shared;
  Drafter drafter({}, {5, 6, 7, 8, -2, 5, 6, 9, 1, -3}, 3, shared, 1000);
  const std::vector<int32_t> text = {1, 5, 6};
  EXPECT_EQ(drafter.read(text, 11), 11);
  EXPECT_TRUE(drafter.propose(text, 4).tokens.empty()) << "not read to its end";
  EXPECT_EQ(drafter.read(text, 11), 2);
  EXPECT_EQ(drafter.propose(text, 4).tokens, (std::vector<int32_t>{7, 8})) << "to its end";
}

TEST(PastTexts, KeepsTheNewestOfEachTenant) {
  PastTexts past(10);
  Request a, b, salted;
  a.tenant.name = "a";
  b.tenant.name = "b";
  salted.tenant.name = "a";
  salted.cache_salt = "s";
  EXPECT_TRUE(past.of(a).empty());
  past.add(a, std::vector<int32_t>{1, 2, 3, 4});
  past.add(a, std::vector<int32_t>{5, 6, 7, 8});
  EXPECT_EQ(past.of(a), (std::vector<int32_t>{1, 2, 3, 4, -2, 5, 6, 7, 8, -3}));
  EXPECT_TRUE(past.of(b).empty());
  EXPECT_TRUE(past.of(salted).empty());
  past.add(a, std::vector<int32_t>{9, 9, 9});
  EXPECT_EQ(past.of(a), (std::vector<int32_t>{5, 6, 7, 8, -2, 9, 9, 9, -3}));
  past.add(a, std::vector<int32_t>(30, 4));
  EXPECT_EQ(past.of(a).size(), 11U) << "the end of a long one";
  for (size_t i = 0; i < PastTexts::kMaxTenants; ++i) {
    b.tenant.name = std::to_string(i);
    past.add(b, std::vector<int32_t>{1});
  }
  EXPECT_TRUE(past.of(a).empty()) << "it has not answered for long";
  EXPECT_EQ(past.of(b).size(), 2U);
  PastTexts none(0);
  none.add(a, std::vector<int32_t>{1, 2});
  EXPECT_TRUE(none.of(a).empty());
}

TEST(Drafter, APeriodicTextGoesOnBeyondItsEnd) {
  DraftStats shared;
  const std::vector<int32_t> text = {9, 1, 2, 3, 1, 2, 3, 1, 2};
  Drafter drafter({}, {}, text.size(), shared, 1000);
  drafter.read(text, 100);
  EXPECT_EQ(drafter.propose(text, 8).tokens, (std::vector<int32_t>{3, 1, 2, 3, 1, 2, 3, 1}));
}

TEST(Drafter, AnyTextAnyBoundNoSeparator) {
  Rng rng(21);
  for (int round = 0; round < 600; ++round) {
    DraftStats shared;
    std::vector<int32_t> prediction, text;
    for (uint64_t i = rng.below(3) * rng.below(40); i > 0; --i)
      prediction.push_back(static_cast<int32_t>(rng.below(5)));
    const size_t prompt = 1 + rng.below(30);
    std::vector<int32_t> past;
    for (uint64_t i = rng.below(3) * rng.below(40); i > 0; --i)
      past.push_back(i % 9 == 1 ? -2 - static_cast<int32_t>(i)
                                : static_cast<int32_t>(rng.below(5)));
    Drafter drafter(prediction, past, prompt, shared, static_cast<int32_t>(2 + rng.below(100)));
    for (int i = 0; i < 150; ++i) {
      text.push_back(static_cast<int32_t>(rng.below(round % 2 == 0 ? 2 : 5)));
      drafter.read(text, static_cast<int32_t>(1 + rng.below(3)));
      const auto count = static_cast<int32_t>(rng.below(20));
      const Draft d = drafter.propose(text, count);
      ASSERT_LE(d.tokens.size(), static_cast<size_t>(count));
      ASSERT_EQ(d.tokens.size(), d.chances.size());
      for (const int32_t t : d.tokens) ASSERT_GE(t, 0);
    }
  }
}

}  // namespace
}  // namespace weir::engine
