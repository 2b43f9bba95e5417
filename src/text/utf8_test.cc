#include "text/utf8.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <sstream>

#include "text/tokenizer_testing.h"

namespace weir::text {
namespace {

std::vector<std::string> fields(const std::string& line) {
  std::vector<std::string> out(1);
  for (const char c : line) {
    if (c == ':') {
      out.emplace_back();
    } else {
      out.back().push_back(c);
    }
  }
  return out;
}

std::string from_hex(const std::string& hex) {
  if (hex == "nothing") return "";
  std::string digits, out;
  for (const char c : hex) {
    if (c == ' ' || c == '\r') continue;
    digits.push_back(c);
    if (digits.size() < 2) continue;
    out.push_back(static_cast<char>(std::stoi(digits, nullptr, 16)));
    digits.clear();
  }
  return out;
}

// utf8tests.txt: "num:valid:text", "num:valid hex:bytes", "num:invalid hex:bytes:skipped:replaced".
TEST(Utf8, Utf8tests) {
  const std::string path = testing::shared_path("text/utf8tests.txt");
  if (!testing::exists(path)) GTEST_SKIP() << "no shared data at " << path;
  std::istringstream lines(testing::read_bytes(path));
  size_t valid = 0, invalid = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    auto f = fields(line);
    ASSERT_GE(f.size(), 3u) << line;
    f[1].erase(0, f[1].find_first_not_of(' '));
    if (f[1] == "valid" || f[1] == "valid hex") {
      const std::string bytes = f[1] == "valid" ? f[2] : from_hex(f[2]);
      EXPECT_TRUE(is_valid_utf8(bytes)) << line;
      EXPECT_EQ(replace_invalid_utf8(bytes), bytes) << line;
      ++valid;
    } else {
      ASSERT_EQ(f.size(), 5u) << line;
      EXPECT_FALSE(is_valid_utf8(from_hex(f[2]))) << line;
      EXPECT_EQ(replace_invalid_utf8(from_hex(f[2])), from_hex(f[4])) << line;
      ++invalid;
    }
  }
  EXPECT_GT(valid, 20u);
  EXPECT_GT(invalid, 50u);
  std::printf("%zu valid and %zu invalid cases of utf8tests\n", valid, invalid);
}

// The binary file, line by line, against the reference output.
TEST(Utf8, Utf8testsBinary) {
  const std::string path = testing::shared_path("text/utf8tests.bin");
  if (!testing::exists(path)) GTEST_SKIP() << "no shared data at " << path;
  EXPECT_EQ(replace_invalid_utf8(testing::read_bytes(path)),
            testing::read_bytes(testing::shared_path("text/utf8.replace.ref.txt")));
}

TEST(Utf8, EveryCodepointGoesThereAndBack) {
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string bytes;
    append_utf8(bytes, c);
    const Utf8Char back = decode_utf8(bytes, 0);
    ASSERT_TRUE(back.valid) << c;
    ASSERT_EQ(back.codepoint, c);
    ASSERT_EQ(back.length, bytes.size()) << c;
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      const Utf8Char part = decode_utf8(bytes.substr(0, cut), 0);
      ASSERT_TRUE(part.truncated && !part.valid && part.length == cut) << c << " cut at " << cut;
    }
  }
}

TEST(Utf8, CutsBetweenCharacters) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
  for (size_t n = 0; n <= text.size() + 1; ++n) {
    const std::string_view cut = cut_utf8(text, n);
    EXPECT_TRUE(is_valid_utf8(cut)) << n;
    EXPECT_LE(cut.size(), n);
    EXPECT_GE(cut.size() + 3, std::min(n, text.size()));
  }
}

TEST(Utf8, NoCodepointOutsideIsWritten) {
  for (const uint32_t c : {0xD800u, 0xDFFFu, 0x110000u, 0xFFFFFFFFu}) {
    std::string bytes;
    append_utf8(bytes, c);
    EXPECT_EQ(bytes, kReplacementUtf8) << c;
  }
}

}  // namespace
}  // namespace weir::text
