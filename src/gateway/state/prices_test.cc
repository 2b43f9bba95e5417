// Money as whole numbers, prices and their age, windows of the calendar.
#include "gateway/state/prices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "gateway/state/calendar.h"

namespace weir::gateway {
namespace {

using ::testing::HasSubstr;

ModelPrice price(std::string model, int64_t input, int64_t output) {
  ModelPrice p;
  p.model = std::move(model);
  p.input = input;
  p.output = output;
  p.date = "2026-11-01";
  return p;
}

TEST(Money, ReadsAndWritesDecimals) {
  EXPECT_EQ(parse_money("2.5").value(), 2'500'000'000);
  EXPECT_EQ(parse_money("0.000000001").value(), 1);
  EXPECT_EQ(parse_money("1000000").value(), kMaxPriceNanos);
  for (const char* bad : {"", ".", "-1", "+1", "1e3", "1.", ".5", "1,5", "0.0000000001", "1000001",
                          "1000000.000000001", " 1", "99999999", "nan"})
    EXPECT_FALSE(parse_money(bad).ok()) << bad;
  EXPECT_EQ(money_text(2'500'000'000), "2.5");
  EXPECT_EQ(money_text(1), "0.000000001");
  EXPECT_EQ(money_text(0), "0");
  EXPECT_EQ(money_text(-3'000'000'000), "-3");
  EXPECT_EQ(money_text(INT64_MIN), "-9223372036.854775808");
  Rng rng(1);
  for (int i = 0; i < 1000; ++i) {
    const auto nanos = static_cast<int64_t>(rng.below(kMaxPriceNanos + 1));
    EXPECT_EQ(parse_money(money_text(nanos)).value(), nanos);
  }
}

TEST(TokenCost, EachPartHasItsPriceAndTheSumIsRoundedUpOnce) {
  ModelPrice p = price("m", 3'000'000'000, 15'000'000'000);
  p.cached_input = 300'000'000;
  p.cache_write = 3'750'000'000;
  // 500 plain, 400 cached, 100 written, 10 out: 1,500,000 + 120,000 + 375,000 + 150,000 nanos.
  EXPECT_EQ(token_cost(p, {.input = 1000, .cached_input = 400, .cache_write = 100, .output = 10}),
            2'145'000);
  p.cached_input = p.cache_write = std::nullopt;
  EXPECT_EQ(token_cost(p, {.input = 1000, .cached_input = 400, .output = 0}), 3'000'000);
  EXPECT_EQ(token_cost(price("m", 1, 1), {.input = 1, .output = 1}), 1);  // 0.000002 nanos
  EXPECT_EQ(token_cost(price("m", 1, 1), {}), 0);
}

TEST(TokenCost, WhatNoUpstreamShouldSayIsCut) {
  ModelPrice p = price("m", kMaxPriceNanos, kMaxPriceNanos);
  p.cached_input = 0;
  EXPECT_EQ(token_cost(p, {.input = -5, .cached_input = 10, .output = -1}), 0);
  EXPECT_EQ(token_cost(p, {.input = 10, .cached_input = 20}), 0);
  const int64_t most = token_cost(p, {.input = INT64_MAX, .output = INT64_MAX});
  EXPECT_EQ(most, 2 * (kMaxTokenCount / kTokensPerPrice) * kMaxPriceNanos);
}

TEST(PriceTable, FindsAnUpstreamsOwnFirst) {
  ModelPrice own = price("gpt", 2, 2);
  own.upstream = "azure";
  const auto table = PriceTable::make({price("gpt", 1, 1), own}).value();
  EXPECT_EQ(table.find("azure", "gpt")->input, 2);
  EXPECT_EQ(table.find("openai", "gpt")->input, 1);
  EXPECT_EQ(table.find("azure", "claude"), nullptr);
  EXPECT_EQ(table.currency(), "USD");
}

TEST(PriceTable, SaysWhatIsWrong) {
  const auto refused = [](std::vector<ModelPrice> prices) {
    const auto made = PriceTable::make(std::move(prices));
    return made.ok() ? "" : made.error().message;
  };
  ModelPrice p = price("m", 1, 1);
  EXPECT_THAT(refused({p, p}), HasSubstr("prices[1].model: m of upstream \"\" stands twice"));
  ModelPrice euro = price("n", 1, 1);
  euro.currency = "EUR";
  EXPECT_THAT(refused({p, euro}), HasSubstr("prices[1].currency: EUR beside USD"));
  p.date = "2026-02-30";
  EXPECT_THAT(refused({p}), HasSubstr("prices[0].date"));
  p = price("m", 1, -1);
  EXPECT_THAT(refused({p}), HasSubstr("prices[0].output: must be from 0"));
  p = price("m", 1, 1);
  p.review_by = "2026-10-31";
  EXPECT_THAT(refused({p}), HasSubstr("prices[0].review_by"));
  EXPECT_THAT(refused({price("", 1, 1)}), HasSubstr("prices[0].model: is empty"));
}

TEST(PriceAge, GoesStaleTheDayAfterItsReview) {
  ModelPrice p = price("m", 1, 1);
  const int32_t day = *day_number_of("2026-11-01");
  EXPECT_FALSE(price_age(p, day + kPriceReviewDays).stale);
  EXPECT_TRUE(price_age(p, day + kPriceReviewDays + 1).stale);
  EXPECT_EQ(price_age(p, day + 3).days, 3);
  EXPECT_EQ(price_age(p, day).review_by, "2026-12-01");
  p.review_by = "2026-11-02";
  EXPECT_FALSE(price_age(p, day + 1).stale);
  EXPECT_TRUE(price_age(p, day + 2).stale);
}

TEST(Windows, BeginAndEndWithTheCalendar) {
  const int64_t day_ms = 86'400'000;
  const auto at = [&](const char* day, int64_t ms) { return *day_number_of(day) * day_ms + ms; };
  // The last millisecond of a leap February, and the first of March.
  const int64_t before = at("2028-02-29", day_ms - 1), after = at("2028-03-01", 0);
  EXPECT_EQ(after, before + 1);
  for (const QuotaWindow w : {QuotaWindow::kDay, QuotaWindow::kMonth}) {
    EXPECT_EQ(window_at(w, after).bucket, window_at(w, before).bucket + 1);
    EXPECT_EQ(window_at(w, after).first, window_at(w, after).bucket);
    EXPECT_EQ(bucket_leaves_ms(w, window_at(w, before).bucket, 0), after);
  }
  EXPECT_EQ(bucket_leaves_ms(QuotaWindow::kMonth, window_at(QuotaWindow::kMonth, after).bucket, 0),
            at("2028-04-01", 0));
  EXPECT_EQ(window_at(QuotaWindow::kMonth, 0).bucket, 0);
  // A minute: what was taken at any moment of a second is held for at least 60 s.
  const auto now = window_at(QuotaWindow::kMinute, 100'999);
  EXPECT_EQ(now.bucket, 100);
  EXPECT_EQ(now.first, 40);
  EXPECT_EQ(bucket_leaves_ms(QuotaWindow::kMinute, 100, 100'250), 160'250);
  EXPECT_EQ(second_ends_ms(100), 101'000);
  EXPECT_EQ(window_at(QuotaWindow::kMinute, 160'999).first, 100);
  EXPECT_EQ(window_at(QuotaWindow::kMinute, 161'000).first, 101);
}

TEST(Days, AreThoseThatThereAre) {
  EXPECT_EQ(day_number_of("1970-01-01"), 0);
  EXPECT_EQ(day_text_of(*day_number_of("2026-11-30")), "2026-11-30");
  for (const char* bad : {"2026-02-29", "2026-13-01", "2026-1-01", "2026-11-3", "20261130", "",
                          "2026-11-30T", "1969-12-31", "2026--1-01", "2026-11--1"})
    EXPECT_FALSE(day_number_of(bad)) << bad;
}

}  // namespace
}  // namespace weir::gateway
