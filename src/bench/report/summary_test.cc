#include "bench/report/summary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/quantile.h"
#include "bench/report/bootstrap.h"
#include "bench/report/testing.h"
#include "text/utf8.h"

namespace weir::bench {
namespace {

TEST(Summary, QuantilesAreThoseOfNumpy) {
  LoadRun run;
  run.duration_s = 10;
  for (int i = 1; i <= 10; ++i) {
    RequestRecord r;
    r.intended_s = i * 0.5;
    r.sent_s = r.intended_s;
    r.first_token_s = r.intended_s + i * 0.1;  // TTFT 100, 200 ... 1000 ms
    r.end_s = r.first_token_s;
    r.output_tokens = 1;
    run.requests.push_back(r);
  }
  const LoadSummary s = summarize(run, {});
  EXPECT_NEAR(s.ttft_ms.p50().value, 550, 1e-3);  // numpy.percentile(a, [50, 90, 95, 99])
  EXPECT_NEAR(s.ttft_ms.p90().value, 910, 1e-3);
  EXPECT_NEAR(s.ttft_ms.p95().value, 955, 1e-3);
  EXPECT_NEAR(s.ttft_ms.p99().value, 991, 1e-3);
  EXPECT_NEAR(s.ttft_ms.mean.value, 550, 1e-3);
  EXPECT_NEAR(s.ttft_ms.stddev, 287.228, 1e-2);
  EXPECT_NEAR(s.ttft_ms.min, 100, 1e-3);
  EXPECT_NEAR(s.ttft_ms.max, 1000, 1e-3);
  EXPECT_EQ(s.ttft_ms.count, 10);
  EXPECT_EQ(s.itl_ms.count, 0);
  EXPECT_FALSE(s.itl_ms.p50().known());
  EXPECT_NEAR(s.requests_per_s.value, 1, 1e-9);
}

TEST(Summary, WeightedQuantilesAreThoseOfTheRepeatedSample) {
  Rng rng(3);
  for (int round = 0; round < 50; ++round) {
    const size_t units = 1 + rng.below(12);
    std::vector<uint32_t> weights;
    for (size_t u = 0; u < units; ++u) weights.push_back(static_cast<uint32_t>(rng.below(4)));
    Sample sample;
    std::vector<double> repeated;
    const size_t values = 1 + rng.below(30);
    for (size_t i = 0; i < values; ++i) {
      const auto v = static_cast<double>(static_cast<float>(std::floor(rng.unit() * 10)));
      const size_t unit = rng.below(units);
      sample.add(v, unit);
      for (uint32_t k = 0; k < weights[unit]; ++k) repeated.push_back(v);
    }
    sample.seal();
    const Sample::Statistics got = sample.weighted(weights);
    std::sort(repeated.begin(), repeated.end());
    if (repeated.empty()) {
      EXPECT_TRUE(std::isnan(got[0]));
      continue;
    }
    for (size_t q = 0; q < kQuantiles.size(); ++q)
      EXPECT_NEAR(got[1 + q], sorted_quantile(std::span<const double>(repeated), kQuantiles[q]),
                  1e-9);
  }
}

TEST(Summary, CountsRatesAndShares) {
  SyntheticOptions o;
  o.requests = 1000;
  o.refused_share = 0.1;
  o.failed_share = 0.05;
  const LoadRun run = synthetic_run(4, o);
  const LoadSummary s = summarize(run, *parse_slo("ttft=100ms,share=0.5"));
  EXPECT_EQ(s.requests, 1000);
  EXPECT_EQ(s.ok + s.refused + s.failed, 1000);
  EXPECT_NEAR(static_cast<double>(s.refused), 100, 35);
  EXPECT_EQ(s.output_tokens, s.ok * 20);
  EXPECT_NEAR(s.cached_share, 0.4, 1e-9);
  EXPECT_NEAR(s.requests_per_s.value, static_cast<double>(s.ok) / run.duration_s, 1e-6);
  EXPECT_NEAR(s.output_tokens_per_s.value, static_cast<double>(s.output_tokens) / run.duration_s,
              1e-6);
  EXPECT_NEAR(s.prompt_tokens_per_s.value, static_cast<double>(s.prompt_tokens) / run.duration_s,
              1e-6);
  EXPECT_NEAR(s.total_tokens_per_s.value, s.output_tokens_per_s.value + s.prompt_tokens_per_s.value,
              1e-6);
  ASSERT_EQ(s.errors.size(), 2u);
  EXPECT_EQ(s.errors[0].outcome, Outcome::kRejected);
  EXPECT_EQ(s.errors[0].count, s.refused);
  EXPECT_EQ(s.errors[0].status, 503);
  EXPECT_NEAR(s.refusal_ms.p99().value, 3, 1e-3);
  EXPECT_EQ(s.retry_after_s.p50().value, 2);
  // P(ok) * P(exp(80) <= 100)
  const double share = 0.85 * (1 - std::exp(-100.0 / 80));
  EXPECT_NEAR(s.goodput.share.value, share, 0.05);
  EXPECT_TRUE(s.goodput.met);
  EXPECT_NEAR(s.goodput.requests_per_s.value, 1000 * s.goodput.share.value / run.duration_s, 1e-6);
  EXPECT_EQ(s.goodput.not_ok, s.refused + s.failed);
  EXPECT_EQ(s.samples.size(), LoadSummary::kMaxSamples);
  EXPECT_GT(s.peak_output_tokens_per_s, s.output_tokens_per_s.value);
  EXPECT_NEAR(s.queue_ms.mean.value, 0.3 * s.ttft_ms.mean.value, 1e-3 * s.ttft_ms.mean.value);
}

// Of 300 seeds 95 % are 285 with a standard deviation of 3.8; the bootstrap's own known shortfall
// at these sizes is 1 to 2 %. 90 % is 4 standard deviations off.
TEST(Summary, IntervalsCoverTheTruthInNineteenOfTwentyRuns) {
  SyntheticOptions o;
  o.requests = 300;
  o.output_tokens = 15;
  constexpr int kSeeds = 300;
  struct Case {
    const char* name;
    double truth;
    std::function<Estimate(const LoadSummary&)> of;
    int covered = 0;
  };
  const double mean = o.ttft_mean_ms;
  std::vector<Case> cases = {
      {"TTFT mean", mean, [](const LoadSummary& s) { return s.ttft_ms.mean; }},
      {"TTFT p50", mean * std::log(2.0), [](const LoadSummary& s) { return s.ttft_ms.p50(); }},
      {"TTFT p95", mean * std::log(20.0), [](const LoadSummary& s) { return s.ttft_ms.p95(); }},
      // Gaps of a request share a factor whose mean is 1.
      {"ITL mean", o.gap_mean_ms, [](const LoadSummary& s) { return s.itl_ms.mean; }},
      // Arrivals at 10/s; the drain of some 0.3 s in 30 lowers the rate by 1 %.
      {"requests/s", 9.9, [](const LoadSummary& s) { return s.requests_per_s; }}};
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SummaryOptions options;
    options.replicates = 200;
    options.seed = seed + 1000;
    const LoadSummary s = summarize(synthetic_run(seed, o), {}, options);
    for (Case& c : cases) {
      const Estimate e = c.of(s);
      ASSERT_FALSE(std::isnan(e.low) || std::isnan(e.high));
      c.covered += c.truth >= e.low && c.truth <= e.high;
    }
  }
  for (const Case& c : cases) {
    EXPECT_GE(c.covered, kSeeds * 0.90) << c.name;
    EXPECT_LE(c.covered, kSeeds * 0.995) << c.name;
    RecordProperty(c.name, c.covered);
  }
}

TEST(Summary, GapsAreResampledByRequestNotOneByOne) {
  SyntheticOptions o;
  o.output_tokens = 100;
  const LoadRun run = synthetic_run(8, o);
  const LoadSummary s = summarize(run, {});
  // One by one: stddev / sqrt(40,000 gaps). By request the factor's spread (0.29) over 400 requests
  // dominates: more than twice as wide.
  const double naive = s.itl_ms.stddev / std::sqrt(static_cast<double>(s.itl_ms.count));
  EXPECT_GT((s.itl_ms.mean.high - s.itl_ms.mean.low) / 3.92, 2 * naive);
}

TEST(Summary, AQuantileBeyondTheSampleHasNoUpperBound) {
  SyntheticOptions o;
  o.requests = 100;
  const LoadSummary small = summarize(synthetic_run(1, o), {});
  EXPECT_FALSE(std::isnan(small.ttft_ms.p90().high));
  EXPECT_TRUE(std::isnan(small.ttft_ms.p99().high));  // one request above
  EXPECT_FALSE(std::isnan(small.ttft_ms.p99().low));
  o.requests = 1000;
  const LoadSummary large = summarize(synthetic_run(1, o), {});
  EXPECT_FALSE(std::isnan(large.ttft_ms.p99().high));
  EXPECT_TRUE(std::isnan(large.ttft_ms.p999().high));
}

TEST(Summary, IsTheSameForTheSameSeed) {
  const LoadRun run = synthetic_run(2);
  const LoadSummary a = summarize(run, {});
  const LoadSummary b = summarize(run, {});
  EXPECT_EQ(a.ttft_ms.p95().low, b.ttft_ms.p95().low);
  SummaryOptions other;
  other.seed = 2;
  EXPECT_NE(a.ttft_ms.p95().low, summarize(run, {}, other).ttft_ms.p95().low);
}

TEST(Summary, OfNothingIsEmpty) {
  const LoadSummary s = summarize({}, *parse_slo("ttft=1s"));
  EXPECT_EQ(s.requests, 0);
  EXPECT_FALSE(s.goodput.met);
  EXPECT_FALSE(s.output_tokens_per_s.known());
  EXPECT_FALSE(s.steady.found);
}

TEST(Summary, ErrorsOfManyKindsAreBoundedAndPrintable) {
  LoadRun run;
  run.duration_s = 1;
  for (int i = 0; i < 3000; ++i) {
    RequestRecord r;
    r.outcome = Outcome::kServerError;
    r.status = 500;
    r.end_s = 0.5;
    r.error = "request " + std::to_string(i < 1500 ? i : 7) + "\xff" + std::string(300, '\xc3');
    run.requests.push_back(r);
  }
  const LoadSummary s = summarize(run, {});
  EXPECT_EQ(s.errors.size(), LoadSummary::kMaxErrorClasses);
  EXPECT_EQ(s.errors[0].count, 1501);
  int64_t listed = s.errors_not_listed;
  for (const ErrorClass& c : s.errors) listed += c.count;
  EXPECT_EQ(listed, 3000);
  EXPECT_TRUE(text::is_valid_utf8(s.errors[0].message));
}

TEST(Summary, GroupsAreCountedApart) {
  SyntheticOptions o;
  o.groups = 3;
  const LoadSummary s = summarize(synthetic_run(6, o), *parse_slo("ttft=10s"));
  ASSERT_EQ(s.groups.size(), 3u);
  EXPECT_EQ(s.groups[0].requests, 134);
  EXPECT_EQ(s.groups[2].requests, 133);
  EXPECT_EQ(s.groups[1].ttft_ms.count, s.groups[1].ok);
  EXPECT_EQ(s.groups[1].slo_share, 1);
  double sum = 0;
  for (const GroupSummary& g : s.groups) sum += g.output_tokens_per_s;
  EXPECT_NEAR(sum, s.output_tokens_per_s.value, 1e-6);
}

}  // namespace
}  // namespace weir::bench
