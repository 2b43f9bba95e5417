#include "bench/report/steady.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bench/report/summary.h"
#include "bench/report/testing.h"

namespace weir::bench {
namespace {

TEST(Mser, CutsTheTransientAndNothingElse) {
  Rng rng(1);
  std::vector<double> flat;
  for (int i = 0; i < 80; ++i) flat.push_back(100 + rng.unit());
  EXPECT_LE(mser(flat).cut, 20u);
  std::vector<double> rising = flat;
  for (size_t i = 0; i < 16; ++i) rising[i] = 5.0 * static_cast<double>(i);
  const MserCut cut = mser(rising);
  EXPECT_TRUE(cut.settled);
  EXPECT_GE(cut.cut, 16u);
  EXPECT_LE(cut.cut, 30u);
}

TEST(Mser, SaysWhenASeriesNeverSettles) {
  std::vector<double> ramp;
  for (int i = 0; i < 80; ++i) ramp.push_back(i);
  EXPECT_FALSE(mser(ramp).settled);
}

TEST(MannKendall, KnowsUpFromDownFromNeither) {
  std::vector<double> up, down, flat;
  for (int i = 0; i < 20; ++i) {
    up.push_back(i);
    down.push_back(-i);
    flat.push_back(i % 2);
  }
  EXPECT_NEAR(mann_kendall_z(up), 6.13, 0.05);
  EXPECT_NEAR(mann_kendall_z(down), -6.13, 0.05);
  EXPECT_LT(std::abs(mann_kendall_z(flat)), 2);
}

TEST(Steady, FindsTheWarmUpOfARun) {
  SyntheticOptions o;
  o.requests = 4000;
  o.rate_per_s = 100;
  LoadRun run = synthetic_run(3, o);
  // In the first 6 s of 40 only every fifth request brings output.
  int i = 0;
  for (RequestRecord& r : run.requests) {
    if (r.intended_s < 6 && i++ % 5 != 0) {
      r.outcome = Outcome::kServerError;
      r.output_tokens = 0;
      r.first_token_s = -1;
      r.gaps_ms.clear();
    }
  }
  const SteadyWindow w = find_steady(run);
  ASSERT_TRUE(w.found) << w.how;
  EXPECT_GE(w.window.begin_s, 5.5);
  EXPECT_LE(w.window.begin_s, 12);
  EXPECT_NE(w.how.find("s of warm-up"), std::string::npos) << w.how;

  SummaryOptions steady;
  steady.steady_only = true;
  const LoadSummary cut = summarize(run, {}, steady);
  EXPECT_EQ(cut.failed, 0);
  EXPECT_NEAR(cut.output_tokens_per_s.value, 2000, 80);
  EXPECT_NEAR(cut.steady.output_tokens_per_s.value, 2000, 80);
  EXPECT_LT(summarize(run, {}).output_tokens_per_s.value, 1850);
}

TEST(Steady, ALoadAboveCapacityIsNotSteady) {
  SyntheticOptions o;
  o.requests = 1000;
  o.ttft_growth = 0.05;
  const SteadyWindow w = find_steady(synthetic_run(5, o));
  EXPECT_FALSE(w.found);
  EXPECT_NE(w.how.find("TTFT climbs throughout"), std::string::npos) << w.how;
}

TEST(Steady, ShortRunsAreNotJudged) {
  SyntheticOptions o;
  o.requests = 19;
  EXPECT_FALSE(find_steady(synthetic_run(5, o)).found);
  EXPECT_FALSE(find_steady({}).found);
}

TEST(Timeline, HoldsEveryTokenAndEveryRequest) {
  SyntheticOptions o;
  o.refused_share = 0.1;
  o.failed_share = 0.1;
  const LoadRun run = synthetic_run(9, o);
  const Timeline t = make_timeline(run);
  const auto total = [&](const std::vector<double>& per_s) {
    double sum = 0;
    for (const double v : per_s) sum += v * t.bin_s;
    return sum;
  };
  double tokens = 0, refused = 0, failed = 0, busy = 0;
  for (const RequestRecord& r : run.requests) {
    tokens += r.output_tokens;
    refused += r.outcome == Outcome::kRejected;
    failed += r.outcome == Outcome::kConnection;
    busy += r.end_s - r.sent_s;
  }
  EXPECT_NEAR(total(t.output_tokens_per_s), tokens, 1e-6 * tokens);
  EXPECT_NEAR(total(t.arrivals_per_s), 400, 1e-6);
  EXPECT_NEAR(total(t.refusals_per_s), refused, 1e-6);
  EXPECT_NEAR(total(t.errors_per_s), failed, 1e-6);
  EXPECT_NEAR(total(t.in_flight), busy, 1e-6 * busy);
  EXPECT_LE(t.in_flight.size(), 130u);
  EXPECT_EQ(round_bin_s(12), 0.1);
  EXPECT_EQ(round_bin_s(60), 0.5);
  EXPECT_EQ(round_bin_s(130), 2);
}

TEST(Timeline, PeakInFlightOfAClosedLoopIsItsConcurrency) {
  LoadRun run;
  run.duration_s = 4;
  for (int i = 0; i < 8; ++i) {
    RequestRecord r;
    r.sent_s = r.intended_s = i / 2;
    r.end_s = r.sent_s + 1;
    run.requests.push_back(r);
  }
  EXPECT_EQ(peak_in_flight(run), 2);
}

}  // namespace
}  // namespace weir::bench
