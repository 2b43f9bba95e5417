// What a store of quotas does, the same on memory with SQLite and on Redis; and rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/state/quota_rules.h"
#include "gateway/state/quota_stores_testing.h"

namespace weir::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kNow = 1'800'000'000'000;  // 2027-01-15T08:00:00Z

QuotaLimit limit(QuotaMetric metric, QuotaWindow window, int64_t most,
                 const std::string& counter = "") {
  const std::string name =
      fmt::format("{} per {}", quota_metric_name(metric), quota_window_name(window));
  return {counter.empty() ? name : counter, name, metric, window, most};
}

INSTANTIATE_TEST_SUITE_P(Stores, QuotaStores, all_stores(), store_name);

TEST_P(QuotaStores, AllLimitsAtOnceOrNone) {
  const auto tokens = limit(QuotaMetric::kTotalTokens, QuotaWindow::kDay, 1000);
  const auto money = limit(QuotaMetric::kMoney, QuotaWindow::kMonth, 500);
  const auto requests = limit(QuotaMetric::kRequests, QuotaWindow::kMinute, 10);
  const QuotaAmounts most{.input_tokens = 300, .output_tokens = 100, .money_nanos = 300};
  const QuotaAnswer first = reserve({tokens, money, requests}, most, kNow);
  ASSERT_EQ(first.verdict, QuotaVerdict::kGranted);
  EXPECT_THAT(first.used, ElementsAre(400, 300, 1));
  const QuotaAnswer second = reserve({tokens, money, requests}, most, kNow);
  ASSERT_EQ(second.verdict, QuotaVerdict::kRefused);
  EXPECT_EQ(second.refused, 1);
  EXPECT_EQ(second.refused_used, 300);
  EXPECT_EQ(second.refused_wanted, 300);
  EXPECT_EQ(kNow + second.retry_after_ms, 1'801'440'000'000);  // 2027-02-01
  EXPECT_THAT(read_now(*store_, {tokens, money, requests}, kNow), ElementsAre(400, 300, 1));
  store_->reconcile(first.reservation,
                    {.input_tokens = 250, .output_tokens = 20, .money_nanos = 120}, kNow + 5);
  EXPECT_THAT(read_now(*store_, {tokens, money, requests}, kNow), ElementsAre(270, 120, 1));
  const QuotaAnswer third = reserve({tokens, money, requests}, most, kNow);
  ASSERT_EQ(third.verdict, QuotaVerdict::kGranted);
  store_->refund(third.reservation, kNow);
  store_->refund(third.reservation, kNow);  // a second time does nothing
  store_->reconcile(first.reservation, most, kNow);
  EXPECT_THAT(read_now(*store_, {tokens, money, requests}, kNow), ElementsAre(270, 120, 1));
}

