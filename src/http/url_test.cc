#include "http/url.h"

#include <gtest/gtest.h>

namespace weir::http {
namespace {

TEST(Url, Parts) {
  const auto url = parse_url("HTTP://host.example:8080/base/v1/");
  ASSERT_TRUE(url.ok()) << url.error().message;
  EXPECT_EQ(url->host, "host.example");
  EXPECT_EQ(url->port, 8080);
  EXPECT_EQ(url->path, "/base/v1");
  EXPECT_EQ(url->authority(), "host.example:8080");
  EXPECT_EQ(parse_url("http://h")->port, 80);
  EXPECT_EQ(parse_url("http://h/")->path, "");
  EXPECT_EQ(parse_url("http://[::1]:9000")->host, "::1");
  EXPECT_EQ(parse_url("http://[::1]:9000")->authority(), "[::1]:9000");
}

TEST(Url, HttpsWhereItIsAsked) {
  const auto url = parse_http_or_https_url("HTTPS://host.example/base/");
  ASSERT_TRUE(url.ok()) << url.error().message;
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->path, "/base");
  EXPECT_EQ(url->authority(), "host.example");
  EXPECT_EQ(parse_http_or_https_url("https://h:8443")->authority(), "h:8443");
  EXPECT_EQ(parse_http_or_https_url("https://[::1]")->authority(), "[::1]");
  EXPECT_EQ(parse_http_or_https_url("http://h:443")->authority(), "h:443");
  EXPECT_FALSE(parse_http_or_https_url("http://h")->tls);
  EXPECT_EQ(parse_http_or_https_url("http://h")->port, 80);
  for (const char* text : {"", "ftp://h", "https://", "https://u@h", "https://h:0", "httpsh"})
    EXPECT_FALSE(parse_http_or_https_url(text).ok()) << text;
}

TEST(Url, Refused) {
  for (const char* text : {"", "h:80", "ftp://h", "https://h", "http://", "http:///x", "http://:80",
                           "http://h:", "http://h:0", "http://h:65536", "http://h:1x",
                           "http://h:80:81", "http://u@h", "http://h/?a", "http://h/#a",
                           "http://h/a b", "http://h/\r\nX: y", "http://[::1", "http://[::1]x"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_EQ(url.error().code, ErrorCode::kUsage);
  }
}

TEST(Url, Loopback) {
  for (const char* host : {"localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"})
    EXPECT_TRUE(is_loopback(host)) << host;
  for (const char* host : {"localhost.example", "10.0.0.1", "0.0.0.0", "128.0.0.1", "::2",
                           "127.0.0.1.example", "2130706433", ""})
    EXPECT_FALSE(is_loopback(host)) << host;
}

}  // namespace
}  // namespace weir::http
