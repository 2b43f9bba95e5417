#include "text/byte_runs.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::text {
namespace {

// Every byte at every place of texts of every length up to some words: the end is found exactly.
TEST(ByteRuns, FindTheFirstByteThatIsNotPlain) {
  for (size_t length = 0; length < 26; ++length) {
    for (size_t at = 0; at < length; ++at) {
      for (int c = 0; c < 256; ++c) {
        std::string text(length, 'a');
        text[at] = static_cast<char>(c);
        if (at + 1 < length) text[at + 1] = '\0';  // what comes behind does not matter
        const size_t next = at + 1 < length ? at + 1 : length;
        const bool plain = c >= 0x20 && c != '"' && c != '\\';
        ASSERT_EQ(plain_end(text, 0), plain ? next : at) << length << ' ' << at << ' ' << c;
        ASSERT_EQ(plain_end(text, at), plain ? next : at);
        text[length - 1] = at + 1 < length ? '\n' : text[length - 1];
        const bool line = c == '\n' || c == '\r';
        ASSERT_EQ(line_end(text, 0), line ? at : at + 1 < length ? length - 1 : length);
        text.replace(at + 1, std::string::npos, length - at - 1, 'b');
        ASSERT_EQ(ascii_end(text, 0), c < 0x80 ? length : at) << length << ' ' << at << ' ' << c;
        ASSERT_EQ(ascii_end(text, at), c < 0x80 ? length : at);
      }
    }
    const std::string text(length, ' ');
    EXPECT_EQ(plain_end(text, length), length);
    EXPECT_EQ(ascii_end(text, length), length);
  }
}

}  // namespace
}  // namespace weir::text
