// What is reserved for a request, and what an operator is shown of it.
#include "gateway/quota_estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/quota_admin.h"
#include "gateway/request_cost.h"

namespace weir::gateway {
namespace {

using ::testing::HasSubstr;

ModelPrice price(const std::string& upstream, int64_t input, int64_t output) {
  ModelPrice p;
  p.upstream = upstream;
  p.model = "chat";
  p.input = input;
  p.output = output;
  p.date = "2026-11-30";
  return p;
}

QuotaLimit limit(QuotaMetric metric, int64_t most) {
  return {"counter", "name", metric, QuotaWindow::kDay, most};
}

Incoming request(int64_t input_tokens, int64_t max_output_tokens = 0) {
  Incoming in;
  in.input_tokens = input_tokens;
  in.max_output_tokens = max_output_tokens;
  return in;
}

class QuotaEstimates : public ::testing::Test {
 protected:
  QuotaEstimates() {
    config_.upstreams.resize(2);
    config_.upstreams[0].name = "cheap";
    config_.upstreams[1].name = "dear";
    ModelConfig chat;
    chat.name = "chat";
    chat.targets.resize(2);
    chat.targets[0].upstream_name = "cheap";
    chat.targets[1].upstream = 1;
    chat.targets[1].upstream_name = "dear";
    config_.models = {chat};
    ModelPrice dear = price("dear", 3'000'000, 9'000'000);
    dear.cache_write = 4'000'000;
    auto prices = PriceTable::make({price("cheap", 1'000'000, 2'000'000), dear});
    EXPECT_TRUE(prices.ok());
    config_.prices = std::move(*prices);
  }
  QuotaEstimate of(const Incoming& in, const std::vector<QuotaLimit>& limits = {}) {
    return estimate_quota(config_, config_.models[0], in, limits);
  }
  GatewayConfig config_;
};

TEST_F(QuotaEstimates, TakeTheDearestTargetAndItsCacheWrites) {
  EXPECT_EQ(dearest_cost(config_, config_.models[0], 100, 10), 100 * 4 + 10 * 9);
}

// After a reload targets have numbers that the fleet gave to their pools.
TEST_F(QuotaEstimates, GoByTheNameOfAnUpstreamAndNotByTheNumberOfItsPool) {
  config_.models[0].targets[0].upstream = 1;
  config_.models[0].targets[1].upstream = 700;
  EXPECT_EQ(dearest_cost(config_, config_.models[0], 100, 10), 100 * 4 + 10 * 9);
}

TEST_F(QuotaEstimates, OfACascadeAllStepsAndJudgesMayBeAsked) {
  ModelConfig both;
  both.name = "both";
  both.cascade.emplace();
  both.cascade->steps.resize(2);
  both.cascade->steps[0].model = both.cascade->steps[1].model = "chat";
  JudgeConfig judge;
  judge.model = "chat";
  judge.prompt = std::string(40, 'x');
  judge.max_tokens = 5;
  both.cascade->steps[0].check.judge = judge;
  config_.models.push_back(both);
  const QuotaEstimate e = estimate_quota(config_, config_.models[1], request(10, 30), {});
  EXPECT_EQ(e.amounts.input_tokens, 2 * 10 + (10 + 30 + 10));
  EXPECT_EQ(e.amounts.output_tokens, 2 * 30 + 5);
  EXPECT_EQ(e.amounts.money_nanos, 2 * (10 * 4 + 30 * 9) + 50 * 4 + 5 * 9);
  // What a limit lets a request take is for all of its steps.
  const QuotaEstimate open = estimate_quota(config_, config_.models[1], request(10),
                                            {limit(QuotaMetric::kOutputTokens, 100)});
  EXPECT_EQ(open.amounts.output_tokens, 2 * 47 + 5);
  const QuotaEstimate all = estimate_quota(config_, config_.models[1], request(10),
                                           {limit(QuotaMetric::kTotalTokens, 300)});
  EXPECT_LE(all.amounts.input_tokens + all.amounts.output_tokens, 300);
  EXPECT_GT(all.amounts.input_tokens + all.amounts.output_tokens, 290);
}

TEST_F(QuotaEstimates, TakeWhatTheRequestSays) {
  Incoming two = request(10, 30);
  two.choices = 2;
  const QuotaEstimate e = of(two);
  EXPECT_TRUE(e.bounded);
  EXPECT_EQ(e.amounts.requests, 1);
  EXPECT_EQ(e.amounts.input_tokens, 10);
  EXPECT_EQ(e.amounts.output_tokens, 60);
  EXPECT_EQ(e.amounts.money_nanos, 10 * 4 + 60 * 9);
  Incoming embeds = request(10);
  embeds.generates = false;
  const QuotaEstimate none = of(embeds);
  EXPECT_TRUE(none.bounded);
  EXPECT_EQ(none.amounts.output_tokens, 0);
}

TEST_F(QuotaEstimates, OfAnUnboundedAnswerFitTheTightestLimit) {
  EXPECT_FALSE(of(request(10)).bounded);
  EXPECT_EQ(of(request(10)).amounts.output_tokens, 1024);
  const QuotaLimit output = limit(QuotaMetric::kOutputTokens, 300);
  const QuotaLimit total = limit(QuotaMetric::kTotalTokens, 200);
  const QuotaLimit input = limit(QuotaMetric::kInputTokens, 20);
  EXPECT_EQ(of(request(10), {output, input}).amounts.output_tokens, 300);
  EXPECT_EQ(of(request(10), {output, total}).amounts.output_tokens, 190);
  EXPECT_EQ(of(request(500), {total}).amounts.output_tokens, 1);
  // What the request says itself is not cut.
  EXPECT_EQ(of(request(0, 5000), {output}).amounts.output_tokens, 5000);
}

TEST_F(QuotaEstimates, AreShownToOperators) {
  access::KeysFile keys;
  keys.tenants.resize(2);
  keys.tenants[0].name = "acme";
  keys.tenants[1].name = "other";
  keys.keys.resize(3);
  keys.keys[0].id = "k1";
  keys.keys[1].id = "k2";
  keys.keys[0].tenant = keys.keys[1].tenant = "acme";
  keys.keys[2].id = "k3";
  keys.keys[2].tenant = "other";
  auto rules = QuotaRules::make(
      {{"day", "*", "", "", QuotaMetric::kRequests, QuotaWindow::kDay, 5},
       {"money", "", "*", "", QuotaMetric::kMoney, QuotaWindow::kMinute, 2'500'000'000},
       {"theirs", "other", "", "", QuotaMetric::kRequests, QuotaWindow::kMinute, 7}});
  ASSERT_TRUE(rules.ok());
  config_.quotas.rules = std::move(*rules);
  const auto all = shown_quotas(config_, keys, "");
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->limits.size(), 6U);  // two tenants a day, three keys' money, theirs
  const auto acme = shown_quotas(config_, keys, "tenant=acme");
  ASSERT_TRUE(acme.ok());
  ASSERT_EQ(acme->limits.size(), 3U);
  const auto json = quotas_json(*acme, {3, 1'250'000'000, 0});
  ASSERT_TRUE(json.ok());
  EXPECT_THAT(*json, HasSubstr(R"("quota":"day","counts":"day, tenant acme: requests per day")"));
  EXPECT_THAT(*json, HasSubstr(R"("limit":5,"used":3)"));
  EXPECT_THAT(*json, HasSubstr(R"("limit":2.5,"used":1.25)"));
  EXPECT_THAT(*json, HasSubstr(R"("more":false)"));
  EXPECT_FALSE(quotas_json(*acme, {}).ok());
  for (const char* query : {"tenant=nobody", "tenants=acme", "tenant=%zz"})
    EXPECT_FALSE(shown_quotas(config_, keys, query).ok()) << query;
  keys.tenants.clear();
  keys.keys.clear();
  EXPECT_EQ(shown_quotas(config_, keys, "")->limits.size(), 2U);
}

TEST_F(QuotaEstimates, OperatorsAreShownABoundedList) {
  access::KeysFile keys;
  keys.tenants.resize(1);
  keys.tenants[0].name = "acme";
  keys.keys.resize(kMaxShownQuotas + 1);
  for (size_t i = 0; i < keys.keys.size(); ++i) {
    keys.keys[i].id = std::to_string(i);
    keys.keys[i].tenant = "acme";
  }
  auto rules =
      QuotaRules::make({{"each", "", "*", "", QuotaMetric::kRequests, QuotaWindow::kMinute, 5}});
  ASSERT_TRUE(rules.ok());
  config_.quotas.rules = std::move(*rules);
  const auto shown = shown_quotas(config_, keys, "tenant=acme");
  ASSERT_TRUE(shown.ok());
  EXPECT_EQ(shown->limits.size(), kMaxShownQuotas);
  EXPECT_TRUE(shown->more);
}

}  // namespace
}  // namespace weir::gateway
