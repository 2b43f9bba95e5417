// The router by difficulty: its features, its training, its file, and what it is worth.
#include "gateway/route/difficulty.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/rng.h"
#include "gateway/route/quality_curve.h"

namespace weir::gateway {
namespace {

double feature(std::string_view name, std::string_view text, int turns = 0, size_t before = 0) {
  const auto names = difficulty_feature_names();
  const auto at = std::find(names.begin(), names.end(), name) - names.begin();
  return difficulty_features(text, turns, before).at(static_cast<size_t>(at));
}

TEST(DifficultyTest, FeaturesSayWhatTheTextLooksLike) {
  EXPECT_DOUBLE_EQ(feature("log_bytes", "0123456789"), std::log1p(10));
  EXPECT_DOUBLE_EQ(feature("log_lines", "a\nb\nc"), std::log1p(2));
  EXPECT_EQ(feature("code_fences", "```c\nx\n``` and ```\n```"), 4);
  EXPECT_EQ(feature("code_fences", std::string(30, '`')), 4);
  EXPECT_EQ(feature("digit_share", "12ab"), 0.5);
  EXPECT_EQ(feature("symbol_share", "a+b="), 0.5);
  EXPECT_EQ(feature("non_ascii", "\xc3\xa4rz"), 0.5);
  EXPECT_EQ(feature("question_marks", "why? what??"), 3);
  EXPECT_EQ(feature("asks_why", "Why, and HOW? Explain."), 3);
  EXPECT_EQ(feature("asks_why", "show the shower whyever"), 0);
  EXPECT_EQ(feature("asks_why", "prove"), 1);
  EXPECT_DOUBLE_EQ(feature("log_turns", "", 3), std::log1p(3));
  EXPECT_DOUBLE_EQ(feature("log_turns", "", -1), 0);
  EXPECT_DOUBLE_EQ(feature("log_bytes_before", "", 0, 100), std::log1p(100));
  for (const double x : difficulty_features("", 0, 0)) EXPECT_EQ(x, 0);
}

// Labels drawn from a known model: the trained one has its probabilities.
std::vector<DifficultyExample> drawn(uint64_t seed, int n) {
  Rng rng(seed);
  std::vector<DifficultyExample> out;
  for (int k = 0; k < n; ++k) {
    DifficultyExample e;
    for (double& x : e.features) x = 10 * rng.unit();
    e.features[9] = 4;  // never varies
    const double z = 0.8 * (e.features[0] - 5) - 0.4 * (e.features[3] - 5) + 0.5;
    e.small_suffices = rng.unit() < 1 / (1 + std::exp(-z));
    out.push_back(e);
  }
  return out;
}

TEST(DifficultyTest, TrainingFindsTheModelThatDrewTheLabels) {
  const auto model = train_difficulty(drawn(1, 20'000));
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->examples, 20'000);
  EXPECT_NEAR(model->weight[0] / model->scale[0], 0.8, 0.04);
  EXPECT_NEAR(model->weight[3] / model->scale[3], -0.4, 0.04);
  EXPECT_NEAR(model->weight[1] / model->scale[1], 0, 0.03);
  EXPECT_NEAR(model->weight[9], 0, 1e-9);
  DifficultyFeatures x{};
  x.fill(5);
  x[9] = 4;
  EXPECT_NEAR(model->predict(x), 1 / (1 + std::exp(-0.5)), 0.02);
}

// At the optimum the gradient is 0: sum over examples of (label - p) x = l2 w.
TEST(DifficultyTest, TrainingEndsAtTheOptimum) {
  for (const double l2 : {0.01, 1.0, 100.0}) {
    const auto examples = drawn(2, 500);
    const auto model = train_difficulty(examples, {.l2 = l2});
    ASSERT_TRUE(model.ok());
    double bias = 0;
    DifficultyFeatures gradient{};
    for (const DifficultyExample& e : examples) {
      const double miss = (e.small_suffices ? 1 : 0) - model->predict(e.features);
      bias += miss;
      for (size_t i = 0; i < kDifficultyFeatures; ++i)
        gradient[i] += miss * (e.features[i] - model->mean[i]) / model->scale[i];
    }
    EXPECT_NEAR(bias, 0, 1e-3) << l2;
    for (size_t i = 0; i < kDifficultyFeatures; ++i)
      EXPECT_NEAR(gradient[i], l2 * model->weight[i], 1e-3) << l2 << " " << i;
  }
}

// Labels that a line separates have no finite maximum without l2.
TEST(DifficultyTest, SeparableLabelsConverge) {
  std::vector<DifficultyExample> examples(200);
  for (size_t k = 0; k < examples.size(); ++k) {
    examples[k].features[0] = static_cast<double>(k);
    examples[k].small_suffices = k < 100;
  }
  const auto model = train_difficulty(examples);
  ASSERT_TRUE(model.ok());
  EXPECT_GT(model->predict(examples[10].features), 0.9);
  EXPECT_LT(model->predict(examples[190].features), 0.1);
}

TEST(DifficultyTest, RefusesWhatTeachesNothing) {
  auto examples = drawn(3, 10);
  EXPECT_FALSE(train_difficulty(examples, {.l2 = 0}).ok());
  EXPECT_FALSE(train_difficulty({}).ok());
  examples[4].features[2] = NAN;
  EXPECT_EQ(train_difficulty(examples).error().message, "example 4: code_fences is not finite");
  examples = drawn(3, 10);
  for (DifficultyExample& e : examples) e.small_suffices = true;
  EXPECT_EQ(train_difficulty(examples).error().message,
            "the small model suffices for 10 of 10 examples: nothing to tell apart");
}

TEST(DifficultyTest, TheFileReadsBackAndNothingElseIsOne) {
  const auto model = train_difficulty(drawn(4, 100));
  ASSERT_TRUE(model.ok());
  const std::string json = model->to_json();
  const auto back = DifficultyModel::parse(json);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->weight, model->weight);
  EXPECT_EQ(back->mean, model->mean);
  EXPECT_EQ(back->scale, model->scale);
  EXPECT_EQ(back->bias, model->bias);
  EXPECT_EQ(back->examples, 100);
  for (size_t n = 0; n + 2 < json.size(); ++n)
    EXPECT_FALSE(DifficultyModel::parse(std::string_view(json).substr(0, n)).ok()) << n;
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string s = json;
    s.replace(s.find(from), from.size(), to);
    return DifficultyModel::parse(s).error().message;
  };
  EXPECT_EQ(with("difficulty-1", "difficulty-2"), "format is not weir-difficulty-1");
  EXPECT_EQ(with("log_lines", "lines"), "features[1] is not log_lines: of another version of weir");
  EXPECT_EQ(with("\"scale\":", "\"scale\":-"),
            "features[0] needs the numbers mean, scale (above 0) and weight");
  EXPECT_EQ(with("\"bias\"", "\"bis\""), "needs the numbers bias and examples");
}

// By hand: two easy requests and two hard ones.
TEST(DifficultyTest, TheCurveByHand) {
  const std::vector<RoutedItem> items = {
      {0.9, 1, 1, 1, 5}, {0.2, 0, 1, 1, 5}, {0.8, 1, 1, 1, 5}, {0.2, 0, 1, 1, 5}};
  const auto curve = quality_curve(items);
  ASSERT_TRUE(curve.ok()) << curve.error().message;
  ASSERT_EQ(curve->points.size(), 4U);  // equal probabilities move together
  EXPECT_GT(curve->points[0].threshold, 1);
  EXPECT_EQ(curve->points[0].cost, 5);
  EXPECT_EQ(curve->points[0].quality, 1);
  EXPECT_EQ(curve->points[2].threshold, 0.8);
  EXPECT_EQ(curve->points[2].small_share, 0.5);
  EXPECT_EQ(curve->points[2].cost, 3);
  EXPECT_EQ(curve->points[2].quality, 1);
  EXPECT_EQ(curve->points[3].cost, 1);
  EXPECT_EQ(curve->points[3].quality, 0.5);
  EXPECT_EQ(curve->area, 0.5 * 1 + 0.5 * 0.75);
  EXPECT_EQ(curve->random_area, 0.75);
  EXPECT_EQ(curve->large_area, 1);
  EXPECT_EQ(curve->best_area, 0.875);
  EXPECT_EQ(cheapest_with(*curve, 1).threshold, 0.8);
  EXPECT_EQ(cheapest_with(*curve, 0.5).cost, 1);
  EXPECT_EQ(cheapest_with(*curve, 2).cost, 5);
}

// The best order is by what is lost for what is saved, not by what is left.
TEST(DifficultyTest, TheBestRouterWeighsCost) {
  const auto curve =
      quality_curve(std::vector<RoutedItem>{{0.9, 0.6, 0.7, 1, 2}, {0.1, 0.5, 1, 1, 11}});
  ASSERT_TRUE(curve.ok());
  EXPECT_NEAR(curve->best_area, (5 * 0.725 + 0.5 * 0.575) / 5.5, 1e-12);
  EXPECT_NEAR(curve->area, (0.5 * 0.825 + 5 * 0.675) / 5.5, 1e-12);
}

TEST(DifficultyTest, ATrainedRouterBeatsChanceAndAShuffledOneDoesNot) {
  const auto model = train_difficulty(drawn(5, 4'000));
  ASSERT_TRUE(model.ok());
  Rng rng(6);
  std::vector<RoutedItem> items;
  std::vector<RoutedItem> shuffled;
  for (const DifficultyExample& e : drawn(7, 4'000)) {
    const double p = model->predict(e.features);
    items.push_back({p, e.small_suffices ? 1.0 : 0.0, 1, 1, 10});
    shuffled.push_back(items.back());
    shuffled.back().small_suffices = rng.unit();
  }
  const auto curve = quality_curve(items);
  const auto chance = quality_curve(shuffled);
  ASSERT_TRUE(curve.ok() && chance.ok());
  EXPECT_GT(curve->area, curve->random_area + 0.08);
  EXPECT_LT(curve->area, curve->best_area);
  EXPECT_NEAR(chance->area, chance->random_area, 0.01);
  EXPECT_GT(cheapest_with(*curve, 0.95).small_share, 0.3);
}

TEST(DifficultyTest, CurvesOfNonsenseAreRefused) {
  EXPECT_FALSE(quality_curve({}).ok());
  EXPECT_FALSE(quality_curve(std::vector<RoutedItem>{{0.5, 1, 1, 5, 5}}).ok());
  EXPECT_FALSE(quality_curve(std::vector<RoutedItem>{{NAN, 1, 1, 1, 5}}).ok());
  EXPECT_FALSE(quality_curve(std::vector<RoutedItem>{{0.5, 1.5, 1, 1, 5}}).ok());
  EXPECT_FALSE(quality_curve(std::vector<RoutedItem>{{0.5, 1, 1, -1, 5}}).ok());
}

}  // namespace
}  // namespace weir::gateway
