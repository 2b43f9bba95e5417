#include "access/rate_headers.h"

#include <gtest/gtest.h>

namespace weir::access {
namespace {

TEST(RateHeaders, DurationsAreRoundedUp) {
  const std::pair<int64_t, std::string_view> rows[] = {{0, "0ms"},
                                                       {1, "1ms"},
                                                       {999'000'000, "999ms"},
                                                       {999'000'001, "1s"},
                                                       {11'200'000'000, "12s"},
                                                       {59'000'000'001, "1m0s"},
                                                       {3'599'000'000'000, "59m59s"},
                                                       {3'600'000'000'000, "1h0m0s"},
                                                       {90'061'000'000'000, "25h1m1s"}};
  for (const auto& [ns, text] : rows) EXPECT_EQ(rate_duration(ns), text) << ns;
}

TEST(RateHeaders, ThreeOfAKind) {
  http::Headers headers;
  set_rate_headers(headers, "tokens", 1000, 250, 6'000'000'000);
  EXPECT_EQ(headers.find("x-ratelimit-limit-tokens"), "1000");
  EXPECT_EQ(headers.find("x-ratelimit-remaining-tokens"), "250");
  EXPECT_EQ(headers.find("x-ratelimit-reset-tokens"), "6s");
}

}  // namespace
}  // namespace weir::access
