// Counts of a window, whatever lies before it.
#include "gateway/release_stats.h"

#include <gtest/gtest.h>

#include <memory>

namespace weir::gateway {
namespace {

TEST(ReleaseWindow, CountsWhatLiesInTheWindow) {
  const auto w = std::make_unique<ReleaseWindow>();
  EXPECT_EQ(w->last(3600, 10).requests, 0);
  w->add(false, 10);
  w->add(true, 10);
  w->add(true, 11);
  EXPECT_EQ(w->last(1, 11).requests, 1);
  EXPECT_EQ(w->last(2, 11).requests, 3);
  EXPECT_EQ(w->last(2, 11).missed, 2);
  EXPECT_EQ(w->last(2, 12).requests, 1);
  // An hour later the same slot counts anew.
  w->add(false, 10 + ReleaseWindow::kSeconds);
  EXPECT_EQ(w->last(3600, 10 + ReleaseWindow::kSeconds).requests, 2);
  EXPECT_EQ(w->last(3600, 10 + 3 * ReleaseWindow::kSeconds).requests, 0);
}

}  // namespace
}  // namespace weir::gateway
