#include "bench/load/length.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/rng.h"

namespace weir::bench {
namespace {

std::vector<int32_t> samples(const char* text, int n = 20000) {
  const auto length = parse_length("--x", text);
  EXPECT_TRUE(length.ok());
  Rng rng(3);
  std::vector<int32_t> out;
  for (int i = 0; i < n; ++i) {
    const double u1 = rng.unit();
    out.push_back(length->sample(u1, rng.unit()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(Length, ReadsWhatItWrites) {
  for (const char* text :
       {"512", "uniform:100-900", "lognormal:300:0.8", "lognormal:300:0.8:4000", "trace"}) {
    const auto length = parse_length("--x", text);
    ASSERT_TRUE(length.ok()) << text;
    EXPECT_EQ(length->text(), text);
  }
}

TEST(Length, Refused) {
  for (const char* text : {"", "0", "-1", "5x", "10000001", "uniform:", "uniform:5", "uniform:9-5",
                           "uniform:0-5", "lognormal:5", "lognormal:0:1", "lognormal:5:9",
                           "lognormal:5:-1", "lognormal:5:1:0", "lognormal:nan:1", "normal:5:1"}) {
    const auto length = parse_length("--prompt-tokens", text);
    ASSERT_FALSE(length.ok()) << text;
    EXPECT_TRUE(length.error().message.starts_with("--prompt-tokens")) << text;
  }
}

TEST(Length, Fixed) {
  const auto s = samples("7", 10);
  EXPECT_EQ(s.front(), 7);
  EXPECT_EQ(s.back(), 7);
}

TEST(Length, UniformCoversItsBounds) {
  const auto s = samples("uniform:10-19");
  EXPECT_EQ(s.front(), 10);
  EXPECT_EQ(s.back(), 19);
  EXPECT_NEAR(static_cast<double>(std::count(s.begin(), s.end(), 19)) / 20000, 0.1, 0.01);
}

TEST(Length, LognormalHasItsMedianAndTail) {
  const auto s = samples("lognormal:300:0.5");
  EXPECT_NEAR(s[10000], 300, 6);
  EXPECT_NEAR(s[16827], 300 * 1.6487, 15);  // one sigma: e^0.5
  EXPECT_EQ(samples("lognormal:300:2:1000").back(), 1000);
  EXPECT_GE(samples("lognormal:1:3").front(), 1);
}

}  // namespace
}  // namespace weir::bench
