// Prices, outcomes, cases and their reports.
#include "ops/cost/cost_case.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ops/cost/cost_report.h"
#include "ops/plan/plan.h"
#include "ops/sources/days.h"
#include "ops/sources/sources.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

const int kToday = *day_number("2026-11-30");

constexpr std::string_view kPrices =
    "version: 1\nchecked: 2026-11-30\napis:\n"
    "  - {id: big, provider: P, input: 4, cached_input: 0.4, cache_write: 5, output: [10, 30], "
    "cache_ttl_s: 300, cache_minimum_tokens: 1000, batch_discount: 0.5, batch_hours: 24, "
    "batch_stacks: "
    "false, source: s-1, date: 2026-11-20, verified: true}\n"
    "  - {id: tiny, provider: P, input: 0.4, output: 2, source: s-1, date: 2026-10-30}\n"
    "rentals:\n"
    "  - {accelerator: nvidia-h100-sxm, usd_per_hour: [2, 4], source: s-2, date: 2026-10-31, "
    "verified: "
    "true}\n";

Prices prices() { return *parse_prices(kPrices, "p.yaml"); }

const Accelerators& accelerators() {
  static const Accelerators all = *load_accelerators();
  return all;
}

CostGiven given(std::vector<std::pair<std::string, std::string>> figures) {
  CostGiven g;
  for (const auto& [name, text] : figures)
    g.figures.emplace(name, *parse_cost_figure(*find_cost_input(name), text));
  return g;
}

Result<CostCase> made(const CostGiven& g) {
  return make_cost_case(g, prices(), accelerators(), kToday);
}

TEST(Prices, TheBuiltInOnesHold) {
  const auto all = built_in_prices();
  ASSERT_TRUE(all.ok()) << all.error().message;
  const auto sources = built_in_sources();
  EXPECT_GE(all->apis.size(), 10U);
  for (const ApiPrice& p : all->apis) {
    EXPECT_NE(sources->find(p.origin.source), nullptr) << p.id;
    EXPECT_LE(p.cached_input.high, p.input.high) << p.id;
    EXPECT_LE(day_number(p.origin.date), kToday) << p.id;
  }
  for (const RentalPrice& p : all->rentals) {
    EXPECT_NE(sources->find(p.origin.source), nullptr) << p.accelerator;
    EXPECT_NE(accelerators().find(p.accelerator), nullptr) << p.accelerator;
  }
}

TEST(Prices, WrongOnesAreNamed) {
  const auto error = [](std::string_view from, std::string_view to) {
    std::string text(kPrices);
    text.replace(text.find(from), from.size(), to);
    const auto r = parse_prices(text, "p.yaml");
    return r.ok() ? "" : r.error().message;
  };
  EXPECT_THAT(error("cached_input", "cache_input"),
              HasSubstr("p.yaml:4: unknown key \"cache_input\"; the nearest is \"cached_input\""));
  EXPECT_THAT(error("input: 4", "input: -4"),
              HasSubstr("input must be a number from 0 to 1000000"));
  EXPECT_THAT(error("input: 4", "input: nan"), HasSubstr("input must be a number"));
  EXPECT_THAT(error("[10, 30]", "[30, 10]"), HasSubstr("output: 10 is below 30"));
  EXPECT_THAT(error("[10, 30]", "[30]"), HasSubstr("a number or [low, high]"));
  EXPECT_THAT(error("2026-11-20", "2026-11-31"), HasSubstr("date must be a day"));
  EXPECT_THAT(error("id: tiny", "id: big"), HasSubstr("p.yaml:5: big stands twice"));
  EXPECT_THAT(error(", source: s-2", ""), HasSubstr("source is missing"));
  EXPECT_THAT(error("batch_discount: 0.5", "batch_discount: 50"), HasSubstr("from 0 to 1"));
  // What is cut is no file, but for the last break and between entries.
  size_t taken = 0;
  for (size_t i = 0; i < kPrices.size(); ++i)
    taken += parse_prices(kPrices.substr(0, i), "p").ok() ? 1 : 0;
  EXPECT_LE(taken, 40U);
}

