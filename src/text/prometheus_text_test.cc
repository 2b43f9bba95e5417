#include "text/prometheus_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace weir::text {
namespace {

using ::testing::HasSubstr;

std::string error_of(std::string_view text, const PrometheusLimits& limits = {}) {
  const auto r = parse_prometheus(text, limits);
  return r.ok() ? "" : r.error().message;
}

TEST(PrometheusText, SamplesWithLabelsValuesTimestampsAndExemplars) {
  const auto r = parse_prometheus(
      "# HELP a what a\\nis\n# TYPE a counter\n\r\n"
      "a 1\n"
      "  vllm:b{x=\"1\", y = \"q\\\"\\\\\\n\\t\",} 2.5e3 1700000000000\r\n"
      "c{} +Inf # {trace_id=\"7\"} 0.5\n"
      "d -Inf\ne NaN\nf .5\n"
      "# EOF");
  ASSERT_TRUE(r.ok()) << r.error().message;
  ASSERT_EQ(r->size(), 6U);
  EXPECT_EQ((*r)[0].name, "a");
  EXPECT_EQ((*r)[0].value, 1);
  EXPECT_EQ((*r)[1].name, "vllm:b");
  EXPECT_EQ((*r)[1].label("x"), "1");
  EXPECT_EQ((*r)[1].label("y"), "q\"\\\n\\t");
  EXPECT_EQ((*r)[1].label("z"), "");
  EXPECT_EQ((*r)[1].value, 2500);
  EXPECT_EQ((*r)[2].value, INFINITY);
  EXPECT_EQ((*r)[3].value, -INFINITY);
  EXPECT_TRUE(std::isnan((*r)[4].value));
  EXPECT_EQ((*r)[5].value, 0.5);
  EXPECT_TRUE(parse_prometheus("").ok());
}

TEST(PrometheusText, WhatIsNoSampleIsNamedWithItsLine) {
  EXPECT_EQ(error_of("a 1\n\nb\n"), "line 3: the value of b is not a number");
  EXPECT_THAT(error_of("a one"), HasSubstr("line 1: the value of a is not a number"));
  EXPECT_THAT(error_of("a 1 x"), HasSubstr("the timestamp of a is not a number"));
  EXPECT_THAT(error_of("a 1 2 3"), HasSubstr("there is more behind a"));
  EXPECT_THAT(error_of("{\"a\":1}"), HasSubstr("a metric's name is missing"));
  EXPECT_THAT(error_of("9a 1"), HasSubstr("a metric's name is missing"));
  EXPECT_THAT(error_of("a{b} 1"), HasSubstr("label b has no ="));
  EXPECT_THAT(error_of("a{b=1} 1"), HasSubstr("the value of label b is not quoted"));
  EXPECT_THAT(error_of("a{b=\"1} 1"), HasSubstr("the value of label b does not end"));
  EXPECT_THAT(error_of("a{b=\"1\\"), HasSubstr("the value of label b does not end"));
  EXPECT_THAT(error_of("a{b=\"1\" c=\"2\"} 1"), HasSubstr("behind a label neither , nor }"));
  EXPECT_THAT(error_of("a{,} 1"), HasSubstr("a label's name is missing"));
}

TEST(PrometheusText, EveryBoundIsNamed) {
  EXPECT_THAT(error_of("a 1\n", {.text_bytes = 3}), HasSubstr("more than 3"));
  EXPECT_THAT(error_of("a 1\nb 1\n", {.samples = 1}), HasSubstr("more than 1 samples"));
  EXPECT_THAT(error_of("a{b=\"\",c=\"\"} 1", {.labels = 1}), HasSubstr("more than 1 labels"));
  EXPECT_THAT(error_of("abc 1", {.name_bytes = 2}), HasSubstr("longer than 2 bytes"));
  EXPECT_THAT(error_of("a{b=\"123\"} 1", {.value_bytes = 2}),
              HasSubstr("the value of label b is longer than 2 bytes"));
  EXPECT_EQ(error_of("a{b=\"12\"} 1", {.value_bytes = 2}), "");
}

// A text cut anywhere is read up to there, or refused with the line.
TEST(PrometheusText, CutAnywhere) {
  const std::string text =
      "# HELP a:b What it is\n# TYPE a:b gauge\na:b 12\nc_d{model=\"m\",kind=\"x\"} 0.125\n"
      "a{b=\"c\\n\"} 1 2 # {x=\"y\"} 1\n";
  const size_t samples = parse_prometheus(text)->size();
  for (size_t n = 0; n < text.size(); ++n) {
    const auto r = parse_prometheus(std::string_view(text).substr(0, n));
    if (r.ok()) {
      EXPECT_LE(r->size(), samples);
    } else {
      EXPECT_THAT(r.error().message, HasSubstr("line "));
    }
  }
}

// What nobody wants is not read, however broken.
TEST(PrometheusText, OnlyWhatIsWanted) {
  constexpr std::array<std::string_view, 2> kWanted = {"a", "c:d"};
  const auto r =
      parse_prometheus("ab 1\na 2\na_b{ 3\n{\nc:d{x=\"1\"} 4\na\t5\n", {.samples = 3}, kWanted);
  ASSERT_TRUE(r.ok()) << r.error().message;
  ASSERT_EQ(r->size(), 3U);
  EXPECT_EQ((*r)[0].value, 2);
  EXPECT_EQ((*r)[1].name, "c:d");
  EXPECT_EQ((*r)[2].value, 5);
  EXPECT_FALSE(parse_prometheus("ab 1\na x\n", {}, kWanted).ok());
}

}  // namespace
}  // namespace weir::text
