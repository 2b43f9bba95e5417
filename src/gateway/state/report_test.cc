// Reports of a ledger: groups, money, accepted answers, quantiles, text and page.
#include "gateway/state/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/state/prices.h"
#include "os/temp_dir.h"

namespace weir::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kNow = 19'675 * kDayMs + 5 * 3'600'000;  // 2023-11-14T05:00:00Z

class ReportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = Ledger::open({.path = dir_.file("l.db"), .batch_ms = 1}, metrics_, clock_);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    ledger_ = std::move(*opened);
  }
  void add(const std::string& id, const std::string& tenant, const std::string& model,
           int64_t nanos, LedgerEnd end = LedgerEnd::kOk, bool final = true, int64_t at = kNow) {
    LedgerRow r;
    r.request_id = id;
    r.tenant = tenant;
    r.model = model;
    r.upstream = "u";
    r.started_unix_ms = at;
    r.end = end;
    r.final = final;
    r.input_tokens = 100;
    r.cached_tokens = 25;
    r.output_tokens = 10;
    r.total_ms = 100;
    r.cost_nanos = nanos;
    ledger_->add(r);
  }
  void accept(const std::string& id, const std::string& tenant, bool accepted) {
    ledger_->report({.request_id = id, .accepted = accepted, .score = {}, .note = ""}, tenant, kNow,
                    [](const Status& s) { EXPECT_TRUE(s.ok()); });
  }
  LedgerReport report(std::string_view by, const LedgerFilter& filter = {}) {
    ledger_->flush();
    auto reader = LedgerReader::open(dir_.file("l.db"));
    return make_ledger_report(*reader, filter, parse_cost_dimensions(by).value()).value();
  }

  os::TempDir dir_;
  ManualClock clock_;
  telemetry::Registry registry_;
  LedgerMetrics metrics_{registry_};
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(ReportTest, ShadowsCostMoneyThatNoAcceptedAnswerIsChargedFor) {
  add("1", "acme", "large", 3'000'000);
  LedgerRow shadow;
  shadow.request_id = "1-shadow";
  shadow.tenant = "acme";
  shadow.model = "next";
  shadow.final = false;
  shadow.started_unix_ms = kNow;
  shadow.cost_nanos = 5'000'000;
  shadow.cache = kShadowCache;
  ledger_->add(shadow);
  accept("1", "acme", true);
  const LedgerReport r = report("cache");
  EXPECT_EQ(r.all.cost_nanos, 8'000'000);
  EXPECT_EQ(r.all.shadow_nanos, 5'000'000);
  EXPECT_EQ(r.all.nanos_per_accepted(), 3'000'000);
  EXPECT_EQ(r.all.requests, 1);
  EXPECT_EQ(r.all.cache_hits, 0);
  EXPECT_NE(ledger_report_text(r).find("0.005 USD went into shadow traffic"), std::string::npos);
  ledger_->flush();
  auto reader = LedgerReader::open(dir_.file("l.db"));
  const std::string lines = reader->requests({}, true, 1 << 20).value();
  EXPECT_NE(lines.find("\"cost_usd\":0.003"), std::string::npos) << lines;
}

TEST_F(ReportTest, SumsByDimensions) {
  add("1", "acme", "large", 3'000'000);
  add("2", "acme", "small", 1'000'000, LedgerEnd::kTimeout, false);
  add("2", "acme", "large", 3'000'000);
  add("3", "beta", "small", 1'000'000);
  add("4", "beta", "small", 1'000'000, LedgerEnd::kServerError);
  accept("1", "acme", true);
  accept("2", "acme", false);
  accept("3", "beta", true);
  const LedgerReport r = report("tenant,model");
  ASSERT_EQ(r.groups.size(), 3);
  EXPECT_THAT(r.groups[0].key, ElementsAre("acme", "large"));  // the dearest
  EXPECT_EQ(r.groups[0].cost_nanos, 6'000'000);
  EXPECT_EQ(r.groups[0].requests, 2);
  EXPECT_EQ(r.groups[0].nanos_per_accepted(), 6'000'000);
  EXPECT_THAT(r.groups[1].key, ElementsAre("beta", "small"));
  EXPECT_EQ(r.groups[1].ok_share(), 0.5);
  EXPECT_EQ(r.groups[1].cached_share(), 0.25);
  // One of two was reported, and accepted: both are taken to be.
  EXPECT_EQ(r.groups[1].nanos_per_accepted(), 1'000'000);
  EXPECT_EQ(r.groups[2].requests, 0);  // a failed attempt is paid for and no request
  EXPECT_EQ(r.groups[2].nanos_per_accepted(), std::nullopt);
  EXPECT_EQ(r.all.cost_nanos, 9'000'000);
  EXPECT_EQ(r.all.requests, 4);
  EXPECT_EQ(r.all.attempts, 5);
  EXPECT_EQ(r.all.total_ms.count(), 3);
  EXPECT_NEAR(*r.all.total_ms.at(0.5), 100, 1);
  EXPECT_EQ(report("tenant", {.tenant = "beta"}).all.attempts, 2);
}

