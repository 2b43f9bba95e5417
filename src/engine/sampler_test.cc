#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "base/rng.h"

namespace weir::engine {
namespace {

std::vector<float> random_logits(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> l(n);
  for (float& x : l) x = static_cast<float>(rng.unit() * 10 - 5);
  return l;
}

TokenInfo sample(std::vector<float> logits, const SamplingParams& p, int64_t position = 0,
                 SampleHistory history = {}, std::vector<int32_t> banned = {}) {
  Sampler s;
  auto t = s.sample(logits, p, history, banned, 0, position);
  EXPECT_TRUE(t.ok());
  return t.ok() ? *t : TokenInfo{};
}

SamplingParams params(float temperature) {
  SamplingParams p;
  p.temperature = temperature;
  return p;
}

TEST(Sampler, GreedyTakesTheLowestIdOfEquals) { EXPECT_EQ(sample({1, 3, 3, 2}, params(0)).id, 1); }

// The distribution by definition, in double, for comparison with many draws.
std::vector<double> expected_distribution(const std::vector<float>& logits,
                                          const SamplingParams& p) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  if (p.top_k > 0) order.resize(std::min(order.size(), static_cast<size_t>(p.top_k)));
  std::vector<double> w;
  double total = 0;
  for (const size_t i : order)
    total += w.emplace_back(
        std::exp(static_cast<double>(logits[i]) / static_cast<double>(p.temperature)));
  double sum = 0;
  size_t keep = 0;
  while (keep < w.size() && sum < static_cast<double>(p.top_p) * total) sum += w[keep++];
  w.resize(keep);
  while (w.size() > 1 && w.back() < static_cast<double>(p.min_p) * w[0]) w.pop_back();
  total = std::accumulate(w.begin(), w.end(), 0.0);
  std::vector<double> out(logits.size(), 0);
  for (size_t i = 0; i < w.size(); ++i) out[order[i]] = w[i] / total;
  return out;
}

TEST(Sampler, DrawsFromTheDefinedDistribution) {
  const std::vector<float> logits = random_logits(20, 4);
  std::vector<SamplingParams> cases(5, params(1.3F));
  cases[1].top_k = 5;
  cases[2].top_p = 0.7F;
  cases[3].min_p = 0.1F;
  cases[4].top_k = 9;
  cases[4].top_p = 0.9F;
  cases[4].min_p = 0.05F;
  for (size_t c = 0; c < cases.size(); ++c) {
    const std::vector<double> want = expected_distribution(logits, cases[c]);
    std::vector<double> got(logits.size(), 0);
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i)
      got[static_cast<size_t>(sample(logits, cases[c], i).id)] += 1.0 / kDraws;
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], 4 * std::sqrt(want[i] / kDraws) + 1e-9)
          << "case " << c << " token " << i;
    }
  }
}

TEST(Sampler, ADrawIsAFunctionOfSeedChoiceAndPosition) {
  const std::vector<float> logits = random_logits(500, 1);
  SamplingParams p = params(1);
  p.seed = 7;
  EXPECT_EQ(sample(logits, p, 3).id, sample(logits, p, 3).id);
  std::map<int32_t, int> ids;
  for (int i = 0; i < 50; ++i) ++ids[sample(logits, p, i).id];
  EXPECT_GT(ids.size(), 20U);
}

TEST(Sampler, LogprobsAreOfTheModelBeforePenaltiesAndTemperature) {
  const std::vector<float> logits{1, 2, 3, 0};
  SamplingParams p = params(0.5F);
  p.logprobs = 2;
  p.logit_bias = {{3, 100.0F}};
  const TokenInfo t = sample(logits, p);
  EXPECT_EQ(t.id, 3);
  const double log_sum = std::log(std::exp(1) + std::exp(2) + std::exp(3) + 1);
  EXPECT_NEAR(t.logprob, -log_sum, 1e-6);
  ASSERT_EQ(t.top.size(), 2U);
  EXPECT_EQ(t.top[0].first, 2);
  EXPECT_NEAR(t.top[0].second, 3 - log_sum, 1e-6);
  EXPECT_EQ(t.top[1].first, 1);
}

TEST(Sampler, PenaltiesFollowTheirDefinitions) {
  const std::vector<int32_t> prompt{0}, generated{1, 1, 2};
  const SampleHistory history{prompt, generated};
  SamplingParams p = params(0);
  p.repetition_penalty = 2;
  EXPECT_EQ(sample({4, 3, 3, 2.1F}, p, 0, history).id, 3);  // 2, 1.5, 1.5, 2.1
  p = params(0);
  p.presence_penalty = 1;
  EXPECT_EQ(sample({0, 3, 2.9F, 2.5F}, p, 0, history).id, 3);  // 0, 2, 1.9, 2.5
  p = params(0);
  p.frequency_penalty = 1;
  EXPECT_EQ(sample({0, 3, 2.9F, 1.5F}, p, 0, history).id, 2);  // 0, 1, 1.9, 1.5
}

TEST(Sampler, BannedTokensAreNeverChosen) {
  EXPECT_EQ(sample({1, 9, 3}, params(0), 0, {}, {1}).id, 2);
  std::vector<float> logits{1, 2};
  Sampler s;
  const std::vector<int32_t> all{0, 1};
  EXPECT_FALSE(s.sample(logits, params(0), {}, all, 0, 0).ok());
  logits = {1, 2};
  EXPECT_FALSE(s.sample(logits, params(1), {}, all, 0, 0).ok());
}

TEST(Sampler, RefusesLogitsThatAreNotFinite) {
  Sampler s;
  const float inf = std::numeric_limits<float>::infinity();
  for (std::vector<float> logits : {std::vector<float>{1, std::nanf("")}, {1, inf}, {-inf, -inf}}) {
    const auto t = s.sample(logits, params(1), {}, {}, 0, 0);
    ASSERT_FALSE(t.ok());
    EXPECT_EQ(t.error().code, ErrorCode::kInternal);
  }
}

}  // namespace
}  // namespace weir::engine
