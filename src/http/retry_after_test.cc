// Retry-After in both forms, dates in three, and what is neither.
#include "http/retry_after.h"

#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"

namespace weir::http {
namespace {

constexpr int64_t kNovember1994 = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT, RFC 9110's example

TEST(RetryAfterTest, TheThreeFormsOfADate) {
  for (const char* text : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov  6 08:49:37 1994"})
    EXPECT_EQ(parse_http_date(text, 1'700'000'000), kNovember1994) << text;
  // A year of two digits within the next 50 years.
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-44 08:49:37 GMT", 1'700'000'000), 2'362'034'977);
  EXPECT_EQ(parse_http_date("Thu, 29 Feb 2024 00:00:00 GMT", 0), 1'709'164'800);
}

TEST(RetryAfterTest, WhatIsNoDate) {
  for (const char* text : {"", "Sun", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
                           "Sun, 06 Nox 1994 08:49:37 GMT", "Sun, 31 Feb 2026 08:49:37 GMT",
                           "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
                           "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 0x Nov 1994 08:49:37 GMT",
                           "Sun, -6 Nov 1994 08:49:37 GMT", "Wed, 29 Feb 2023 00:00:00 GMT",
                           "Sunday, 06-Nov-94 08:49:37 UTC", "Sunday 06-Nov-94 08:49:37 GMT",
                           "Sun Nov 66 08:49:37 1994"})
    EXPECT_EQ(parse_http_date(text, 0), std::nullopt) << text;
}

TEST(RetryAfterTest, SecondsOrADate) {
  constexpr int64_t kNowMs = kNovember1994 * 1000;
  EXPECT_EQ(parse_retry_after("2", kNowMs), 2000);
  EXPECT_EQ(parse_retry_after(" 0.25 ", kNowMs), 250);
  EXPECT_EQ(parse_retry_after("0", kNowMs), 0);
  EXPECT_EQ(parse_retry_after("99999999999999999999", kNowMs), kLongestRetryAfterMs);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:57 GMT", kNowMs + 500), 19'500);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:17 GMT", kNowMs), 0);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 2094 08:49:17 GMT", kNowMs), kLongestRetryAfterMs);
  for (const char* text : {"", " ", "-1", "nan", "inf", "1e3", "1s", "1,5", "0x10", "soon"})
    EXPECT_EQ(parse_retry_after(text, kNowMs), std::nullopt) << text;
}

TEST(RetryAfterTest, MillisecondsComeFirst) {
  EXPECT_EQ(retry_after_of({{"Retry-After", "7"}, {"retry-after-ms", "1500"}}, 0), 1500);
  EXPECT_EQ(retry_after_of({{"retry-after-ms", "x"}, {"Retry-After", "7"}}, 0), 7000);
  EXPECT_EQ(retry_after_of({{"Date", "7"}}, 0), std::nullopt);
}

TEST(RetryAfterTest, WholeSecondsForTheClient) {
  EXPECT_EQ(retry_after_seconds(-5), 1);
  EXPECT_EQ(retry_after_seconds(1000), 1);
  EXPECT_EQ(retry_after_seconds(1001), 2);
}

// Any prefix, and any edit of a byte, is a date or none: the reader stays inside the text.
TEST(RetryAfterTest, CutAndChangedTexts) {
  Rng rng(1);
  for (const std::string whole : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                  "Sun Nov  6 08:49:37 1994"}) {
    for (size_t size = 0; size < whole.size(); ++size)
      EXPECT_EQ(parse_http_date(std::string(whole, 0, size), 0), std::nullopt) << size;
    for (int i = 0; i < 2000; ++i) {
      std::string text = whole;
      text[rng.below(text.size())] = static_cast<char>(rng.below(256));
      const auto ms = parse_retry_after(text, 0);
      if (ms) {
        EXPECT_GE(*ms, 0);
        EXPECT_LE(*ms, kLongestRetryAfterMs);
      }
    }
  }
}

}  // namespace
}  // namespace weir::http
