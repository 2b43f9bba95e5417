#include "ops/review/waivers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/review/review_testing.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

TEST(Waivers, HoldForOneItemOneEnvironmentAndATime) {
  ReviewInput in = passing_input();
  in.evidence.erase(in.evidence.begin());
  const Checklist& checklist = built_in_checklist();
  const auto verdict = [&](const std::string& row) {
    const auto waivers =
        parse_waivers("version: 1\nwaivers:\n  - {" + row + "}\n", "waivers.yaml", checklist);
    EXPECT_TRUE(waivers.ok()) << waivers.error().message;
    const Review r = review(checklist, in, *waivers);
    return item_of(r, "overload");
  };
  const std::string who = ", who: me, why: because, until: ";
  EXPECT_EQ(verdict("item: overload, env: stage" + who + "2026-12-31").verdict,
            ReviewVerdict::kWaived);
  EXPECT_THAT(verdict("item: overload, env: stage" + who + "2026-12-31").found,
              HasSubstr("waived by me until 2026-12-31: because"));
  EXPECT_EQ(verdict("item: overload, env: prod" + who + "2026-12-31").verdict,
            ReviewVerdict::kFail);
  EXPECT_EQ(verdict("item: slo, env: stage" + who + "2026-12-31").verdict, ReviewVerdict::kFail);
  const auto expired = verdict("item: overload, env: stage" + who + "2026-11-01");
  EXPECT_EQ(expired.verdict, ReviewVerdict::kFail);
  EXPECT_THAT(expired.found, HasSubstr("expired at the end of 2026-11-01"));
  const auto forever = verdict("item: overload, env: stage" + who + "2036-01-01");
  EXPECT_EQ(forever.verdict, ReviewVerdict::kFail);
  EXPECT_THAT(forever.found, HasSubstr("longer than 180 days"));
}

TEST(Waivers, WhatIsNone) {
  const Checklist& checklist = built_in_checklist();
  const auto problem = [&](const std::string& rows) {
    const auto w = parse_waivers("waivers:\n" + rows, "w.yaml", checklist);
    return w.ok() ? "" : w.error().message;
  };
  const std::string rest = ", who: me, why: x, until: 2026-12-31}\n";
  EXPECT_THAT(problem("  - {item: \"*\", env: stage" + rest), HasSubstr("item \"*\" is none"));
  EXPECT_THAT(problem("  - {item: overlod, env: stage" + rest),
              HasSubstr("nearest is \"overload\""));
  EXPECT_THAT(problem("  - {item: slo, env: all" + rest), HasSubstr("env \"all\" is none"));
  EXPECT_THAT(problem("  - {item: slo, env: stage, why: x, until: 2026-12-31}\n"),
              HasSubstr("needs who"));
  EXPECT_THAT(problem("  - {item: slo, env: stage, who: x, why: x, until: never}\n"),
              HasSubstr("must be a day"));
  const std::string row = "  - {item: slo, env: stage" + rest;
  EXPECT_THAT(problem(row + row), HasSubstr("waived twice"));
  for (size_t n = 0; n < row.size(); ++n)
    (void)parse_waivers("waivers:\n" + row.substr(0, n), "w.yaml", checklist);
}

}  // namespace
}  // namespace weir::ops
