#include "ops/trace/traffic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/paths_testing.h"
#include "base/rng.h"
#include "ops/intake/read_trace.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;
using text::Json;

// A request each `gap_s`, with lengths 1, 2, … and twice that.
Dataset steady(size_t requests, double gap_s) {
  Dataset d;
  d.format = "azure";
  for (size_t i = 0; i < requests; ++i) {
    DatasetRow row;
    row.at_s = static_cast<double>(i) * gap_s;
    row.prompt_tokens = static_cast<int32_t>(i + 1);
    row.output_tokens = static_cast<int32_t>(2 * i + 2);
    d.rows.push_back(std::move(row));
  }
  return d;
}

Dataset poisson(size_t requests, double per_s) {
  Dataset d;
  d.format = "mooncake";
  Rng rng(3);
  double at = 0;
  for (size_t i = 0; i < requests; ++i) {
    DatasetRow row;
    row.at_s = at;
    row.prompt_tokens =
        static_cast<int32_t>(quantile({Family::kLognormal, {6, 1}}, 0.001 + 0.998 * rng.unit())) +
        1;
    row.output_tokens =
        static_cast<int32_t>(quantile({Family::kGamma, {2, 60}}, 0.001 + 0.998 * rng.unit())) + 1;
    at += -std::log1p(-rng.unit()) / per_s;
    d.rows.push_back(std::move(row));
  }
  return d;
}

TEST(Traffic, RatesAndQuantilesOfASteadyTrace) {
  const TraceTraffic t = describe_trace(steady(1001, 0.5), "a/steady.csv");
  EXPECT_EQ(t.requests, 1001U);
  EXPECT_EQ(t.span_s, 500);
  EXPECT_EQ(t.requests_per_s, 2);
  EXPECT_EQ(*t.peak_per_s, 2);
  EXPECT_NEAR(*t.arrival_cv, 0, 1e-12);
  EXPECT_EQ(t.prompt_tokens.at(0.5), 501);
  EXPECT_NEAR(t.prompt_tokens.at(0.975), 976, 1e-9);  // between two of the kept ones
  EXPECT_EQ(t.output_tokens.mean, 1002);
  EXPECT_EQ(t.output_tokens.at(1), 2002);
  EXPECT_EQ(t.gap_s.fits.why_none, "the values are all 0.5");
  EXPECT_EQ(t.hourly.per_s.size(), 1U);
  EXPECT_NEAR(t.hourly.per_s[0], 2, 0.01);
  ASSERT_EQ(t.minutely.per_s.size(), 9U);  // the last 20 s are a bin
  for (const double rate : t.minutely.per_s) EXPECT_NEAR(rate, 2, 0.06);
  // 4.5 s behind the eighth minute are in it.
  EXPECT_EQ(describe_trace(steady(970, 0.5), "").minutely.per_s.size(), 8U);
  EXPECT_EQ(trace_extent(t), "1001 requests over 8.33 min");
}

TEST(Traffic, APeakIsTheBusiestMinuteWhereverItBegins) {
  Dataset d = steady(100, 10);
  for (int i = 0; i < 60; ++i) {  // a burst across the boundary of two minutes
    DatasetRow row;
    row.at_s = 95 + 0.5 * i;
    row.prompt_tokens = row.output_tokens = 1;
    d.rows.push_back(row);
  }
  std::sort(d.rows.begin(), d.rows.end(),
            [](const auto& a, const auto& b) { return a.at_s < b.at_s; });
  const TraceTraffic t = describe_trace(d, "burst");
  EXPECT_NEAR(*t.peak_per_s, 66 / 60.0, 0.02);
  EXPECT_GT(*t.arrival_cv, 0.5);
}

TEST(Traffic, SharedPrefixesAreLeadingBlocksSeenBefore) {
  Dataset d;
  d.format = "mooncake";
  const auto add = [&d](int32_t tokens, const std::vector<uint64_t>& blocks) {
    DatasetRow row;
    row.at_s = static_cast<double>(d.rows.size());
    row.prompt_tokens = tokens;
    row.output_tokens = 1;
    row.first_block = static_cast<uint32_t>(d.blocks.size());
    row.block_count = static_cast<uint32_t>(blocks.size());
    d.blocks.insert(d.blocks.end(), blocks.begin(), blocks.end());
    d.rows.push_back(std::move(row));
  };
  add(1000, {1, 2});
  add(1000, {1, 3});  // 512 seen
  add(1000, {1, 3});  // all 1000, the last block being 488
  add(1024, {9, 2});  // 2 was seen, not behind 9
  const TraceTraffic t = describe_trace(d, "m");
  EXPECT_NEAR(*t.shared_prefix_share, 1512.0 / 4024, 1e-12);
  EXPECT_FALSE(describe_trace(steady(10, 1), "s").shared_prefix_share);
}

