#include "base/day.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Day, CountsFromTheEpochWithLeapDays) {
  EXPECT_EQ(utc_day(0), "1970-01-01");
  EXPECT_EQ(utc_day(-1), "1969-12-31");
  EXPECT_EQ(utc_day(951'782'400), "2000-02-29");
  EXPECT_EQ(utc_day(1'795'996'799), "2026-11-29");
  EXPECT_EQ(utc_day(1'795'996'800), "2026-11-30");
}

}  // namespace
}  // namespace weir