TEST_F(ReportTest, TimeIsInOrder) {
  add("1", "a", "m", 1, LedgerEnd::kOk, true, kNow + kDayMs);
  add("2", "a", "m", 9, LedgerEnd::kOk, true, kNow);
  add("3", "a", "m", 2, LedgerEnd::kOk, true, kNow + 3'600'000);
  const LedgerReport days = report("day");
  ASSERT_EQ(days.groups.size(), 2);
  EXPECT_THAT(days.groups[0].key, ElementsAre("2023-11-14"));
  EXPECT_EQ(days.groups[0].cost_nanos, 11);
  EXPECT_THAT(report("hour").groups[1].key, ElementsAre("2023-11-14 06:00"));
  EXPECT_EQ(report("day", {.from_ms = kNow + kDayMs}).groups.size(), 1);
  EXPECT_THAT(ledger_report_html(report("tenant")), HasSubstr("Cost by day"));
}

TEST_F(ReportTest, TextJsonAndPageSayTheSame) {
  add("1", "<b>acme</b>\x1b[31m", "large", 2'500'000'000);
  LedgerRow unknown;
  unknown.request_id = "2";
  unknown.upstream = "u";
  unknown.started_unix_ms = kNow;
  ledger_->add(unknown);
  LedgerRow broken = unknown;
  broken.request_id = "3";
  broken.estimated = true;
  broken.cost_nanos = 0;
  ledger_->add(broken);
  const LedgerReport r = report("tenant");
  const std::string text = ledger_report_text(r);
  EXPECT_THAT(text, HasSubstr("2.5"));
  EXPECT_THAT(text, HasSubstr("of 1 attempt the cost is not known"));
  EXPECT_THAT(text, HasSubstr("of 1 attempt the upstream did not say what it took"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  const text::Json json = ledger_report_json(r);
  EXPECT_EQ(json.find("all")->find("cost_nanos")->as_int(), 2'500'000'000);
  EXPECT_EQ(json.find("groups")->items()[0].find("cost")->as_double(), 2.5);
  EXPECT_TRUE(json.find("all")->find("cost_per_accepted")->is_null());
  const std::string page = ledger_report_html(r);
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;acme"));
  EXPECT_THAT(page, Not(HasSubstr("<b>acme")));
}

TEST_F(ReportTest, ThePageNamesAndRounds) {
  for (int day = 0; day < 2; ++day) {
    add(fmt::format("a{}", day), "", "m", 1'234'567, LedgerEnd::kOk, true, kNow + day * kDayMs);
    for (int t = 0; t < 7; ++t)
      add(fmt::format("{}-{}", day, t), fmt::format("t{}", t), "m", 6'840'577'886, LedgerEnd::kOk,
          true, kNow + day * kDayMs);
  }
  const std::string page = ledger_report_html(report("tenant,model"));
  EXPECT_THAT(page, HasSubstr("Cost by day, the 6 dearest of 8"));
  EXPECT_THAT(page, HasSubstr("days since 2023-11-14"));
  EXPECT_THAT(page, HasSubstr("By tenant, model"));
  EXPECT_THAT(page, HasSubstr("<td>–<small>m</small></td>"));
  EXPECT_THAT(page, HasSubstr("<td>0.0025"));  // of 2,469,134 billionths
  EXPECT_THAT(page, HasSubstr("<td>13.7<small>14.3 % of all"));
}

TEST_F(ReportTest, ManyGroupsAreMerged) {
  for (int i = 0; i < 10'050; ++i) add(fmt::format("{}", i), fmt::format("t{}", i), "m", 1);
  const LedgerReport r = report("tenant");
  EXPECT_EQ(r.groups.size(), LedgerReport::kMaxGroups + 1);
  EXPECT_EQ(r.merged, 50);
  EXPECT_EQ(r.all.cost_nanos, 10'050);
  EXPECT_EQ(r.groups[0].key[0], "(others)");
}

TEST(CostDimensions, AreNamed) {
  EXPECT_THAT(parse_cost_dimensions("tenant,model").value(),
              ElementsAre(CostDimension::kTenant, CostDimension::kModel));
  EXPECT_THAT(parse_cost_dimensions("color").error().message, HasSubstr("there are tenant, key"));
  EXPECT_FALSE(parse_cost_dimensions("day,day").ok());
  EXPECT_FALSE(parse_cost_dimensions("").ok());
  EXPECT_FALSE(parse_cost_dimensions("day,").ok());
}

TEST(LatencySketch, IsWithinOnePercent) {
  LatencySketch s, t;
  for (int i = 1; i <= 10'000; ++i) (i % 2 == 0 ? s : t).add(i);
  s.merge(t);
  for (const double q : {0.01, 0.5, 0.95, 0.99, 1.0})
    EXPECT_NEAR(*s.at(q), 1 + q * 9999, (1 + q * 9999) * 0.011) << q;
  EXPECT_EQ(LatencySketch().at(0.5), std::nullopt);
  LatencySketch odd;
  for (const double v : {-1.0, 0.0, 1e300, std::nan("")}) odd.add(v);
  EXPECT_EQ(odd.count(), 3);
}

}  // namespace
}  // namespace weir::gateway
