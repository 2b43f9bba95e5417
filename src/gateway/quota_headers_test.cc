#include "gateway/quota_headers.h"

#include <gtest/gtest.h>

namespace weir::gateway {
namespace {

constexpr int64_t kNoonMs = 1'796'040'000'000 + 500;  // half a second after 2026-11-30 12:00 UTC

QuotaLimit limit(QuotaMetric metric, QuotaWindow window, int64_t most) {
  return {.counter = "c", .name = "n", .metric = metric, .window = window, .limit = most};
}

std::string all(const http::Headers& headers) {
  std::string out;
  for (const auto& [name, value] : headers.all()) out += name.substr(12) + "=" + value + " ";
  return out;
}

TEST(QuotaHeaders, TheTightestOfEachKindIsTold) {
  const std::vector<QuotaLimit> limits = {
      limit(QuotaMetric::kRequests, QuotaWindow::kMinute, 600),
      limit(QuotaMetric::kRequests, QuotaWindow::kDay, 1000),
      limit(QuotaMetric::kTotalTokens, QuotaWindow::kMonth, 5000),
      limit(QuotaMetric::kOutputTokens, QuotaWindow::kMinute, 7),
      limit(QuotaMetric::kMoney, QuotaWindow::kMinute, 7)};
  QuotaAnswer answer;
  answer.used = {1, 990, 6000, 7, 7};
  EXPECT_EQ(all(quota_headers(limits, answer, kNoonMs)),
            "limit-requests=1000 remaining-requests=10 reset-requests=12h0m0s "
            "limit-tokens=5000 remaining-tokens=0 reset-tokens=12h0m0s ");
  answer.used = {600, 1000, 0, 0, 0};  // none left of both: the one that is over sooner
  EXPECT_EQ(all(quota_headers(limits, answer, kNoonMs)).substr(0, 68),
            "limit-requests=600 remaining-requests=0 reset-requests=1m0s limit-to");
}

TEST(QuotaHeaders, ARefusalTellsOfItsLimitAlone) {
  const std::vector<QuotaLimit> limits = {limit(QuotaMetric::kRequests, QuotaWindow::kMinute, 6),
                                          limit(QuotaMetric::kTotalTokens, QuotaWindow::kDay, 50)};
  QuotaAnswer answer;
  answer.verdict = QuotaVerdict::kRefused;
  answer.refused = 1;
  answer.refused_used = 45;
  EXPECT_EQ(all(quota_headers(limits, answer, kNoonMs)),
            "limit-tokens=50 remaining-tokens=5 reset-tokens=12h0m0s ");
}

TEST(QuotaHeaders, NothingIsToldWhereNothingIsCounted) {
  const std::vector<QuotaLimit> limits = {limit(QuotaMetric::kRequests, QuotaWindow::kMinute, 6)};
  EXPECT_EQ(all(quota_headers(limits, {}, kNoonMs)), "");  // uncounted: the store was down
  QuotaAnswer answer;
  answer.verdict = QuotaVerdict::kUnavailable;
  EXPECT_EQ(all(quota_headers(limits, answer, kNoonMs)), "");
  answer.verdict = QuotaVerdict::kRefused;
  answer.refused = 9;
  EXPECT_EQ(all(quota_headers(limits, answer, kNoonMs)), "");
}

}  // namespace
}  // namespace weir::gateway
