#include "bench/report/compare.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bench/report/testing.h"

namespace weir::bench {
namespace {

Report report_of(std::vector<uint64_t> seeds, const SyntheticOptions& o = {}) {
  const Slo slo = *parse_slo("ttft=300ms");
  SummaryOptions options;
  options.replicates = 200;
  std::vector<LoadSummary> runs;
  for (const uint64_t seed : seeds) runs.push_back(summarize(synthetic_run(seed, o), slo, options));
  return make_report(std::move(runs), slo, {}, "");
}

const MetricChange* find(const Comparison& c, const std::string& metric) {
  for (const MetricChange& m : c.changes) {
    if (m.metric == metric) return &m;
  }
  return nullptr;
}

TEST(Compare, EqualServersRarelyDiffer) {
  SyntheticOptions o;
  o.requests = 250;
  int alarms = 0;
  int changes = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const auto c = compare(report_of({2 * seed}, o), report_of({2 * seed + 1}, o));
    ASSERT_TRUE(c.ok());
    alarms += c->worse + c->better > 0;
    changes += static_cast<int>(c->changes.size());
  }
  // At 5 % three of 60 are expected; ten or more have a chance of 1 in 1,000.
  EXPECT_LE(alarms, 9);
  EXPECT_EQ(changes, 60 * 12);
}

TEST(Compare, AReportWithItselfIsNoDifference) {
  const Report r = report_of({3});
  const auto c = compare(r, r);
  ASSERT_TRUE(c.ok());
  EXPECT_FALSE(c->any_worse());
  EXPECT_EQ(find(*c, "ttft_ms.p95")->ratio, 1);
  EXPECT_NE(find(*c, "ttft_ms.p95")->verdict, Verdict::kBetter);
  EXPECT_EQ(find(*c, "itl_ms.p50")->verdict, Verdict::kNoDifference);
}

// Equal values with an interval of -20 to +25 % are no proof that nothing changed.
TEST(Compare, AWideIntervalIsUndecided) {
  Report a = report_of({1});
  const auto verdict = [&](double log_se) {
    a.runs[0].itl_ms.quantiles[0] = {.value = 10, .low = 9, .high = 11, .log_se = log_se};
    return find(*compare(a, a), "itl_ms.p50")->verdict;
  };
  EXPECT_EQ(verdict(0.03), Verdict::kNoDifference);  // exp(1.96 sqrt(2) 0.03) is 1.087
  EXPECT_EQ(verdict(0.04), Verdict::kUndecided);     // 1.117
  EXPECT_NE(comparison_text(*compare(a, a)).find("undecided: ± 12 %"), std::string::npos);
}

TEST(Compare, ATtftThreeTimesAsLongIsWorse) {
  SyntheticOptions slow;
  slow.ttft_mean_ms = 240;
  const auto c = compare(report_of({1}), report_of({2}, slow));
  ASSERT_TRUE(c.ok());
  EXPECT_TRUE(c->any_worse());
  const MetricChange& p50 = *find(*c, "ttft_ms.p50");
  EXPECT_EQ(p50.verdict, Verdict::kWorse);
  EXPECT_LE(p50.low, 3);
  EXPECT_GE(p50.high, 3);
  EXPECT_EQ(find(*c, "goodput.share")->verdict, Verdict::kWorse);
  EXPECT_EQ(find(*c, "itl_ms.p50")->verdict, Verdict::kNoDifference);
  // The other way round it is better.
  const auto back = compare(report_of({2}, slow), report_of({1}));
  EXPECT_FALSE(back->any_worse());
  EXPECT_EQ(find(*back, "ttft_ms.p50")->verdict, Verdict::kBetter);
}

TEST(Compare, ASmallEffectIsNoDifferenceHoweverSure) {
  Report a = report_of({1});
  a.runs[0].itl_ms.quantiles[0] = {.value = 10, .low = 9.999, .high = 10.001, .log_se = 1e-5};
  Report b = a;
  b.runs[0].itl_ms.quantiles[0].value = 10.1;
  EXPECT_EQ(find(*compare(a, b), "itl_ms.p50")->verdict, Verdict::kNoDifference);
  EXPECT_EQ(find(*compare(a, b, {.min_effect = 0.005}), "itl_ms.p50")->verdict, Verdict::kWorse);
}

TEST(Compare, RepeatedRunsBringTheNoiseBetweenRuns) {
  // Within a run the value is sure; between runs it moves by 10 %.
  const auto repeated = [](std::vector<double> values) {
    Report r = report_of(std::vector<uint64_t>(values.size(), 1));
    for (size_t i = 0; i < values.size(); ++i)
      r.runs[i].itl_ms.quantiles[0] = {.value = values[i], .low = 1, .high = 2, .log_se = 1e-4};
    return r;
  };
  const auto noisy = compare(repeated({10, 11, 9}), repeated({10.5, 11.5, 9.8}));
  EXPECT_EQ(find(*noisy, "itl_ms.p50")->verdict, Verdict::kUndecided);
  EXPECT_GT(noisy->undecided, 0);
  EXPECT_NE(comparison_text(*noisy).find("undecided: ± "), std::string::npos);
  EXPECT_GT(find(*noisy, "itl_ms.p50")->p_value, 0.3);
  const auto sure = compare(repeated({10, 10.1, 9.9, 10}), repeated({15, 15.2, 14.9, 15}));
  EXPECT_EQ(find(*sure, "itl_ms.p50")->verdict, Verdict::kWorse);
  // Welch on logs of {10,11,9} and {10.5,11.5,9.8}: t 0.72 at 3.8 degrees of freedom.
  EXPECT_NEAR(find(*noisy, "itl_ms.p50")->ratio, std::cbrt(10.5 * 11.5 * 9.8 / 990), 1e-9);
  EXPECT_TRUE(noisy->notes.empty());
  const auto one = compare(repeated({10}), repeated({15, 15, 15}));
  EXPECT_EQ(one->notes.size(), 1u);
}

TEST(Compare, SaysWhatDoesNotMatch) {
  SyntheticOptions other;
  other.rate_per_s = 20;
  Report a = report_of({1});
  Report b = report_of({1}, other);
  const auto none = compare(a, b);
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("no run of the same label"), std::string::npos);
  EXPECT_NE(none.error().message.find("the first has '"), std::string::npos)
      << none.error().message;
  b.runs.push_back(a.runs[0]);
  b.runs.back().settings["arrivals"] = "constant\x1b[2J";
  b.runs.back().slo.ttft_ms = 1;
  const auto some = compare(a, b);
  ASSERT_TRUE(some.ok());
  EXPECT_EQ(find(*some, "goodput.share"), nullptr);
  const std::string text = comparison_text(*some);
  EXPECT_NE(text.find("'rate 20' is only in the second report"), std::string::npos) << text;
  EXPECT_NE(text.find("arrivals was 'poisson', is 'constant"), std::string::npos) << text;
  EXPECT_NE(text.find("the SLO was"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(Compare, TextAndJsonSayTheSame) {
  SyntheticOptions slow;
  slow.gap_mean_ms = 20;
  const auto c = compare(report_of({1}), report_of({2}, slow));
  const std::string text = comparison_text(*c);
  EXPECT_TRUE(text.starts_with("WORSE: ")) << text;
  EXPECT_NE(comparison_text(*c, true).find("\x1b[31mworse"), std::string::npos);
  const text::Json json = comparison_json(*c);
  EXPECT_EQ(json.find("worse")->as_int(), c->worse);
  EXPECT_EQ(json.find("changes")->size(), c->changes.size());
  EXPECT_TRUE(text::Json::parse(json.dump()).ok());
}

}  // namespace
}  // namespace weir::bench
