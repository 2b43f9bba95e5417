#include "ops/sources/sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kOne =
    R"([{"id":"a","title":"T","url":"https://a.example/","publisher":"P","kind":"paper",
"primary":true,"published":"2024-02","accessed":"2026-11-29","verified":true,"topics":["x"],
"claims":[{"id":"c","text":"t","value":"2x","workload":"w","read":true}],"review_by":"2028-02-29"}])";

std::string error_with(std::string_view from, std::string_view to) {
  std::string json(kOne);
  const size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos);
  json.replace(at, from.size(), to);
  const auto r = parse_sources(json, "s.json");
  return r.ok() ? "" : r.error().message;
}

TEST(Sources, ReadsAllOfOne) {
  const auto r = parse_sources(kOne, "s.json");
  ASSERT_TRUE(r.ok()) << r.error().message;
  const Source& s = *r->find("a");
  EXPECT_EQ(s.claim("c")->value, "2x");
  EXPECT_EQ(s.claim("d"), nullptr);
  EXPECT_EQ(s.review_by, "2028-02-29");
}

TEST(Sources, WrongOnesAreNamed) {
  EXPECT_THAT(error_with("https://a", "http://a"), HasSubstr("source 0 (a): url must be https"));
  for (const char* bad :
       {"https://", "https://a b/", "https:///x", "https://a\\u001b", "https://a\\n"})
    EXPECT_THAT(error_with("https://a.example/", bad), HasSubstr("url must be an address")) << bad;
  EXPECT_THAT(error_with("\"paper\"", "\"papyrus\""), HasSubstr("kind must be one of paper, docs"));
  EXPECT_THAT(error_with("2028-02-29", "2027-02-29"), HasSubstr("review_by must be a day"));
  EXPECT_THAT(error_with("2024-02", "2024-13"), HasSubstr("published must be"));
  EXPECT_THAT(error_with("\"primary\"", "\"prim\""), HasSubstr("unknown key \"prim\""));
  EXPECT_THAT(error_with("\"text\":\"t\",", ""), HasSubstr("claim 0: text must be a text"));
  EXPECT_THAT(error_with("[\"x\"]", "[]"), HasSubstr("topics"));
  std::string twice(kOne);
  twice.insert(twice.size() - 1, "," + twice.substr(1, twice.size() - 2));
  EXPECT_THAT(parse_sources(twice, "s").error().message, HasSubstr("the id stands twice"));
  EXPECT_THAT(parse_sources("{}", "s").error().message, HasSubstr("must be a list"));
}

TEST(Sources, EveryBeginningIsRefused) {
  for (size_t n = 0; n < kOne.size(); ++n)
    EXPECT_FALSE(parse_sources(kOne.substr(0, n), "s").ok()) << n;
}

// At least 120, the majority primary, each with something that it supports.
TEST(Sources, TheBuiltInLedgerIsWhole) {
  const auto r = built_in_sources();
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_GE(r->all.size(), 120U);
  const auto primary =
      std::count_if(r->all.begin(), r->all.end(), [](const Source& s) { return s.primary; });
  EXPECT_GT(primary * 2, static_cast<int64_t>(r->all.size()));
  for (const Source& s : r->all) {
    EXPECT_GT(s.review_by, s.accessed) << s.id;
    EXPECT_FALSE(s.claims.empty()) << s.id;
  }
}

}  // namespace
}  // namespace weir::ops
