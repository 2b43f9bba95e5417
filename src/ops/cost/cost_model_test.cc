#include "ops/cost/cost_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

CostInputs sample() {
  CostInputs in;
  in.system_tokens = 2000;
  in.history_tokens = 1000;
  in.retrieval_tokens = 500;
  in.question_tokens = 500;
  in.output_tokens = 500;
  in.requests_per_day = 100'000;
  in.cache_hit_rate = 0.8;
  in.input_usd = 4;
  in.cached_usd = 0.4;
  in.write_usd = 5;
  in.output_usd = 20;
  in.batch_discount = 0.5;
  in.replicas = 2;
  in.devices = 4;
  in.device_usd_per_hour = 3;
  in.replica_requests_per_s = 2;
  in.overhead_usd_per_month = 1000;
  return in;
}

CostInputs with_small() {
  CostInputs in = sample();
  in.small_input_usd = 0.4;
  in.small_cached_usd = 0.04;
  in.small_write_usd = 0.5;
  in.small_output_usd = 2;
  in.check_usd = 0.0002;
  in.escalation_share = 0.3;
  return in;
}

// By hand: 4000 x 4 + 500 x 20; 1000 x 4 + 3000 x (0.8 x 0.4 + 0.2 x 5) + 500 x 20.
TEST(CostModel, ARequest) {
  const CostInputs in = sample();
  EXPECT_DOUBLE_EQ(request_usd(in, large_prices(in), 0), 0.026);
  EXPECT_DOUBLE_EQ(request_usd(in, large_prices(in), 0.8), 0.01796);
  EXPECT_DOUBLE_EQ(hosted_usd(in), 0.01796);
  CostInputs whole = in;  // no part repeats by name: the whole prompt is the prefix
  whole.system_tokens = whole.history_tokens = whole.retrieval_tokens = 0;
  whole.question_tokens = 4000;
  EXPECT_DOUBLE_EQ(request_usd(whole, large_prices(whole), 0.8), (4000 * 1.32 + 10'000) / 1e6);
}

TEST(CostModel, CachingBreaksEven) {
  const TokenPrices p = large_prices(sample());
  EXPECT_NEAR(*break_even_hit_rate(p), 1 / 4.6, 1e-12);
  EXPECT_NEAR(*break_even_reads(p), 1 / 3.6, 1e-12);
  EXPECT_NEAR(*break_even_requests_per_hour(p, 300), 2.941469, 1e-6);
  // A root: caching costs what no caching does.
  EXPECT_NEAR(request_usd(sample(), p, *break_even_hit_rate(p)), request_usd(sample(), p, 0),
              1e-15);
  // h of r reads for each write is r / (1 + r).
  const double r = *break_even_reads(p);
  EXPECT_NEAR(r / (1 + r), *break_even_hit_rate(p), 1e-12);
  EXPECT_EQ(break_even_hit_rate({1, 0.1, 1, 2}), 0);  // no premium: any hit pays
  EXPECT_FALSE(break_even_hit_rate({1, 1, 1, 2}));
  EXPECT_FALSE(break_even_requests_per_hour(p, 0));
}

// By hand: half as batch, of which the cache takes nothing off: 0.5 x 0.01796 + 0.25 x 0.026.
TEST(CostModel, DiscountsThatDoNotAddUp) {
  CostInputs in = sample();
  in.batch_share = 0.5;
  EXPECT_DOUBLE_EQ(hosted_usd(in), 0.75 * 0.01796);
  in.batch_stacks = false;
  EXPECT_DOUBLE_EQ(hosted_usd(in), 0.5 * 0.01796 + 0.25 * 0.026);
}

TEST(CostModel, TiersBreakEven) {
  CostInputs in = with_small();
  EXPECT_DOUBLE_EQ(request_usd(in, small_prices(in), in.cache_hit_rate), 0.001796);
  EXPECT_NEAR(hosted_usd(in), 0.001796 + 0.0002 + 0.3 * 0.01796, 1e-15);
  const double p = *break_even_escalation(in);
  EXPECT_NEAR(p, 1 - 0.001996 / 0.01796, 1e-12);
  in.escalation_share = p;
  EXPECT_NEAR(hosted_usd(in), hosted_usd(sample()), 1e-15);
  in.check_usd = 1;
  EXPECT_FALSE(break_even_escalation(in));
}

TEST(CostModel, BatchBreaksEven) {
  CostInputs in = sample();
  in.batch_share = 0.5;
  EXPECT_NEAR(hosted_usd(in), 0.01796 * 0.75, 1e-15);
  EXPECT_FALSE(break_even_hit_rate_of_batch(in));  // half price beats any cache here
  in.batch_discount = 0.3;
  const double h = *break_even_hit_rate_of_batch(in);
  EXPECT_NEAR(h, 10'800.0 / 13'800, 1e-12);
  EXPECT_NEAR(request_usd(in, large_prices(in), h), 0.7 * 0.026, 1e-15);
}

TEST(CostModel, OnesOwnBreaksEven) {
  CostInputs in = sample();
  EXPECT_DOUBLE_EQ(fleet_usd_per_month(in), 18'532);
  EXPECT_NEAR(self_hosted_usd(in), 18'532 / 3'043'750.0, 1e-15);
  EXPECT_NEAR(utilisation(in), 100'000 / 345'600.0, 1e-12);
  const double u = *break_even_utilisation(in), n = *break_even_requests_per_day(in);
  EXPECT_NEAR(u, 0.0980919, 1e-7);
  EXPECT_NEAR(n, 33'900.57, 0.01);
  in.requests_per_day = n;
  EXPECT_NEAR(self_hosted_usd(in), hosted_usd(in), 1e-15);
  EXPECT_NEAR(utilisation(in), u, 1e-12);
  in.redo_share = 0.5;
  EXPECT_NEAR(*break_even_utilisation(in), 1.5 * u, 1e-12);
  in.device_usd_per_hour = 100;
  EXPECT_FALSE(break_even_utilisation(in));  // a full fleet costs more than hosted
  EXPECT_TRUE(break_even_requests_per_day(in));
}

// No price, and no amount that is paid for, makes anything cheaper by rising.
TEST(CostModel, IsMonotone) {
  for (const char* name :
       {"system-tokens", "history-tokens", "retrieval-tokens", "question-tokens", "output-tokens",
        "input-usd", "cached-usd", "write-usd", "output-usd", "small-input-usd", "small-output-usd",
        "check-usd", "escalation-share", "replicas", "devices", "device-usd-per-hour",
        "overhead-usd-per-month"}) {
    const CostInput* input = find_cost_input(name);
    ASSERT_NE(input, nullptr) << name;
    double hosted = 0, own = 0;
    for (double factor = 0.25; factor < 4; factor *= 1.3) {
      CostInputs in = with_small();
      in.*(input->member) *= factor;
      EXPECT_GE(accepted_usd(in, CostMode::kHosted), hosted) << name;
      EXPECT_GE(accepted_usd(in, CostMode::kSelfHosted), own) << name;
      hosted = accepted_usd(in, CostMode::kHosted);
      own = accepted_usd(in, CostMode::kSelfHosted);
    }
  }
  for (const char* name : {"cache-hit-rate", "batch-share", "batch-discount", "accept-rate"}) {
    double last = std::numeric_limits<double>::infinity();
    for (double value = 0.1; value < 1; value += 0.1) {
      CostInputs in = with_small();
      in.batch_share = 0.5;
      in.*(find_cost_input(name)->member) = value;
      EXPECT_LE(accepted_usd(in, CostMode::kHosted), last) << name;
      last = accepted_usd(in, CostMode::kHosted);
    }
  }
}

TEST(CostModel, SensitivityIsSortedAndKeepsRanges) {
  const CostInputs in = sample();
  const std::vector<InputRange> told = {{"output-usd", 10, 100}};
  const auto swings = sensitivity(in, CostMode::kHosted, told);
  ASSERT_GE(swings.size(), 8U);
  EXPECT_EQ(swings[0].input->name, "output-usd");
  EXPECT_TRUE(swings[0].stated);
  EXPECT_NEAR(swings[0].usd_low, 0.01296, 1e-12);
  EXPECT_NEAR(swings[0].usd_high, 0.05796, 1e-12);
  for (size_t i = 1; i < swings.size(); ++i)
    EXPECT_LE(std::abs(swings[i].usd_high - swings[i].usd_low),
              std::abs(swings[i - 1].usd_high - swings[i - 1].usd_low));
  for (const Swing& s : swings) {
    EXPECT_NE(s.input->name, "replicas");  // moves nothing that is hosted
    EXPECT_LE(s.high, s.input->max);       // a share of 0.8 stops at 0.96, 1 at 1
  }
  EXPECT_EQ(sensitivity(in, CostMode::kSelfHosted, {}).size(), 6U);
}

TEST(CostModel, WrongInputsAreNamed) {
  EXPECT_TRUE(check_inputs(sample()).ok());
  CostInputs in = sample();
  in.cache_hit_rate = 1.5;
  EXPECT_THAT(check_inputs(in).error().message,
              HasSubstr("--cache-hit-rate: must be a number from 0 to 1 of 1, not 1.5"));
  in = sample();
  in.output_usd = -1;
  EXPECT_THAT(check_inputs(in).error().message, HasSubstr("--output-usd"));
  in.output_usd = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(check_inputs(in).ok());
}

}  // namespace
}  // namespace weir::ops