TEST(Figures, ValuesAndRanges) {
  const CostInput& hit = *find_cost_input("cache-hit-rate");
  EXPECT_EQ(parse_cost_figure(hit, "0.5")->value, 0.5);
  EXPECT_FALSE(parse_cost_figure(hit, "0.5")->range);
  EXPECT_DOUBLE_EQ(parse_cost_figure(hit, "0.2..0.6")->value, 0.4);
  const auto three = parse_cost_figure(hit, "0.2..0.3..0.6");
  EXPECT_EQ(three->value, 0.3);
  EXPECT_EQ(three->range, std::pair(0.2, 0.6));
  for (const auto& [text, why] :
       {std::pair("", "is no number"), std::pair("x", "is no number"),
        std::pair("nan", "is no number"), std::pair("inf", "is no number"),
        std::pair("-0.1", "is negative"), std::pair("1.1", "is too large"),
        std::pair("0.6..0.2", "is not in order"), std::pair("0..0..0..0", "too many parts"),
        std::pair("0.1..", "is no number"), std::pair("0.1x", "is no number")})
    EXPECT_THAT(parse_cost_figure(hit, text).error().message, HasSubstr(why)) << text;
}

TEST(Outcomes, AreCounted) {
  const auto o = parse_outcomes(
      "{\"cost_usd\":0.01,\"accepted\":true,\"tenant\":\"a\"}\n\n{\"cost_usd\":0.03,\"accepted\":"
      "false}\n"
      "{\"cost_usd\":0,\"accepted\":true}\n{\"cost_usd\":0.02,\"accepted\":true}",
      "o.jsonl");
  ASSERT_TRUE(o.ok()) << o.error().message;
  EXPECT_EQ(o->requests, 4U);
  EXPECT_DOUBLE_EQ(o->accept_rate(), 0.75);
  EXPECT_DOUBLE_EQ(o->usd_per_request(), 0.015);
  EXPECT_DOUBLE_EQ(o->usd_per_accepted(), 0.02);
  // Wilson, 3 of 4: centre (0.75 + z2/8) / (1 + z2/4).
  EXPECT_NEAR(o->accept_low(), 0.3006, 1e-4);
  EXPECT_NEAR(o->accept_high(), 0.9544, 1e-4);
  EXPECT_THAT(
      parse_outcomes("{\"cost_usd\":1,\"accepted\":true}\n{\"cost_usd\":-1,\"accepted\":true}", "o")
          .error()
          .message,
      HasSubstr("o:2: cost_usd must be a number from 0"));
  EXPECT_THAT(parse_outcomes("{\"cost_usd\":1,\"accepted\":1}", "o").error().message,
              HasSubstr("accepted must be true or false"));
  EXPECT_THAT(parse_outcomes("\n", "o").error().message, HasSubstr("holds no outcome"));
  constexpr std::string_view kLine = "{\"cost_usd\":0.25,\"accepted\":true}";
  for (size_t i = 0; i < kLine.size(); ++i)
    EXPECT_FALSE(parse_outcomes(kLine.substr(0, i), "o").ok());
}

// A plan as weir plan writes it: `few` replicas at the optimistic end, `many` at the other.
PlanFile planned(const char* accelerator, int few, int many) {
  PlanRequest request;
  Accelerator device;
  device.id = accelerator;
  request.device = &device;
  request.devices = 4;
  Plan plan;
  plan.low.replicas = many;
  plan.low.most.emplace().rate_per_s = 0.5;
  plan.high.replicas = few;
  plan.high.most.emplace().rate_per_s = 1.5;
  return plan_file(request, plan, "2026-11-30");
}

