#include "bench/load/arrivals.h"

#include <gtest/gtest.h>

#include <cmath>

namespace weir::bench {
namespace {

struct Moments {
  double mean = 0;
  double cv = 0;
};

Moments moments(const char* text, double rate) {
  const auto arrivals = parse_arrivals(text, rate);
  EXPECT_TRUE(arrivals.ok());
  EXPECT_EQ(arrivals->text(), text);
  constexpr int kDraws = 100'000;
  double sum = 0;
  double squares = 0;
  for (uint64_t i = 1; i <= kDraws; ++i) {
    const double gap = arrivals->gap_s(7, i);
    EXPECT_GE(gap, 0);
    sum += gap;
    squares += gap * gap;
  }
  const double mean = sum / kDraws;
  return {mean, std::sqrt(squares / kDraws - mean * mean) / mean};
}

TEST(Arrivals, MeanAndSpread) {
  for (const auto& [text, cv] : std::initializer_list<std::pair<const char*, double>>{
           {"poisson", 1}, {"constant", 0}, {"gamma:0.5", 0.5}, {"gamma:1", 1}, {"gamma:3", 3}}) {
    const Moments m = moments(text, 8);
    EXPECT_NEAR(m.mean, 0.125, 0.125 * 0.04) << text;
    EXPECT_NEAR(m.cv, cv, std::max(0.01, cv * 0.05)) << text;
  }
}

TEST(Arrivals, AreAFunctionOfSeedAndNumber) {
  const auto a = parse_arrivals("gamma:2", 1);
  EXPECT_EQ(a->gap_s(1, 5), a->gap_s(1, 5));
  EXPECT_NE(a->gap_s(1, 5), a->gap_s(1, 6));
  EXPECT_NE(a->gap_s(1, 5), a->gap_s(2, 5));
  EXPECT_EQ(parse_arrivals("constant", 4)->gap_s(1, 0), 0);
}

TEST(Arrivals, Refused) {
  for (const char* text :
       {"", "Poisson", "gamma", "gamma:", "gamma:0", "gamma:11", "gamma:nan", "gamma:1x", "trace"})
    EXPECT_FALSE(parse_arrivals(text, 1).ok()) << text;
}

}  // namespace
}  // namespace weir::bench
