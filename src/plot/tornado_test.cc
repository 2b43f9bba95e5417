#include "plot/tornado.h"

#include <gtest/gtest.h>

#include <limits>

namespace weir::plot {
namespace {

TEST(Tornado, DrawsWhatItCanAndEscapesTheRest) {
  Tornado t;
  t.title = "<cost>";
  t.unit = "USD";
  t.base = 2;
  t.bars = {{"price", "1", "3", 1, 4},
            {"rate & more", "0.1", "0.5", 3, 1.5},
            {"broken", "", "", 1, std::numeric_limits<double>::infinity()}};
  const std::string svg = tornado_svg(t);
  EXPECT_NE(svg.find("&lt;cost&gt;"), std::string::npos);
  EXPECT_NE(svg.find("rate &amp; more"), std::string::npos);
  EXPECT_EQ(svg.find("broken"), std::string::npos);
  for (const char* numbers : {"nan", "inf"}) EXPECT_EQ(svg.find(numbers), std::string::npos);
  EXPECT_TRUE(svg.ends_with("</svg>"));
  // Two halves a bar.
  size_t bars = 0;
  for (size_t at = svg.find("<rect"); at != std::string::npos; at = svg.find("<rect", at + 1))
    ++bars;
  EXPECT_EQ(bars, 4U);
  t.bars.clear();
  EXPECT_EQ(tornado_svg(t), "");
}

}  // namespace
}  // namespace weir::plot