TEST(Traffic, FindsTheDistributionsOfADrawnTrace) {
  const TraceTraffic t = describe_trace(poisson(4000, 3), "drawn");
  EXPECT_NEAR(*t.arrival_cv, 1, 0.05);
  EXPECT_TRUE(t.prompt_tokens.fits.close());
  EXPECT_TRUE(t.gap_s.fits.close());
  EXPECT_NEAR(t.requests_per_s, 3, 0.2);
}

TEST(Traffic, OneRequestHasNoRates) {
  const TraceTraffic t = describe_trace(steady(1, 1), "one");
  EXPECT_FALSE(t.peak_per_s || t.arrival_cv);
  EXPECT_EQ(t.gap_s.count, 0U);
  const auto intake = intake_of_trace(t);
  ASSERT_TRUE(intake.ok()) << intake.error().message;
  EXPECT_EQ(intake->find("traffic.requests_per_s"), nullptr);
  EXPECT_TRUE(parse_traffic(traffic_json(t)).ok());
  EXPECT_THAT(traffic_html(t), HasSubstr("</html>"));
}

TEST(Traffic, AFileReadsBackAsItWasWritten) {
  const TraceTraffic t = describe_trace(poisson(500, 0.1), "traces/a \"b\".jsonl");
  const std::string json = traffic_json(t);
  const auto back = parse_traffic(json);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(traffic_json(*back), json);
  EXPECT_EQ(back->prompt_tokens.quantiles, t.prompt_tokens.quantiles);
  EXPECT_EQ(back->prompt_tokens.fits.fits.size(), kFamilies);
  EXPECT_EQ(back->minutely.per_s, t.minutely.per_s);
}

TEST(Traffic, EveryBeginningOfAFileIsRefused) {
  const std::string json = traffic_json(describe_trace(steady(30, 1), "s"));
  for (size_t n = 0; n + 1 < json.size(); n += 1 + n / 40)
    EXPECT_FALSE(parse_traffic(json.substr(0, n)).ok()) << n;
}

TEST(Traffic, AWrongMemberIsNamedByItsPath) {
  const Json good = *Json::parse(traffic_json(describe_trace(poisson(100, 1), "s")));
  const auto error = [&good](const std::function<void(Json&)>& change) {
    Json j = good;
    change(j);
    const auto r = parse_traffic(j.dump());
    return r.ok() ? std::string() : r.error().message;
  };
  EXPECT_EQ(error([](Json&) {}), "");
  EXPECT_THAT(error([](Json& j) { j.set("format", "weir-trace/9"); }),
              HasSubstr("weir intake --trace FILE writes it anew"));
  EXPECT_THAT(error([](Json& j) { j.set("requests", -1); }), HasSubstr("requests must be from 0"));
  EXPECT_THAT(error([](Json& j) { j.set("requests", 1.5); }),
              HasSubstr("requests must be a whole number"));
  EXPECT_THAT(error([](Json& j) { j.set("span_s", "long"); }),
              HasSubstr("span_s must be a number"));
  EXPECT_THAT(error([](Json& j) { j.set("gap_s", 3); }), HasSubstr("gap_s must be an object"));
  EXPECT_THAT(error([](Json& j) { j.find("prompt_tokens")->find("quantiles")->items()[3] = 7; }),
              HasSubstr("prompt_tokens.quantiles[3] must be a pair of numbers"));
  EXPECT_THAT(
      error(
          [](Json& j) { j.find("prompt_tokens")->find("quantiles")->items()[3].items()[0] = 0.9; }),
      HasSubstr("prompt_tokens.quantiles[4] must be a share from 0 to 1 and a value, both rising"));
  EXPECT_THAT(
      error([](Json& j) { j.find("gap_s")->find("fits")->items()[0].set("family", "normal"); }),
      HasSubstr("gap_s.fits[0].family must be exponential"));
  EXPECT_THAT(error([](Json& j) {
                j.find("gap_s")->find("fits")->items()[0].find("parameters")->members()[0].second =
                    -5;
              }),
              HasSubstr("gap_s.fits[0].parameters are out of the family's range"));
  EXPECT_THAT(error([](Json& j) { j.find("hourly")->find("requests_per_s")->push_back("x"); }),
              HasSubstr("hourly.requests_per_s must hold rates"));
}

