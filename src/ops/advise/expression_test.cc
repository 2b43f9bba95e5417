#include "ops/advise/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Intake known() {
  Intake i;
  const auto set = [&](const char* path, const char* value) {
    EXPECT_TRUE(i.set_text(path, value, Origin::kGiven, "").ok()) << path;
  };
  set("slo.throughput_tok_s", "5000");
  set("observed.total_ms_p50", "100");
  set("observed.total_ms_p99", "350");
  set("traffic.kind", "chat");
  set("stack.prefix_cache", "false");
  return i;
}

Truth truth(std::string_view text) {
  const auto e = Expression::parse(text);
  EXPECT_TRUE(e.ok()) << e.error().message;
  return e.ok() ? e->evaluate(known()) : Truth::kUnknown;
}

std::string error_of(std::string_view text) {
  const auto e = Expression::parse(text);
  return e.ok() ? "" : e.error().message;
}

TEST(Expression, ComparesAndComputes) {
  EXPECT_EQ(truth("slo.throughput_tok_s > 10000"), Truth::kNo);
  EXPECT_EQ(truth("slo.throughput_tok_s >= 5000"), Truth::kYes);
  EXPECT_EQ(truth("observed.total_ms_p99 > 3 * observed.total_ms_p50"), Truth::kYes);
  EXPECT_EQ(truth("observed.total_ms_p99 - 50 == 300"), Truth::kYes);
  EXPECT_EQ(truth("1 + 2 * 3 == 7"), Truth::kYes);
  EXPECT_EQ(truth("(1 + 2) * 3 != 9"), Truth::kNo);
  EXPECT_EQ(truth("12 / 4 / 3 == 1"), Truth::kYes);
  EXPECT_EQ(truth("traffic.kind in (agents, chat)"), Truth::kYes);
  EXPECT_EQ(truth("traffic.kind == rag"), Truth::kNo);
  EXPECT_EQ(truth("not stack.prefix_cache"), Truth::kYes);
  EXPECT_EQ(truth("stack.prefix_cache == false"), Truth::kYes);
  EXPECT_EQ(truth("known(traffic.kind) and not known(stack.routing)"), Truth::kYes);
}

TEST(Expression, AndBindsTighterThanOr) {
  EXPECT_EQ(truth("true or true and false"), Truth::kYes);
  EXPECT_EQ(truth("(true or true) and false"), Truth::kNo);
}

TEST(Expression, WhatIsNotKnownStaysUnknownUnlessTheRestDecides) {
  EXPECT_EQ(truth("observed.kv_usage > 0.9"), Truth::kUnknown);
  EXPECT_EQ(truth("not observed.kv_usage > 0.9"), Truth::kUnknown);
  EXPECT_EQ(truth("observed.kv_usage > 0.9 or true"), Truth::kYes);
  EXPECT_EQ(truth("observed.kv_usage > 0.9 and false"), Truth::kNo);
  EXPECT_EQ(truth("observed.kv_usage > 0.9 or false"), Truth::kUnknown);
  EXPECT_EQ(truth("observed.kv_usage > 0.9 and true"), Truth::kUnknown);
  EXPECT_EQ(truth("stack.routing in (session)"), Truth::kUnknown);
  EXPECT_EQ(truth("1 / 0 > 3"), Truth::kUnknown);
  EXPECT_EQ(truth("stack.disaggregated"), Truth::kUnknown);
}

TEST(Expression, NamesItsFieldsOnce) {
  const auto e =
      Expression::parse("traffic.kind == chat or traffic.kind == rag and stack.replicas > 1");
  ASSERT_TRUE(e.ok());
  EXPECT_THAT(e->fields(), ElementsAre("traffic.kind", "stack.replicas"));
}

TEST(Expression, WrongOnesAreNamed) {
  EXPECT_THAT(error_of("traffic.kin == chat"), HasSubstr("the nearest is \"traffic.kind\""));
  EXPECT_THAT(error_of("traffic.kind == caht"), HasSubstr("never \"caht\""));
  EXPECT_THAT(error_of("traffic.kind in (chat, caht)"), HasSubstr("never \"caht\""));
  EXPECT_THAT(error_of("traffic.kind > 3"), HasSubstr("a number is wanted, and this is a text"));
  EXPECT_THAT(error_of("traffic.concurrency == many"), HasSubstr("a number is wanted"));
  EXPECT_THAT(error_of("traffic.concurrency and true"), HasSubstr("yes or no is wanted"));
  EXPECT_THAT(error_of("not 3"), HasSubstr("yes or no is wanted"));
  EXPECT_THAT(error_of("(true"), HasSubstr(") is missing"));
  EXPECT_THAT(error_of("true true"), HasSubstr("byte 5: there is more after the end"));
  EXPECT_THAT(error_of(""), HasSubstr("is wanted"));
  EXPECT_THAT(error_of("known(3)"), HasSubstr("known takes a field"));
  EXPECT_THAT(error_of(std::string(100, '(')), HasSubstr("nested too deep"));
  std::string nots;
  for (int i = 0; i < 100; ++i) nots += "not ";
  EXPECT_THAT(error_of(nots + "true"), HasSubstr("nested too deep"));
  EXPECT_THAT(error_of(std::string(3000, ' ')), HasSubstr("at most 2000"));
}

TEST(Expression, EveryBeginningIsReadOrRefused) {
  const std::string text =
      "slo.throughput_tok_s > 1e4 or not (traffic.kind in (chat, agents) and known(stack.routing))";
  for (size_t n = 0; n <= text.size(); ++n) (void)Expression::parse(text.substr(0, n));
}

}  // namespace
}  // namespace weir::ops
