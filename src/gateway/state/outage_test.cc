#include "gateway/state/outage.h"

#include <gtest/gtest.h>

namespace weir::gateway {
namespace {

using News = Outage::News;

TEST(Outage, ItsBeginAndItsEndAreNewsAndNothingBetween) {
  constexpr int64_t kQuiet = Outage::kQuietNs;
  Outage o;
  EXPECT_EQ(o.note(true, 1), News::kNone);
  EXPECT_EQ(o.note(false, 2), News::kBegun);
  for (int64_t at = 3; at < 100; ++at) EXPECT_EQ(o.note(at % 2 == 0, at), News::kNone) << at;
  EXPECT_EQ(o.note(true, 99 + kQuiet - 1), News::kNone);
  EXPECT_EQ(o.note(false, 99 + kQuiet), News::kNone) << "the same one";
  EXPECT_EQ(o.note(true, 99 + 2 * kQuiet - 1), News::kNone);
  EXPECT_EQ(o.note(true, 99 + 2 * kQuiet), News::kOver);
  EXPECT_EQ(o.note(true, 100 + 2 * kQuiet), News::kNone);
  EXPECT_EQ(o.note(false, 101 + 2 * kQuiet), News::kBegun);
}

}  // namespace
}  // namespace weir::gateway
