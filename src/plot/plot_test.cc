#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "plot/page.h"
#include "plot/svg_plot.h"
#include "plot/text.h"

namespace weir::plot {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

TEST(PlotText, NumbersReadWell) {
  EXPECT_EQ(number_text(0), "0");
  EXPECT_EQ(number_text(0.01234), "0.012");
  EXPECT_EQ(number_text(1.234), "1.23");
  EXPECT_EQ(number_text(9.996), "10.0");
  EXPECT_EQ(number_text(99.96), "100");
  EXPECT_EQ(number_text(1234567.8), "1,234,568");
  EXPECT_EQ(number_text(-1234), "-1,234");
  EXPECT_EQ(number_text(kUnknown), "–");
  EXPECT_EQ(ms_text(0.05), "50.0 us");
  EXPECT_EQ(ms_text(85.23), "85.2 ms");
  EXPECT_EQ(ms_text(12'500), "12.5 s");
  EXPECT_EQ(percent_text(1), "100.0 %");
  EXPECT_EQ(percent_text(0.99999), "99.99 %");
  EXPECT_EQ(count_text(-999), "-999");
  EXPECT_EQ(printable("a\xE2\x80\xAE"
                      "b\xC2\x9B"
                      "c\xff"),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD"
            "c\xEF\xBF\xBD");
}

TEST(Ticks, AreRoundWithinAndBounded) {
  EXPECT_EQ(ticks(0, 10, 5, false), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(ticks(10, 1000, 9, true), (std::vector<double>{10, 20, 50, 100, 200, 500, 1000}));
  EXPECT_EQ(ticks(1e-3, 1e9, 4, true).size(), 5u);
  EXPECT_EQ(ticks(110, 480, 4, true), (std::vector<double>{200, 300, 400}));
  EXPECT_TRUE(ticks(1, 1, 5, false).empty());
  EXPECT_TRUE(ticks(0, 10, 5, true).empty());
  EXPECT_TRUE(ticks(kUnknown, 10, 5, false).empty());
  for (double high = 1e-12; high < 1e15; high *= 3.7)
    EXPECT_LE(ticks(0, high, 5, false).size(), 20u);
}

TEST(Plot, DrawsWhatItCanAndEscapesTheRest) {
  Plot p;
  p.title = "a <b> & \"c\"";
  p.x = {.label = "x<y", .log = true, .min = {}, .max = {}};
  p.series.push_back({.name = "s<1>", .points = {{0, 1}, {1, 2}, {10, kUnknown}, {100, 3}}});
  p.marks.push_back({.x = 10, .y = {}, .text = "<mark>"});
  const std::string svg = plot_svg(p);
  for (const char* part :
       {"a &lt;b&gt; &amp; &quot;c&quot;", "x&lt;y", "s&lt;1&gt;", "&lt;mark&gt;"})
    EXPECT_NE(svg.find(part), std::string::npos) << part;
  for (const char* numbers : {"nan", "inf"}) EXPECT_EQ(svg.find(numbers), std::string::npos);
  // The value at 0 has no place on a logarithmic axis, the unknown one breaks the line.
  EXPECT_NE(svg.find("class=\"line"), std::string::npos);
  EXPECT_TRUE(plot_svg({}).ends_with("</svg>"));
}

TEST(Page, ColumnsOfSentencesAreSetLikeText) {
  const std::string table =
      html_table({{"item", "n", "why"}, {"a", "1", "<span class=\"said\">so</span>"}});
  EXPECT_NE(table.find("<th>n</th><th class=\"text\">why</th>"), std::string::npos) << table;
  EXPECT_NE(table.find("<td>1</td><td class=\"text\">"), std::string::npos) << table;
}

TEST(Plot, ALongLegendStaysOnThePaper) {
  Plot p;
  p.title = "a title";
  for (size_t i = 0; i < kSeriesColours; ++i)
    p.series.push_back({.name = std::string(50, 'n'), .points = {{0, 1}, {1, 2}}, .colour = i});
  const std::string svg = plot_svg(p);
  size_t keys = 0;
  for (size_t at = 0; (at = svg.find("<text x=\"", at)) != std::string::npos; ++keys) {
    at += std::string_view("<text x=\"").size();
    EXPECT_GE(std::stod(svg.substr(at)), 0);
  }
  EXPECT_GT(keys, kSeriesColours);
}

TEST(Page, IsWholeAndLoadsNothing) {
  const std::string page =
      html_page("<t>", html_table({{"a", "b"}, {"1", "2"}}) + html_tile("n", "3 ms", "<"));
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  for (const char* part :
       {"<title>&lt;t&gt;", "<th>a</th>", "<td>2</td>", "<b>3<i> ms</i></b>", "&lt;</span>"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  for (const char* part : {"src=", "href", "url(", "@import"})
    EXPECT_EQ(page.find(part), std::string::npos) << part;
}

}  // namespace
}  // namespace weir::plot
