#include "engine/stop_scanner.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace weir::engine {
namespace {

TEST(StopScanner, FindsAStopStringAcrossPieces) {
  StopScanner s({"</end>"});
  EXPECT_EQ(s.push("hello </").text, "hello ");
  EXPECT_EQ(s.push("en").text, "");
  const auto out = s.push("d> more");
  EXPECT_TRUE(out.stopped);
  EXPECT_EQ(out.text, "");
  EXPECT_EQ(s.flush(), "");
}

TEST(StopScanner, LetsGoOfWhatDidNotBecomeAStop) {
  StopScanner s({"abc"});
  EXPECT_EQ(s.push("xab").text, "x");
  EXPECT_EQ(s.push("ab").text, "ab");
  EXPECT_EQ(s.flush(), "ab");
}

TEST(StopScanner, TakesTheFirstOfSeveral) {
  StopScanner s({"yy", "x"});
  const auto out = s.push("axyy");
  EXPECT_TRUE(out.stopped);
  EXPECT_EQ(out.text, "a");
}

// However the text is cut, the shown text is the text before the first stop, and nothing that could
// be shown is held back longer than a stop string's length.
TEST(StopScanner, CutsDoNotMatter) {
  Rng rng(3);
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (uint64_t i = 0, n = rng.below(30); i < n; ++i)
      text += static_cast<char>('a' + rng.below(3));
    const std::vector<std::string> stops{"abca", "cc"};
    size_t first = std::min(text.find(stops[0]), text.find(stops[1]));
    StopScanner s(stops);
    std::string shown;
    bool stopped = false;
    for (size_t at = 0; at < text.size() && !stopped;) {
      const size_t n = 1 + rng.below(4);
      const auto out = s.push(std::string_view(text).substr(at, n));
      shown += out.text;
      stopped = out.stopped;
      at += n;
      if (!stopped) {
        ASSERT_GE(shown.size() + 3, std::min(at, text.size()));
      }
    }
    shown += s.flush();
    // Pieces are scanned as they come, so an earlier piece may end with a stop that starts after a
    // longer one began.
    if (stopped) {
      ASSERT_LE(shown.size(), text.size());
      ASSERT_EQ(shown, text.substr(0, shown.size()));
      ASSERT_TRUE(text.compare(shown.size(), 4, "abca") == 0 ||
                  text.compare(shown.size(), 2, "cc") == 0);
    } else {
      ASSERT_EQ(first, std::string::npos);
      ASSERT_EQ(shown, text);
    }
  }
}

}  // namespace
}  // namespace weir::engine