TEST(CostCase, TakesIntakePlanAndPrices) {
  CostGiven g = given({{"system-tokens", "1500"}});
  g.api = "big";
  g.intake.emplace();
  for (const auto& [path, value] :
       {std::pair("traffic.prompt_tokens_mean", "2000"),
        std::pair("traffic.output_tokens_p50", "100"),
        std::pair("traffic.output_tokens_p95", "400"), std::pair("traffic.requests_per_s", "2"),
        std::pair("observed.prefix_hit_rate", "0.6")})
    ASSERT_TRUE(g.intake->set_text(path, value, Origin::kGiven, "").ok()) << path;
  g.plan = planned("nvidia-h100-sxm", 3, 6);
  g.plan_name = "plan.json";
  const auto c = made(g);
  ASSERT_TRUE(c.ok()) << c.error().message;
  const CostInputs& in = c->in;
  EXPECT_EQ(in.question_tokens, 500);
  EXPECT_NEAR(in.output_tokens, lognormal_mean(100, 400), 1e-9);
  EXPECT_EQ(in.requests_per_day, 172'800);
  EXPECT_DOUBLE_EQ(in.cache_hit_rate, 0.8);  // 0.6 of 2000 tokens, of the 1500 that repeat
  EXPECT_EQ(in.output_usd, 20);
  EXPECT_EQ(in.replicas, 6);
  EXPECT_EQ(in.devices, 4);
  EXPECT_EQ(in.replica_requests_per_s, 0.5);
  EXPECT_EQ(in.device_usd_per_hour, 3);
  EXPECT_TRUE(c->hosted && c->self_hosted && !c->tiers);
  EXPECT_FALSE(c->hosted_stale);  // 10 days
  EXPECT_FALSE(c->rent_stale);    // 30
  EXPECT_TRUE(make_cost_case(g, prices(), accelerators(), kToday + 1)->rent_stale);
  const auto range = [&](std::string_view name) {
    const auto it = std::find_if(c->ranges.begin(), c->ranges.end(),
                                 [&](const InputRange& r) { return r.name == name; });
    return it == c->ranges.end() ? std::pair(0.0, 0.0) : std::pair(it->low, it->high);
  };
  EXPECT_EQ(range("replicas"), std::pair(3.0, 6.0));
  EXPECT_EQ(range("device-usd-per-hour"), std::pair(2.0, 4.0));
  EXPECT_EQ(range("replica-requests-per-s"), std::pair(0.5, 1.5));
}

TEST(CostCase, AMachineOfOnesOwnHasNoRent) {
  CostGiven g = given({{"question-tokens", "10"}, {"output-tokens", "10"}});
  g.plan = planned("this-machine", 1, 2);
  const auto c = made(g);
  ASSERT_FALSE(c.ok());
  EXPECT_THAT(c.error().message,
              HasSubstr("this-machine has no rental price: give --device-usd-per-hour"));
}

TEST(CostCase, ASmallModelOfFlagsAloneIsCachedAtItsInputsPrice) {
  const auto c = made(given({{"system-tokens", "2000"},
                             {"question-tokens", "500"},
                             {"output-tokens", "100"},
                             {"cache-hit-rate", "0.8"},
                             {"input-usd", "4"},
                             {"small-input-usd", "0.5"},
                             {"escalation-share", "0.1"}}));
  ASSERT_TRUE(c.ok()) << c.error().message;
  EXPECT_EQ(c->in.small_cached_usd, 0.5);
  EXPECT_EQ(c->in.small_write_usd, 0.5);
  EXPECT_DOUBLE_EQ(request_usd(c->in, small_prices(c->in), 0.8), 2500 * 0.5 / 1e6);
}

TEST(CostCase, BatchAtAProviderWhoseDiscountsDoNotAddUp) {
  CostGiven g = given({{"system-tokens", "2000"},
                       {"question-tokens", "500"},
                       {"output-tokens", "100"},
                       {"cache-hit-rate", "0.8"},
                       {"batch-share", "1"}});
  g.api = "big";
  const auto c = made(g);
  ASSERT_TRUE(c.ok()) << c.error().message;
  EXPECT_FALSE(c->in.batch_stacks);
  EXPECT_DOUBLE_EQ(hosted_usd(c->in), 0.5 * (2500 * 4 + 100 * 20) / 1e6);
}

TEST(CostReport, SaysWhetherARequestKeepsItsLimit) {
  CostGiven g = given({{"question-tokens", "1000"}, {"output-tokens", "0"}});
  g.api = "big";  // 0.004 USD
  g.intake.emplace();
  const auto text_at = [&](const char* limit) {
    EXPECT_TRUE(g.intake->set_text("slo.cost_usd_per_request", limit, Origin::kGiven, "").ok());
    return cost_text(make_cost_report(*made(g), prices(), kToday));
  };
  EXPECT_THAT(text_at("0.01"), HasSubstr("slo.cost_usd_per_request: met, a request costs 0.004"));
  EXPECT_THAT(text_at("0.001"), HasSubstr("slo.cost_usd_per_request: missed"));
  g.api.clear();
  EXPECT_THAT(text_at("0.001"), HasSubstr("missed: a request costs 0.004 of at most 0.001 USD"));
}

TEST(CostCase, WhatIsMissingIsAsked) {
  const auto error = [](CostGiven g) {
    const auto c = made(g);
    return c.ok() ? "" : c.error().message;
  };
  EXPECT_THAT(error({}), HasSubstr("how long is a prompt? --question-tokens N"));
  EXPECT_THAT(error(given({{"question-tokens", "10"}})), HasSubstr("how long is an answer?"));
  CostGiven g = given({{"question-tokens", "10"}, {"output-tokens", "10"}});
  g.api = "bigg";
  EXPECT_THAT(error(g), HasSubstr("--api bigg: no price is known; the nearest is big"));
  g.api = "big";
  g.small = "tiny";
  EXPECT_THAT(error(g), HasSubstr("--escalation-share"));
  g = given(
      {{"question-tokens", "10"}, {"output-tokens", "10"}, {"replicas", "1"}, {"devices", "1"}});
  g.accelerator = "nvidia-h100-sxn";
  EXPECT_THAT(error(g), HasSubstr("the nearest is nvidia-h100-sxm"));
  g.accelerator = "nvidia-h100-sxm";
  EXPECT_THAT(error(g), HasSubstr("--requests-per-day"));
  g.spot = true;
  EXPECT_THAT(error(g), HasSubstr("no price of nvidia-h100-sxm is known spot: give"));
  EXPECT_THAT(
      error(given({{"question-tokens", "1"}, {"output-tokens", "1"}, {"accept-rate", "0"}})),
      HasSubstr("--accept-rate"));
  g = given({{"system-tokens", "3000"}, {"output-tokens", "10"}});
  g.intake.emplace();
  ASSERT_TRUE(g.intake->set_text("traffic.prompt_tokens_mean", "2000", Origin::kGiven, "").ok());
  EXPECT_THAT(error(g), HasSubstr("3000 tokens together, the prompt 2000"));
}

TEST(CostCase, ShortPrefixesAreNotCached) {
  CostGiven g = given({{"system-tokens", "900"},
                       {"question-tokens", "10"},
                       {"output-tokens", "10"},
                       {"cache-hit-rate", "0.5..0.9"}});
  g.api = "big";
  const auto c = made(g);
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->in.cache_hit_rate, 0);
  EXPECT_THAT(c->notes.back(),
              HasSubstr("900 tokens are not cached by big, which keeps 1000 or more"));
}

