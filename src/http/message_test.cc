#include "http/message.h"

#include <gtest/gtest.h>

#include "http/sse.h"

namespace weir::http {
namespace {

TEST(Headers, FindIgnoresCase) {
  Headers headers = {{"Content-Type", "a"}, {"X", "1"}, {"x", "2"}};
  EXPECT_EQ(headers.find("content-type"), "a");
  EXPECT_EQ(headers.find("X"), "1");
  EXPECT_FALSE(headers.find("y").has_value());
  headers.set("X", "3");
  EXPECT_EQ(headers.find("x"), "3");
  EXPECT_EQ(headers.all().size(), 2U);
}

TEST(Headers, TokensInLists) {
  const Headers headers = {{"Connection", "Upgrade,  CLOSE "}, {"connection", "te"}};
  EXPECT_TRUE(headers.has_token("connection", "close"));
  EXPECT_TRUE(headers.has_token("connection", "te"));
  EXPECT_FALSE(headers.has_token("connection", "clos"));
  EXPECT_FALSE(headers.has_token("connection", ""));
}

TEST(PercentDecode, Cases) {
  EXPECT_EQ(percent_decode("a%2Fb%20+"), "a/b +");
  EXPECT_EQ(percent_decode(""), "");
  EXPECT_FALSE(percent_decode("%").has_value());
  EXPECT_FALSE(percent_decode("%2").has_value());
  EXPECT_FALSE(percent_decode("%g0").has_value());
}

TEST(Sse, OneLine) { EXPECT_EQ(sse_data("{\"a\":1}"), "data: {\"a\":1}\n\n"); }

TEST(Sse, LineEndsInsideStartAnotherDataLine) {
  EXPECT_EQ(sse_data("a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
  EXPECT_EQ(sse_data(""), "data: \n\n");
  std::string out;
  append_sse_event(out, "message_start", "x");
  EXPECT_EQ(out, "event: message_start\ndata: x\n\n");
}

}  // namespace
}  // namespace weir::http
