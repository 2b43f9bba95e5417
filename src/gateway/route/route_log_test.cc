#include "gateway/route/route_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "gateway/route/route_report.h"

namespace weir::gateway {
namespace {

constexpr std::string_view kLine =
    R"({"prompt":"What is 2+2?","small_score":0.5,"large_score":1,"small_cost":1,"large_cost":10})";

// Of 400 prompts half ask for reasons, which the small model does badly; each tenth is the other
// way round.
std::string log_text() {
  std::string out;
  for (int i = 0; i < 400; ++i) {
    const bool hard = i % 2 == 0;
    const bool suffices = hard == (i % 10 == 0);
    out += fmt::format(
        R"({{"prompt":"{} {}","small_score":{},"large_score":0.9,"small_cost":1,"large_cost":10}})"
        "\n",
        hard ? "Explain why and prove that it holds for number" : "What is the capital of country",
        i, suffices ? 0.9 : 0.1);
  }
  return out;
}

TEST(RouteLog, ReadsLinesOfEitherKind) {
  const auto log = parse_route_log(
      std::string(kLine) + "\n\n" +
          R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}],"small_score":1,"large_score":0})",
      "l");
  ASSERT_TRUE(log.ok()) << log.error().message;
  ASSERT_EQ(log->items.size(), 2U);
  EXPECT_EQ(log->items[0].small_quality, 0.5);
  EXPECT_EQ(log->items[0].large_cost, 10);
  EXPECT_FALSE(log->with_costs) << "the second line has none";
  EXPECT_EQ(log->features[0], difficulty_features("What is 2+2?", 0, 0));
  EXPECT_EQ(log->features[1], difficulty_features("b", 1, 8)) << "\"user: a\\n\" stands before it";
  EXPECT_TRUE(difficulty_examples(*log, 0.5)[0].small_suffices);
  EXPECT_FALSE(difficulty_examples(*log, 0.4)[0].small_suffices);
}

TEST(RouteLog, ABadLineIsNamed) {
  const std::pair<std::string, std::string> rows[] = {
      {"{", "l:2: "},
      {"[]", "l:2: must be an object, not array"},
      {R"({"prompt":"a","large_score":1})", "l:2: small_score is missing"},
      {R"({"prompt":"a","small_score":2,"large_score":1})", "l:2: small_score must be a number"},
      {R"({"prompt":"a","small_score":1,"large_score":"1"})", "l:2: large_score must be a number"},
      {R"({"prompt":"a","small_score":1,"large_score":1,"small_cost":-1})",
       "l:2: small_cost must be a number, at least 0"},
      {R"({"small_score":1,"large_score":1})", "l:2: needs prompt or messages"},
      {R"({"prompt":"a","messages":[],"small_score":1,"large_score":1})",
       "l:2: needs prompt or messages"},
      {R"({"prompt":7,"small_score":1,"large_score":1})",
       "l:2: prompt must be a text, not integer"},
      {R"({"messages":{},"small_score":1,"large_score":1})",
       "l:2: messages must be a list, not object"},
      {R"({"messages":[],"small_score":1,"large_score":1})", "l:2: there is no text of a user"}};
  for (const auto& [line, what] : rows) {
    const auto log = parse_route_log(std::string(kLine) + "\n" + line + "\n", "l");
    ASSERT_FALSE(log.ok()) << line;
    EXPECT_EQ(log.error().message.substr(0, what.size()), what);
    EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
  }
  EXPECT_NE(parse_route_log("\n \n", "l").error().message.find("no lines"), std::string::npos);
}

TEST(RouteLog, CutAtEveryByte) {
  for (size_t cut = 0; cut < kLine.size(); ++cut)
    EXPECT_FALSE(parse_route_log(kLine.substr(0, cut), "l").ok()) << cut;
  EXPECT_TRUE(parse_route_log(kLine, "l").ok());
}

TEST(RouteLog, WhatIsLearntHoldsForPromptsThatWereHeldOut) {
  const auto log = parse_route_log(log_text(), "l");
  ASSERT_TRUE(log.ok()) << log.error().message;
  const auto items = routed_held_out(*log, 0, {}, 5);
  ASSERT_TRUE(items.ok()) << items.error().message;
  const auto report = make_route_report(*items, 0.5);
  ASSERT_TRUE(report.ok()) << report.error().message;
  const QualityCurve& c = report->curve;
  EXPECT_GT(c.area, c.random_area + 0.05);
  EXPECT_LT(c.area, c.best_area);
  EXPECT_NEAR(report->best.area, c.best_area, 1e-9);
  ASSERT_TRUE(report->chosen.has_value());
  EXPECT_NEAR(report->chosen->small_share, 0.5, 0.05);
  const std::string text = route_report_text(*report);
  for (const char* part : {"400 prompts", "always large", "99 % of its quality", "threshold 0.5",
                           "always small", "at random"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  const text::Json json = route_report_json(*report);
  EXPECT_EQ(json.find("items")->as_int(), 400);
  EXPECT_EQ(json.find("cheapest")->size(), 3U);
  EXPECT_EQ(json.find("curve")->size(), c.points.size());
  EXPECT_NE(route_report_html(*report).find("<svg"), std::string::npos);
}

}  // namespace
}  // namespace weir::gateway
