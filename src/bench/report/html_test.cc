#include "bench/report/html.h"

#include <gtest/gtest.h>

#include <cctype>

#include "bench/report/fairness.h"
#include "bench/report/format.h"
#include "bench/report/testing.h"
#include "bench/report/text.h"

namespace weir::bench {
namespace {

Report hostile_report(size_t runs) {
  SyntheticOptions o;
  o.requests = 120;
  o.groups = 3;
  o.refused_share = 0.1;
  o.failed_share = 0.1;
  const Slo slo = *parse_slo("ttft=100ms,itl=30ms");
  std::vector<LoadSummary> all;
  for (size_t i = 0; i < runs; ++i) {
    o.rate_per_s = 10 + 5 * static_cast<double>(i);
    LoadRun run = synthetic_run(i, o);
    run.label += "<script>alert('l')</script>";
    run.settings["<b>key"] = "\"onload=x\x1b[31m";
    for (RequestRecord& r : run.requests) {
      if (r.outcome != Outcome::kOk) r.error = "<img src=x onerror=alert(1)>\r\n\x1b]0;owned\x07";
    }
    all.push_back(summarize(run, slo));
  }
  return make_report(std::move(all), slo,
                     {{"target", "http://h/?a=1&b=<2>"}, {"model", "</title>"}},
                     "2026-11-25T12:00:00Z");
}

// Every tag closes in order; what is not text is a known element.
void expect_balanced(const std::string& html) {
  const std::string alone = " meta line rect circle path ";
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const size_t end = html.find_first_of("<>", at + 1);
    ASSERT_TRUE(end != std::string::npos && html[end] == '>') << html.substr(at, 80);
    const bool closes = html[at + 1] == '/';
    const size_t start = at + (closes ? 2 : 1);
    size_t stop = start;
    while (std::isalnum(static_cast<unsigned char>(html[stop])) != 0) ++stop;
    const std::string name = html.substr(start, stop - start);
    EXPECT_NE(name, "script");
    EXPECT_NE(name, "img");
    if (name.empty() || html[end - 1] == '/') continue;  // <!DOCTYPE>, <br/>
    if (alone.find(" " + name + " ") != std::string::npos) continue;
    if (!closes) {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << name;
    ASSERT_EQ(open.back(), name);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

TEST(ReportHtml, IsOneWholePageThatLoadsNothing) {
  for (const size_t runs : {1u, 5u}) {
    const std::string html = report_html(hostile_report(runs));
    expect_balanced(html);
    EXPECT_TRUE(html.starts_with("<!DOCTYPE html>"));
    EXPECT_EQ(html.find("src="), html.find("src=x onerror"));  // as text, escaped
    EXPECT_EQ(html.find("href"), std::string::npos);
    EXPECT_EQ(html.find("@import"), std::string::npos);
    EXPECT_EQ(html.find("url("), std::string::npos);
    EXPECT_NE(html.find("prefers-color-scheme:dark"), std::string::npos);
    for (const char* numbers : {"\"nan", "\"inf", "\"-nan", ">nan", ">inf"})
      EXPECT_EQ(html.find(numbers), std::string::npos) << numbers;
  }
}

TEST(ReportHtml, WhatCameFromOutsideIsText) {
  const std::string html = report_html(hostile_report(3));
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("<img"), std::string::npos);
  EXPECT_EQ(html.find("<b>key"), std::string::npos);
  EXPECT_EQ(html.find("\"onload"), std::string::npos);
  EXPECT_EQ(html.find('\x1b'), std::string::npos);
  EXPECT_NE(html.find("&lt;img src=x onerror=alert(1)&gt;"), std::string::npos);
  EXPECT_NE(html.find("a=1&amp;b=&lt;2&gt;"), std::string::npos);
}

TEST(ReportHtml, OfNothingIsAPageToo) {
  expect_balanced(report_html({}));
  expect_balanced(report_html(make_report({summarize({}, {})}, {}, {}, "")));
  expect_balanced(report_html(make_report({summarize({}, {}), summarize({}, {})}, {}, {}, "")));
}

TEST(ReportHtml, HoldsWhatAReaderLooksFor) {
  const std::string one = report_html(hostile_report(1));
  for (const char* part : {"SLO missed", "TTFT p95", "Latencies", "Distributions", "Over time",
                           "Waterfall", "Not ended well", "Settings", "Retry-After", "Groups"})
    EXPECT_NE(one.find(part), std::string::npos) << part;
  const std::string sweep = report_html(hostile_report(5));
  for (const char* part : {"Latency against throughput", "Requests within the SLO", "Each run"})
    EXPECT_NE(sweep.find(part), std::string::npos) << part;
}

TEST(ReportText, TheVerdictStandsFirstAndNothingDrivesTheTerminal) {
  const std::string text = report_text(hostile_report(1));
  EXPECT_TRUE(text.starts_with("SLO missed: ")) << text.substr(0, 80);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
  for (const char* part : {"TTFT", "ITL", "E2E", "95 % interval", "rejected 503", "Steady state"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
  EXPECT_NE(report_text(hostile_report(1), {.colour = true}).find("\x1b[1;31mSLO missed"),
            std::string::npos);
  const std::string sweep = report_text(hostile_report(5));
  EXPECT_TRUE(sweep.starts_with("Knee") || sweep.starts_with("No knee"));
  EXPECT_EQ(report_text({}), "no runs\n");
}

TEST(ReportText, LinesFitATerminal) {
  const std::string text = report_text(hostile_report(1));
  size_t width = 0;
  for (const char c : text) {
    if (c == '\n') width = 0;
    if ((c & '\xC0') != '\x80') ++width;
    ASSERT_LE(width, 120u);
  }
}

TEST(Format, AnUnknownEndOfAnIntervalIsAsked) {
  EXPECT_EQ(interval_text({.value = 2, .low = 1, .high = kUnknown, .log_se = 0}), "1.00–?");
}

TEST(Fairness, BarsAndIndex) {
  EXPECT_EQ(jain_index({5, 5, 5}), 1);
  EXPECT_NEAR(jain_index({9, 0, 0}), 1.0 / 3, 1e-12);
  EXPECT_EQ(jain_index({}), 1);
  SyntheticOptions o;
  o.groups = 8;
  const LoadSummary with = summarize(synthetic_run(1, o), {});
  o.ttft_mean_ms = 400;
  o.groups = 7;  // one group is in one run only
  const LoadSummary without = summarize(synthetic_run(2, o), {});
  const std::vector<FairnessRun> runs = {{"with <VTC>", &with}, {"without", &without}};
  const std::string html = fairness_html(runs, {"alice", "b<b>"}, "Fairness & VTC");
  expect_balanced(html);
  for (const char* part :
       {"with &lt;VTC&gt;", "alice", "b&lt;b&gt;", "group 7", "Fairness &amp; VTC"})
    EXPECT_NE(html.find(part), std::string::npos) << part;
  const std::string svg = fairness_svg(runs, {});
  expect_balanced(svg);
  EXPECT_TRUE(svg.starts_with("<svg xmlns=")) << svg.substr(0, 60);
  expect_balanced(fairness_html({}, {}, ""));
  // One run a tenant is one group each.
  const LoadSummary joined = as_groups({&with, &without});
  ASSERT_EQ(joined.groups.size(), 2u);
  EXPECT_EQ(joined.groups[1].group, 1);
  EXPECT_EQ(joined.groups[1].ttft_ms.p95().value, without.ttft_ms.p95().value);
  EXPECT_EQ(joined.groups[0].requests, with.requests);
}

}  // namespace
}  // namespace weir::bench
