#include "text/pattern.h"

#include <gtest/gtest.h>

#include <chrono>

namespace weir::text {
namespace {

std::string last(std::string_view pattern, std::string_view text) {
  const auto made = Pattern::make(pattern, false);
  EXPECT_TRUE(made.ok()) << pattern;
  const Pattern::Found found = made->last_in(text);
  return found.matches ? "<" + found.text + ">" : "none";
}

TEST(PatternTest, EmptyMatchesGoOnByCharacters) {
  EXPECT_EQ(last("x*", "\xC3\xA4\xE6\xB0\xB4"), "<>");
  EXPECT_EQ(last("x*(?=\xE6\xB0\xB4)", "\xC3\xA4\xE6\xB0\xB4\xE6\xB0\xB4"), "<>");
  EXPECT_EQ(last("(.)$", "\xC3\xA4\xE6\xB0\xB4"), "<\xE6\xB0\xB4>");
}

TEST(PatternTest, IllFormedBytesAreOneCharacterEach) {
  EXPECT_EQ(last("a(.)b",
                 "a\xFF"
                 "b"),
            "<\xEF\xBF\xBD>");
  EXPECT_EQ(last("b", "\xC3"), "none");
  EXPECT_EQ(last("b$",
                 "\xE6\xB0"
                 "b"),
            "<b>");
}

// Each of a million matches used to look at the whole text again, which took hours.
TEST(PatternTest, ManyMatchesInALongTextAreFast) {
  const std::string text(1'000'000, 'a');
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(last("a", text), "<a>");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

}  // namespace
}  // namespace weir::text
