#include "http/https_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::http {
namespace {

using ::testing::HasSubstr;

std::string problem(const char* url) {
  const auto r = parse_https_url(url);
  return r.ok() ? "" : r.error().message;
}

TEST(HttpsUrl, IsTakenApart) {
  const auto url = parse_https_url("https://a.example:8443/b?c=d#e");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->host, "a.example");
  EXPECT_EQ(url->port, "8443");
  EXPECT_EQ(url->target, "/b?c=d");
  EXPECT_EQ(url->authority(), "a.example:8443");
  EXPECT_EQ(parse_https_url("https://a.example")->target, "/");
  EXPECT_EQ(parse_https_url("https://a.example?q")->target, "/?q");
  EXPECT_EQ(parse_https_url("https://[::1]:1/")->host, "::1");
  EXPECT_EQ(parse_https_url("https://[::1]/")->authority(), "[::1]");
}

TEST(HttpsUrl, WrongOnesAreNamed) {
  EXPECT_THAT(problem("http://a"), HasSubstr("does not begin with https://"));
  EXPECT_THAT(problem("https://"), HasSubstr("the host is missing"));
  EXPECT_THAT(problem("https://u@a/"), HasSubstr("a user"));
  EXPECT_THAT(problem("https://a:x/"), HasSubstr("port is no number"));
  EXPECT_THAT(problem("https://[::1/"), HasSubstr("the ] is missing"));
  EXPECT_THAT(problem("https://a/b\r\nX: y"), HasSubstr("has a space"));
}

TEST(HttpsUrl, RedirectsResolve) {
  const HttpsUrl from = *parse_https_url("https://a.example:1/b/c?d");
  EXPECT_EQ(*resolve_location(from, "/x?y"), "https://a.example:1/x?y");
  EXPECT_EQ(*resolve_location(from, "z"), "https://a.example:1/b/z");
  EXPECT_EQ(*resolve_location(from, "//h/p"), "https://h/p");
  EXPECT_EQ(*resolve_location(from, "https://h/p#f"), "https://h/p");
  EXPECT_THAT(resolve_location(from, "http://h/").error().message, HasSubstr("https://"));
}

TEST(HttpsTrust, FilesAreChecked) {
  EXPECT_EQ(HttpsTrust::load("/nowhere/ca.pem").error().code, ErrorCode::kIo);
  EXPECT_EQ(HttpsTrust::load("/dev/null").error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(HttpsTrust::load("").ok());
}

// Nobody listens on port 1 of this machine.
TEST(HttpsHead, SaysThatNobodyAnswers) {
  const auto r = https_head(*parse_https_url("https://127.0.0.1:1/"), "HEAD", *HttpsTrust::load(""),
                            std::chrono::milliseconds(2000));
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kIo);
  EXPECT_THAT(r.error().message, HasSubstr("connect"));
}

}  // namespace
}  // namespace weir::http