TEST_P(QuotaStores, AMinuteSlides) {
  const auto per_minute = limit(QuotaMetric::kOutputTokens, QuotaWindow::kMinute, 100);
  const auto take = [&](int64_t n, int64_t at) {
    return reserve({per_minute}, {.output_tokens = n}, at);
  };
  EXPECT_EQ(take(60, kNow).verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(take(40, kNow + 30'000).verdict, QuotaVerdict::kGranted);
  const QuotaAnswer full = take(50, kNow + 59'999);
  ASSERT_EQ(full.verdict, QuotaVerdict::kRefused);
  EXPECT_EQ(full.retry_after_ms, 60'000 - 59'999);
  EXPECT_EQ(take(70, kNow + 59'999).retry_after_ms, 90'000 - 59'999);
  EXPECT_EQ(take(101, kNow + 60'000).retry_after_ms, QuotaAnswer::kNever);
  EXPECT_EQ(take(60, kNow + 60'000).verdict, QuotaVerdict::kGranted);
}

// Never 61 s: a second leaves the window 60 s after what was taken last in it.
TEST_P(QuotaStores, NobodyWaitsForLongerThanAMinute) {
  const auto few = limit(QuotaMetric::kRequests, QuotaWindow::kMinute, 2);
  const auto take = [&](int64_t at) { return reserve({few}, {}, at); };
  EXPECT_EQ(take(kNow + 100).verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(take(kNow + 900).verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(take(kNow + 900).retry_after_ms, 60'000);
  EXPECT_EQ(take(kNow + 60'899).retry_after_ms, 1);
  EXPECT_EQ(take(kNow + 60'900).verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(used(few, kNow + 60'900), 1);
}

TEST_P(QuotaStores, DaysAndMonthsBeginAnewInUtc) {
  const auto day = limit(QuotaMetric::kRequests, QuotaWindow::kDay, 1);
  const int64_t midnight = (kNow / kDayMs + 1) * kDayMs;
  const QuotaAnswer late = reserve({day}, {}, midnight - 1);
  EXPECT_EQ(late.verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(reserve({day}, {}, midnight - 1).retry_after_ms, 1);
  EXPECT_EQ(reserve({day}, {}, midnight).verdict, QuotaVerdict::kGranted);
  // Given back to the day it was taken from, not to the new one.
  store_->refund(late.reservation, midnight + 1);
  EXPECT_EQ(used(day, midnight + 1), 1);
  EXPECT_EQ(used(day, midnight - 1), 1);  // a clock that is behind counts what is ahead
}

TEST_P(QuotaStores, OneRequestAtATimeGoesBeyondALimit) {
  const auto tokens = limit(QuotaMetric::kOutputTokens, QuotaWindow::kDay, 100);
  const std::string a = reserve({tokens}, {.output_tokens = 40}, kNow).reservation;
  const std::string b = reserve({tokens}, {.output_tokens = 40}, kNow).reservation;
  EXPECT_EQ(extend_now(*store_, b, {.output_tokens = 10}, kNow).verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(extend_now(*store_, a, {.output_tokens = 30}, kNow).verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(used(tokens, kNow), 120);
  const QuotaAnswer other = extend_now(*store_, b, {.output_tokens = 1}, kNow);
  ASSERT_EQ(other.verdict, QuotaVerdict::kRefused);
  EXPECT_EQ(other.refused_used, 120);
  EXPECT_EQ(extend_now(*store_, a, {.output_tokens = 30}, kNow).verdict, QuotaVerdict::kGranted);
  store_->reconcile(a, {.output_tokens = 90}, kNow);
  EXPECT_EQ(used(tokens, kNow), 140);
  // Nobody begins to go beyond a limit that is beyond itself.
  EXPECT_EQ(extend_now(*store_, b, {.output_tokens = 1}, kNow).verdict, QuotaVerdict::kRefused);
  store_->refund(b, kNow);
  EXPECT_EQ(used(tokens, kNow), 90);
  EXPECT_EQ(reserve({tokens}, {.output_tokens = 10}, kNow).verdict, QuotaVerdict::kGranted);
}

TEST_P(QuotaStores, AnExtensionHoldsItsMinuteFromThenOn) {
  const auto tokens = limit(QuotaMetric::kOutputTokens, QuotaWindow::kMinute, 100);
  const std::string a = reserve({tokens}, {.output_tokens = 40}, kNow).reservation;
  EXPECT_EQ(extend_now(*store_, a, {.output_tokens = 10}, kNow + 50'000).verdict,
            QuotaVerdict::kGranted);
  EXPECT_EQ(used(tokens, kNow + 70'000), 50);
  store_->reconcile(a, {.output_tokens = 45}, kNow + 70'000);
  EXPECT_EQ(used(tokens, kNow + 70'000), 45);
  EXPECT_EQ(used(tokens, kNow + 111'000), 0);
}

TEST_P(QuotaStores, WhatYesterdayHoldsIsNotGivenBackToToday) {
  const auto day = limit(QuotaMetric::kOutputTokens, QuotaWindow::kDay, 1000);
  const int64_t midnight = (kNow / kDayMs + 1) * kDayMs;
  const std::string a = reserve({day}, {.output_tokens = 100}, midnight - 1).reservation;
  reserve({day}, {.output_tokens = 70}, midnight);
  extend_now(*store_, a, {.output_tokens = 10}, midnight + 1);
  EXPECT_EQ(used(day, midnight + 1), 80);
  store_->reconcile(a, {.output_tokens = 60}, midnight + 2);
  EXPECT_EQ(used(day, midnight + 2), 70);
}

TEST_P(QuotaStores, WhatGoesBeyondIsBooked) {
  const auto tokens = limit(QuotaMetric::kInputTokens, QuotaWindow::kDay, 100);
  const std::string a = reserve({tokens}, {.input_tokens = 60}, kNow).reservation;
  store_->reconcile(a, {.input_tokens = 150}, kNow);
  EXPECT_EQ(used(tokens, kNow), 150);
  EXPECT_EQ(reserve({tokens}, {.input_tokens = 1}, kNow).verdict, QuotaVerdict::kRefused);
  // What takes nothing of a limit is not refused by it.
  EXPECT_EQ(reserve({tokens}, {.output_tokens = 1}, kNow).verdict, QuotaVerdict::kGranted);
}

TEST_P(QuotaStores, ARestartKeepsWhatWasTaken) {
  if (GetParam() == StoreKind::kMemory) GTEST_SKIP() << "memory alone keeps nothing";
  const auto day = limit(QuotaMetric::kTotalTokens, QuotaWindow::kDay, 100'000);
  const auto minute = limit(QuotaMetric::kRequests, QuotaWindow::kMinute, 10);
  const std::string a =
      reserve({day, minute}, {.input_tokens = 500, .output_tokens = 500}, kNow).reservation;
  store_->reconcile(a, {.input_tokens = 500, .output_tokens = 77}, kNow);
  (void)used(day, kNow);
  reopen();
  EXPECT_EQ(used(day, kNow + 1000), 577);
  EXPECT_EQ(used(minute, kNow + 1000), 1);
  EXPECT_EQ(used(minute, kNow + 62'000), 0);
}

TEST_P(QuotaStores, AReservationThatNobodyEndsIsGivenBack) {
  book_.lifetime_ms = 1000;
  reopen();
  const auto day = limit(QuotaMetric::kOutputTokens, QuotaWindow::kDay, 100);
  const std::string dead = reserve({day}, {.output_tokens = 100}, kNow).reservation;
  EXPECT_EQ(reserve({day}, {.output_tokens = 10}, kNow + 999).verdict, QuotaVerdict::kRefused);
  const QuotaAnswer next = reserve({day}, {.output_tokens = 10}, kNow + 1000);
  EXPECT_EQ(next.verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(used(day, kNow + 1000), 10);
  // It was not dead: what it took is booked all the same.
  store_->reconcile(dead, {.output_tokens = 30}, kNow + 1500);
  EXPECT_EQ(used(day, kNow + 1500), 40);
  // An extension lets it live on.
  extend_now(*store_, next.reservation, {.output_tokens = 1}, kNow + 1900);
  EXPECT_EQ(reserve({day}, {.output_tokens = 1}, kNow + 2500).verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(used(day, kNow + 2500), 42);
}

TEST_P(QuotaStores, AnExpiredOneLetsAnotherGoBeyond) {
  book_.lifetime_ms = 1000;
  reopen();
  const auto day = limit(QuotaMetric::kOutputTokens, QuotaWindow::kDay, 100);
  const std::string dead = reserve({day}, {.output_tokens = 90}, kNow).reservation;
  extend_now(*store_, dead, {.output_tokens = 20}, kNow);
  const std::string b = reserve({day}, {.requests = 1}, kNow + 1000).reservation;
  EXPECT_EQ(extend_now(*store_, b, {.output_tokens = 150}, kNow + 1000).verdict,
            QuotaVerdict::kGranted);
}

TEST_P(QuotaStores, OrStaysTakenWhereSoConfigured) {
  book_.lifetime_ms = 1000;
  book_.expiry = QuotaExpiry::kCharge;
  reopen();
  const auto day = limit(QuotaMetric::kOutputTokens, QuotaWindow::kDay, 100);
  const std::string dead = reserve({day}, {.output_tokens = 95}, kNow).reservation;
  EXPECT_EQ(reserve({day}, {.output_tokens = 10}, kNow + 5000).verdict, QuotaVerdict::kRefused);
  store_->reconcile(dead, {.output_tokens = 30}, kNow + 5000);
  EXPECT_EQ(used(day, kNow + 5000), 30);
}

TEST_P(QuotaStores, LargeAmountsStayExact) {
  const auto money = limit(QuotaMetric::kMoney, QuotaWindow::kMonth, kMaxQuota);
  const std::string a = reserve({money}, {.money_nanos = kMaxQuota - 1}, kNow).reservation;
  EXPECT_EQ(used(money, kNow), kMaxQuota - 1);
  EXPECT_EQ(reserve({money}, {.money_nanos = 2}, kNow).verdict, QuotaVerdict::kRefused);
  EXPECT_EQ(reserve({money}, {.money_nanos = 1}, kNow).verdict, QuotaVerdict::kGranted);
  store_->reconcile(a, {.money_nanos = 1'000'000'000'000'003}, kNow);
  EXPECT_EQ(used(money, kNow), 1'000'000'000'000'004);
}

TEST_P(QuotaStores, NoLimitsAndWrongOnes) {
  const QuotaAnswer free = reserve({}, {}, kNow);
  EXPECT_EQ(free.verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(free.reservation, "");
  store_->refund(free.reservation, kNow);
  const std::vector<QuotaLimit> many(kMaxQuotaLimits + 1,
                                     limit(QuotaMetric::kRequests, QuotaWindow::kDay, 1));
  const QuotaAnswer refused = reserve(many, {}, kNow);
  EXPECT_EQ(refused.verdict, QuotaVerdict::kUnavailable);
  EXPECT_EQ(quota_error(refused, many).code, ErrorCode::kServerOverloaded);
  // Counters may hold any bytes.
  const auto odd =
      limit(QuotaMetric::kRequests, QuotaWindow::kDay, 1, std::string("a\0 {b}\r\n", 8));
  EXPECT_EQ(reserve({odd}, {}, kNow).verdict, QuotaVerdict::kGranted);
  EXPECT_EQ(used(odd, kNow), 1);
}

TEST(QuotaErrors, SayWhichLimitAndWhen) {
  const auto money = limit(QuotaMetric::kMoney, QuotaWindow::kDay, 2'500'000'000);
  QuotaAnswer a;
  a.verdict = QuotaVerdict::kRefused;
  a.refused_used = 2'000'000'000;
  a.refused_wanted = 1'000'000'000;
  a.retry_after_ms = 1500;
  const Error wait = quota_error(a, {money});
  EXPECT_EQ(wait.code, ErrorCode::kRateLimitExceeded);
  EXPECT_EQ(wait.retry_after_s, 1.5);
  EXPECT_THAT(wait.message,
              HasSubstr("money per day: 2 of 2.5 are taken, and this request may take 1"));
  a.retry_after_ms = QuotaAnswer::kNever;
  EXPECT_LT(quota_error(a, {money}).retry_after_s, 0);
  EXPECT_THAT(quota_error(a, {money}).message, HasSubstr("no retry will fit"));
}

QuotaRule rule(std::string name, std::string tenant, std::string key, std::string model,
               int64_t most) {
  return {std::move(name),
          std::move(tenant),
          std::move(key),
          std::move(model),
          QuotaMetric::kRequests,
          QuotaWindow::kDay,
          most};
}

TEST(QuotaRules, WhoIsCountedTogether) {
  const auto rules =
      QuotaRules::make({rule("own", "acme", "", "", 1000), rule("own", "*", "", "", 10),
                        rule("all", "", "", "gpt", 50), rule("key", "*", "*", "", 5)})
          .value();
  const auto acme = rules.limits_of("acme", "k1", "gpt");
  ASSERT_EQ(acme.size(), 3);
  EXPECT_EQ(acme[0].limit, 1000);  // instead of that of every tenant
  EXPECT_EQ(acme[1].limit, 50);
  EXPECT_EQ(acme[2].name, "key, tenant acme, key k1: requests per day");
  const auto other = rules.limits_of("beta", "k1", "claude");
  ASSERT_EQ(other.size(), 2);
  EXPECT_EQ(other[0].limit, 10);
  EXPECT_NE(other[1].counter, acme[2].counter);  // the same key's name at another tenant
  EXPECT_EQ(rules.limits_of("beta", "k2", "gpt")[1].counter, acme[1].counter);
  // Bytes that stand beside each other do not run together.
  EXPECT_NE(rules.limits_of("a", "bc", "x")[1].counter, rules.limits_of("ab", "c", "x")[1].counter);
}

TEST(QuotaRules, SayWhatIsWrong) {
  const auto refused = [](std::vector<QuotaRule> rules) {
    const auto made = QuotaRules::make(std::move(rules));
    return made.ok() ? "" : made.error().message;
  };
  EXPECT_THAT(refused({rule("", "", "", "", 1)}), HasSubstr("quotas[0].name"));
  EXPECT_THAT(refused({rule("a", "", "", "", 1), rule("b", "", "", "", -1)}),
              HasSubstr("quotas[1].limit"));
  std::vector<QuotaRule> many;
  for (int i = 0; i < 65; ++i) many.push_back(rule(fmt::format("r{}", i), "", "", "", 1));
  EXPECT_THAT(refused(many), HasSubstr("65 different ones"));
}

}  // namespace
}  // namespace weir::gateway
