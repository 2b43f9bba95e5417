#include "telemetry/span.h"

#include <gtest/gtest.h>

namespace weir::telemetry {
namespace {

const std::string kGood = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(Traceparent, ReadsAndWrites) {
  const auto c = parse_traceparent(kGood);
  ASSERT_TRUE(c.has_value());
  EXPECT_TRUE(c->sampled);
  EXPECT_EQ(format_traceparent(*c), kGood);
  EXPECT_FALSE(parse_traceparent(kGood.substr(0, 54) + "2")->sampled) << "bit 0 alone counts";
}

TEST(Traceparent, ALaterVersionMayGoOn) {
  std::string later = "01" + kGood.substr(2);
  EXPECT_TRUE(parse_traceparent(later).has_value());
  EXPECT_TRUE(parse_traceparent(later + "-what-ever").has_value());
  EXPECT_FALSE(parse_traceparent(later + "x").has_value());
}

TEST(Traceparent, CutAtEveryByte) {
  for (size_t n = 0; n < kGood.size(); ++n)
    EXPECT_FALSE(parse_traceparent(kGood.substr(0, n)).has_value()) << n;
}

TEST(Traceparent, RefusesWhatTheStandardRefuses) {
  for (const std::string& bad :
       {kGood + "-", kGood + "0", " " + kGood, "ff" + kGood.substr(2),
        std::string("00-00000000000000000000000000000000-b7ad6b7169203331-01"),
        std::string("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"),
        std::string("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        std::string("00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        std::string("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g")})
    EXPECT_FALSE(parse_traceparent(bad).has_value()) << bad;
  for (size_t i = 0; i < kGood.size(); ++i) {
    for (const char c : {'\0', ' ', 'G', '\n', '\x7f', '\xff'}) {
      std::string changed = kGood;
      changed[i] = c;
      EXPECT_FALSE(parse_traceparent(changed).has_value()) << i;
    }
  }
}

}  // namespace
}  // namespace weir::telemetry