TEST(CostCase, TheSmallModelsMinimumHoldsToo) {
  CostGiven g = given({{"system-tokens", "900"},
                       {"question-tokens", "10"},
                       {"output-tokens", "10"},
                       {"cache-hit-rate", "0.5"},
                       {"escalation-share", "0.1"},
                       {"input-usd", "8"},
                       {"cached-usd", "0.8"},
                       {"output-usd", "8"}});
  g.small = "big";
  const auto c = made(g);
  ASSERT_TRUE(c.ok()) << c.error().message;
  EXPECT_EQ(c->in.cache_hit_rate, 0.5);
  EXPECT_EQ(c->in.small_cached_usd, 4);
  EXPECT_EQ(c->in.small_write_usd, 4);
  EXPECT_EQ(c->in.write_usd, 8);  // not told: as input
}

CostGiven whole_case() {
  CostGiven g = given({{"system-tokens", "3000"},
                       {"question-tokens", "1000"},
                       {"output-tokens", "500"},
                       {"requests-per-day", "1000"},
                       {"cache-hit-rate", "0.8"},
                       {"escalation-share", "0.3"},
                       {"replicas", "2"},
                       {"devices", "1"},
                       {"replica-requests-per-s", "1"}});
  g.api = "big";
  g.small = "tiny";
  g.accelerator = "nvidia-h100-sxm";
  g.outcomes = *parse_outcomes(
      "{\"cost_usd\":1,\"accepted\":true}\n{\"cost_usd\":1,\"accepted\":false}", "o");
  g.outcomes_name = "o.jsonl";
  return g;
}

