#include "telemetry/scrubber.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::telemetry {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Case {
  const char* text;
  const char* wanted;
};

TEST(Scrubber, TakesOutKeys) {
  const Scrubber s;
  for (const Case& c : std::vector<Case>{
           {"key sk-proj-abcDEF123456 end", "key [key] end"},
           {"ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[key]"},
           {"Authorization: Bearer abc.def-ghi", "Authorization: Bearer [key]"},
           {"AKIAIOSFODNN7EXAMPLE", "[key]"},
           {"password: hunter2, ok", "password: [key], ok"},
           {"api_key=x", "api_key=[key]"},
           {"{\"client_secret\":\"q\"}", "{\"client_secret\":\"[key]\"}"},
           {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig_-x rest", "[key] rest"},
           {"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "[key]"},
           {"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
            "[key]-----END RSA PRIVATE KEY-----"},
           {"-----BEGIN PRIVATE KEY-----\ncut", "[key]"}})
    EXPECT_EQ(s.scrub(c.text), c.wanted) << c.text;
}

TEST(Scrubber, TakesOutAddressesAndNumbers) {
  const Scrubber s;
  for (const Case& c :
       std::vector<Case>{{"mail jane.doe+x@mail.example.org now", "mail [email] now"},
                         {"<a@b.co>", "<[email]>"},
                         {"card 4111 1111 1111 1111.", "card [card]."},
                         {"4111-1111-1111-1111", "[card]"},
                         {"5500005555555559", "[card]"},
                         {"12 4111 1111 1111 1111 99", "12 [card] 99"},
                         {"378282246310005", "[card]"},
                         {"call +49 30 1234567", "call [phone]"},
                         {"(555) 123-4567", "[phone]"},
                         {"555-123-4567", "[phone]"},
                         {"030 12345678", "[phone]"},
                         {"+15551234567", "[phone]"}})
    EXPECT_EQ(s.scrub(c.text), c.wanted) << c.text;
}

TEST(Scrubber, LeavesTheRest) {
  const Scrubber s;
  for (const char* text : {"The capital of France is Paris.",
                           "in 2024 there were 1234567 of them",
                           "3.14159265358979",
                           "4111111111111112",
                           "a @ b",
                           "x@localhost",
                           "version 1.2.3",
                           "12:34:56",
                           "192.168.100.200",
                           "smollm2-135m-instruct",
                           "some_long_function_name_without_digits",
                           "2026-11-25",
                           "the password is easy",
                           "a basic one",
                           "",
                           "+",
                           "(",
                           "@",
                           "@@",
                           "1",
                           "sk-"})
    EXPECT_EQ(s.scrub(text), text);
}

TEST(Scrubber, CutAtEveryByte) {
  const Scrubber s;
  const std::string text =
      "a@b.co 4111 1111 1111 1111 +49 30 1234567 sk-proj-abcDEF123456 Bearer xyzxyzxyz "
      "-----BEGIN PRIVATE KEY----- \xF0\x9F\x98\x80 password=\xff";
  for (size_t n = 0; n <= text.size(); ++n) {
    const std::string out = s.scrub(text.substr(0, n));
    EXPECT_THAT(out, Not(HasSubstr("4111 1111 1111 1111")));
    s.scrub(text.substr(n));
  }
}

TEST(Scrubber, Patterns) {
  const auto s = Scrubber::make({"EMP-\\d+", "(?i)projekt \\w+", "x*"});
  ASSERT_TRUE(s.ok()) << s.error().message;
  EXPECT_EQ(s->scrub("EMP-17 works on PROJEKT Weir, \xff EMP-18"),
            "[pattern] works on [pattern], \xff [pattern]");
  const auto bad = Scrubber::make({"ok", "(["});
  ASSERT_FALSE(bad.ok());
  EXPECT_THAT(bad.error().message, HasSubstr("pattern 2 is wrong at byte"));
  EXPECT_FALSE(Scrubber::make({""}).ok());
  EXPECT_FALSE(Scrubber::make(std::vector<std::string>(Scrubber::kMaxPatterns + 1, "a")).ok());
}

TEST(Scrubber, APatternThatExplodesTakesTheTextWithIt) {
  const auto s = Scrubber::make({"(a+)+$"});
  ASSERT_TRUE(s.ok());
  EXPECT_THAT(s->scrub(std::string(5000, 'a') + "b"), HasSubstr("took too long"));
}

// Linear: a megabyte of the worst for each rule ends.
TEST(Scrubber, LongHostileTexts) {
  const Scrubber s;
  for (const char* unit : {"@", "a@", "1 ", "1-", "+", "(", "-----BEGIN ", "password", "sk-", "a",
                           "bearer ", "1", "a.b@c.d"}) {
    std::string text;
    while (text.size() < (1 << 20)) text += unit;
    s.scrub(text);
  }
  EXPECT_LE(s.scrub(std::string(3 << 20, ' ')).size(), Scrubber::kMaxTextBytes);
}

}  // namespace
}  // namespace weir::telemetry