TEST(Traffic, ThePageIsWholeAndEscapes) {
  const std::string page = traffic_html(describe_trace(poisson(600, 1), "x/<img>&.csv"));
  for (const char* part : {"Traffic of &lt;img&gt;&amp;.csv", "Prompt tokens", "lognormal",
                           "KS distance", "Arrivals, by the minute"})
    EXPECT_THAT(page, HasSubstr(part));
  for (const char* part : {"<img", "nan", "inf\"", "href", "<script"})
    EXPECT_EQ(page.find(part), std::string::npos) << part;
}

TEST(Traffic, EvidenceIsNamedByTheFile) {
  EXPECT_EQ(trace_evidence_name("a/b/conv.first3000.jsonl"), "trace-conv.first3000");
  EXPECT_EQ(trace_evidence_name("../.."), "trace-.");
  EXPECT_EQ(trace_evidence_name("a b\n.csv"), "trace-a-b-");
  EXPECT_EQ(trace_evidence_name(".csv"), "trace-.csv");
}

TEST(IntakeOfTrace, FieldsAreMeasuredWithTheExtentAsEvidence) {
  const auto intake = intake_of_trace(describe_trace(steady(1001, 0.5), "a/steady.csv"));
  ASSERT_TRUE(intake.ok()) << intake.error().message;
  EXPECT_EQ(intake->number("traffic.prompt_tokens_p50"), 501);
  EXPECT_EQ(intake->number("traffic.output_tokens_p99"), 1982);
  EXPECT_EQ(intake->number("traffic.requests_per_s"), 2);
  EXPECT_EQ(intake->number("traffic.requests_per_s_peak"), 2);
  EXPECT_EQ(intake->text("traffic.trace"), "a/steady.csv");
  EXPECT_EQ(intake->find("traffic.requests_per_s")->origin, Origin::kMeasured);
  EXPECT_EQ(intake->find("traffic.requests_per_s")->evidence,
            "a/steady.csv, 1001 requests over 8.33 min");
  EXPECT_EQ(intake->find("traffic.concurrency"), nullptr);
}

TEST(IntakeOfTrace, ConcurrencyNeedsAServiceTime) {
  Intake intake = *intake_of_trace(describe_trace(steady(1001, 0.5), "s"));
  ASSERT_TRUE(infer_concurrency(intake).ok());
  EXPECT_EQ(intake.find("traffic.concurrency"), nullptr);
  for (const auto& [name, ms] : {std::pair{"queue", 500.0}, {"prefill", 300.0}, {"decode", 5200.0}})
    ASSERT_TRUE(
        intake.set(fmt::format("observed.{}_ms_mean", name), ms, Origin::kMeasured, "").ok());
  ASSERT_TRUE(infer_concurrency(intake).ok());
  EXPECT_EQ(intake.number("traffic.concurrency"), 12);
  EXPECT_EQ(intake.find("traffic.concurrency")->origin, Origin::kInferred);
  EXPECT_THAT(intake.find("traffic.concurrency")->evidence,
              HasSubstr("Little's law: 2 requests/s x 6 s"));
  // It follows what it was inferred from, and gives way to what a person says.
  ASSERT_TRUE(intake.set("traffic.requests_per_s", 4.0, Origin::kGiven, "").ok());
  ASSERT_TRUE(infer_concurrency(intake).ok());
  EXPECT_EQ(intake.number("traffic.concurrency"), 24);
  ASSERT_TRUE(intake.set_text("traffic.concurrency", "7", Origin::kGiven, "").ok());
  ASSERT_TRUE(infer_concurrency(intake).ok());
  EXPECT_EQ(intake.number("traffic.concurrency"), 7);
}

TEST(Traffic, ThePublishedTraces) {
  const auto bytes = os::read_file(
      weir::paths::shared("data/traces/mooncake_conversation_trace.first3000.jsonl"), 1 << 24);
  if (!bytes.ok()) GTEST_SKIP() << bytes.error().message;
  const TraceTraffic t = describe_trace(*parse_dataset(*bytes), "mooncake");
  EXPECT_EQ(t.requests, 3000U);
  EXPECT_GT(*t.shared_prefix_share, 0.1);
  EXPECT_LT(*t.shared_prefix_share, 0.6);
  EXPECT_TRUE(parse_traffic(traffic_json(t)).ok());
}

}  // namespace
}  // namespace weir::ops