TEST(CostReport, HasEverySectionAndMarksWhatIsStale) {
  const CostReport r = make_cost_report(*made(whole_case()), prices(), kToday);
  std::string ids;
  for (const CostSection& s : r.sections) ids += s.id + (s.stale ? "! " : " ");
  // The small model's price is 31 days old, the rent 30.
  EXPECT_EQ(ids,
            "budget! hosted! caching! tiers! batch! self_hosted self_host_or_hosted! outcomes ");
  EXPECT_EQ(r.tornadoes.size(), 2U);
  const text::Json j = cost_json(r);
  const auto value = [&](const char* section, const char* row) {
    return j.find("sections")->find(section)->find("rows")->find(row)->find("value")->as_double();
  };
  EXPECT_NEAR(value("hosted", "request_usd"), 0.01796, 1e-12);
  EXPECT_NEAR(value("caching", "break_even_hit_rate"), 1 / 4.6, 1e-12);
  EXPECT_NEAR(value("outcomes", "accepted_usd"), 2, 1e-12);
  EXPECT_NEAR(value("self_hosted", "fleet_usd"), 2 * 3 * 730.5, 1e-9);
  // The parts of the budget are the request, a month long.
  double parts = 0;
  for (const CostRow& row : r.sections[0].rows) parts += *row.value;
  EXPECT_NEAR(parts, 0.01796 * 1000 * kDaysPerMonth, 1e-9);
  const std::string text = cost_text(r), page = cost_html(r);
  EXPECT_THAT(text, HasSubstr("[stale prices]"));
  EXPECT_THAT(text,
              HasSubstr("tiny (P): s-1, 2026-10-30, 31 days old [stale: 30 at most] [unverified]"));
  EXPECT_THAT(text, HasSubstr("(write 5 − input 4) / (write 5 − cached 0.4)"));
  EXPECT_THAT(page, HasSubstr("stale prices"));
  for (const char* part : {"nan", "inf<", "inf\"", "src=", "href"})
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  EXPECT_NE(page.find("<svg"), std::string::npos);
}

TEST(CostReport, SaysWhatTheFleetDoesNotCarry) {
  CostGiven g = whole_case();
  g.figures["requests-per-day"].value = 1e6;
  const CostReport r = make_cost_report(*made(g), prices(), kToday);
  EXPECT_THAT(r.made.notes.back(),
              HasSubstr("the fleet does not carry this load: utilisation 5.787"));
  g.figures["device-usd-per-hour"].value = 5000;
  EXPECT_THAT(cost_text(make_cost_report(*made(g), prices(), kToday)),
              HasSubstr("more than the fleet carries"));
  EXPECT_EQ(cost_number(1234567.8), "1,234,568");
  EXPECT_EQ(cost_number(0.00123456), "0.001235");
}

TEST(CostReport, ComparesWhatIsKnownWhereNothingIsNamed) {
  const CostReport r = make_cost_report(
      *made(given({{"question-tokens", "4000"}, {"output-tokens", "500"}, {"accept-rate", "0.5"}})),
      prices(), kToday);
  ASSERT_EQ(r.sections.size(), 1U);
  ASSERT_EQ(r.sections[0].rows.size(), 2U);
  EXPECT_EQ(r.sections[0].rows[0].id, "tiny");
  EXPECT_NEAR(*r.sections[0].rows[0].value, (4000 * 0.4 + 500 * 2) / 1e6 / 0.5, 1e-12);
  EXPECT_THAT(r.sections[0].rows[0].how, HasSubstr("stale, 31 days"));
}

}  // namespace
}  // namespace weir::ops
