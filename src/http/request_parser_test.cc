#include "http/request_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "http/random_edits_testing.h"

namespace weir::http {
namespace {

using Phase = RequestParser::Phase;

// Feeds in pieces of `step` bytes; returns the parser at the end of the first request, and how much
// was taken.
RequestParser parse(std::string_view bytes, ParserLimits limits = {}, size_t step = 1 << 20,
                    size_t* taken = nullptr) {
  RequestParser parser(limits);
  size_t used = 0;
  while (used < bytes.size() && parser.phase() != Phase::kDone && parser.phase() != Phase::kError) {
    used += parser.feed(bytes.substr(used, step));
  }
  if (taken != nullptr) *taken = used;
  return parser;
}

int status_of(std::string_view bytes, ParserLimits limits = {}) {
  const RequestParser parser = parse(bytes, limits);
  return parser.phase() == Phase::kError  ? parser.status()
         : parser.phase() == Phase::kDone ? 200
                                          : 0;
}

constexpr std::string_view kPost =
    "POST /v1/x?a=b&c HTTP/1.1\r\nHost: h:1\r\nX-A:  b c \t\r\nContent-Length: 5\r\n\r\nhello";
constexpr std::string_view kChunked =
    "PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "5;a=b;c=\"d\\\" e\"\r\nhello\r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\nHost: evil\r\n\r\n";

TEST(RequestParser, FixedBody) {
  RequestParser parser = parse(kPost);
  ASSERT_EQ(parser.phase(), Phase::kDone) << parser.error().message;
  const Request& request = parser.request();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/v1/x?a=b&c");
  EXPECT_EQ(request.path, "/v1/x");
  EXPECT_EQ(request.query, "a=b&c");
  EXPECT_EQ(request.headers.find("x-a"), "b c");
  EXPECT_EQ(request.body, "hello");
  EXPECT_EQ(request.version, 11);
  EXPECT_TRUE(parser.keep_alive());
}

TEST(RequestParser, ChunkedBodyWithoutItsTrailers) {
  RequestParser parser = parse(kChunked);
  ASSERT_EQ(parser.phase(), Phase::kDone) << parser.error().message;
  EXPECT_EQ(parser.request().body, "hello0123456789");
  EXPECT_EQ(parser.request().headers.all().size(), 2U);
  EXPECT_EQ(parser.request().headers.find("host"), "h");
}

TEST(RequestParser, AnyCutGivesTheSame) {
  for (const std::string_view bytes : {kPost, kChunked}) {
    for (size_t step = 1; step < bytes.size(); ++step) {
      size_t taken = 0;
      RequestParser parser = parse(bytes, {}, step, &taken);
      ASSERT_EQ(parser.phase(), Phase::kDone) << step;
      EXPECT_EQ(taken, bytes.size());
      EXPECT_EQ(parser.request().body, parse(bytes).request().body);
    }
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
      const RequestParser parser = parse(bytes.substr(0, cut));
      EXPECT_NE(parser.phase(), Phase::kDone) << cut;
      EXPECT_NE(parser.phase(), Phase::kError) << cut;
    }
  }
}

TEST(RequestParser, LeavesTheNextRequestAlone) {
  const std::string two = std::string(kPost) + std::string(kChunked);
  size_t taken = 0;
  EXPECT_EQ(parse(two, {}, 1 << 20, &taken).phase(), Phase::kDone);
  EXPECT_EQ(taken, kPost.size());
}

TEST(RequestParser, StopsAtTheEndOfTheHead) {
  RequestParser parser{ParserLimits{}};
  EXPECT_EQ(parser.feed(kPost), kPost.size() - 5);
  EXPECT_EQ(parser.phase(), Phase::kBody);
}

TEST(RequestParser, KeepAlive) {
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n").keep_alive());
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\n\r\n").keep_alive());
  EXPECT_TRUE(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive());
}

TEST(RequestParser, TargetForms) {
  const auto path = [](std::string_view start) {
    RequestParser parser = parse(std::string(start) + " HTTP/1.1\r\nHost: h\r\n\r\n");
    return parser.phase() == Phase::kDone ? parser.request().path + "?" + parser.request().query
                                          : "refused";
  };
  EXPECT_EQ(path("GET /a?b?c#d"), "/a?b?c");
  EXPECT_EQ(path("GET http://h:1/a/b?c"), "/a/b?c");
  EXPECT_EQ(path("GET http://h?c"), "/?c");
  EXPECT_EQ(path("GET HTTPS://h"), "/?");
  EXPECT_EQ(path("OPTIONS *"), "*?");
  EXPECT_EQ(path("GET *"), "refused");
  EXPECT_EQ(path("GET a"), "refused");
  EXPECT_EQ(path("GET http:///a"), "refused");
  EXPECT_EQ(path("GET /a b"), "refused");
  EXPECT_EQ(path("GET /\xc3\xa9"), "refused");
  EXPECT_EQ(path("GET "), "refused");
  EXPECT_EQ(path("GET"), "refused");
}

// Every smuggling trick and every malformed line is a 400.
TEST(RequestParser, BadRequests) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  const std::vector<std::string> bad = {
      head + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      head + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
      head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
      head + "Content-Length: 1\r\ncontent-length: 2\r\n\r\n",
      head + "Content-Length: 1, 1\r\n\r\n",
      head + "Content-Length: +1\r\n\r\n",
      head + "Content-Length: -1\r\n\r\n",
      head + "Content-Length: 0x1\r\n\r\n",
      head + "Content-Length: 1 1\r\n\r\n",
      head + "Content-Length:\r\n\r\n",
      head + "Transfer-Encoding: gzip, chunked\r\n\r\n",
      head + "Transfer-Encoding: chunked, identity\r\n\r\n",
      head + "Transfer-Encoding: identity\r\n\r\n",
      head + "Transfer-Encoding: xchunked\r\n\r\n",
      head + "Transfer-Encoding: \"chunked\"\r\n\r\n",
      head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      head + "Transfer-Encoding:\r\n\r\n",
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
      head + "Transfer-Encoding : chunked\r\n\r\n",
      head + "A: b\r\n c: folded\r\n\r\n",
      head + "\tA: b\r\n\r\n",
      head + "A\r\n\r\n",
      head + ": b\r\n\r\n",
      head + "A b: c\r\n\r\n",
      head + "A: b\nC: d\r\n\r\n",
      head + "A: b\rC: d\r\n\r\n",
      head + std::string("A: b\0c\r\n\r\n", 11),
      head + "A: b\x01\r\n\r\n",
      head + "A: b\x7f\r\n\r\n",
      head + "\xc3\xa9: b\r\n\r\n",
      head + "\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
      "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET / HTTP/2.0\r\n\r\n",
      "GET / http/1.1\r\n\r\n",
      "GET / HTTP/1.1 \r\n\r\n",
      " GET / HTTP/1.1\r\n\r\n",
      "GET  / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1x\r\n\r\n",
      "GET /\r\n\r\n",
      "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
      "\r\n\r\n\r\nGET / HTTP/1.1\r\n",
      "\x16\x03\x01\x02",  // a TLS client hello
      std::string(100, 'A'),
      chunked + "g\r\n",
      chunked + "\r\n",
      chunked + " 5\r\nhello\r\n",
      chunked + "5 \r\nhello\r\n",
      chunked + "0x5\r\nhello\r\n",
      chunked + "+5\r\nhello\r\n",
      chunked + "-5\r\nhello\r\n",
      chunked + "5\nhello\r\n",
      chunked + "5;\r\nhello\r\n",
      chunked + "5;a=\r\nhello\r\n",
      chunked + "5;a=\"b\r\nhello\r\n",
      chunked + "5\r\nhelloX\r\n",
      chunked + "5\r\nhello\n",
      chunked + "5\r\nhello\r\r",
      chunked + "00000000000000005\r\nhello\r\n",
      chunked + "5;" + std::string(2000, 'a') + "\r\n",
      chunked + "0\r\nbad trailer\r\n\r\n",
      chunked + "0\r\n folded: x\r\n\r\n",
      chunked + "0\r\nA: b\n\r\n",
  };
  for (const std::string& bytes : bad)
    EXPECT_EQ(status_of(bytes), 400) << testing::PrintToString(bytes);
}

TEST(RequestParser, LimitsHaveTheirStatus) {
  ParserLimits limits;
  limits.header_bytes = 300;
  limits.header_fields = 4;
  limits.target_bytes = 100;
  limits.body_bytes = 10;
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_EQ(status_of("GET /" + std::string(99, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", limits),
            200);
  EXPECT_EQ(status_of("GET /" + std::string(100, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", limits),
            414);
  EXPECT_EQ(status_of("GET /" + std::string(1000, 'a'), limits), 414);
  EXPECT_EQ(status_of(head + "A: " + std::string(300, 'a'), limits), 431);
  EXPECT_EQ(status_of(head + "a: 1\r\nb: 2\r\nc: 3\r\n\r\n", limits), 200);
  EXPECT_EQ(status_of(head + "a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n", limits), 431);
  EXPECT_EQ(status_of(head + "Content-Length: 11\r\n\r\n", limits), 413);
  EXPECT_EQ(status_of(head + "Content-Length: 99999999999999999999999999\r\n\r\n", limits), 413);
  EXPECT_EQ(status_of(head + "Content-Length: 10\r\n\r\n0123456789", limits), 200);
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(chunked + "b\r\n", limits), 413);
  EXPECT_EQ(status_of(chunked + "9\r\n123456789\r\n2\r\n", limits), 413);
  EXPECT_EQ(status_of(chunked + "ffffffffffffffff\r\n", limits), 413);
  EXPECT_EQ(status_of(chunked + "0\r\nA: " + std::string(300, 'a'), limits), 431);
  EXPECT_EQ(parse(head + "Content-Length: 11\r\n\r\n", limits).limit(), "body_bytes");
}

TEST(RequestParser, Expectations) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: ";
  EXPECT_TRUE(parse(head + "100-Continue\r\n\r\n").expects_continue());
  EXPECT_EQ(status_of(head + "tea\r\n\r\n"), 417);
  EXPECT_FALSE(
      parse("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n").expects_continue());
}

// Random edits of good requests: whatever happens, feeding in one piece and byte by byte agree.
TEST(RequestParser, HowBytesArriveDoesNotMatter) {
  Rng rng(7);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(round % 2 == 0 ? kPost : kChunked);
    edit_randomly(rng, bytes);
    size_t taken_whole = 0;
    size_t taken_single = 0;
    const RequestParser whole = parse(bytes, {}, 1 << 20, &taken_whole);
    const RequestParser single = parse(bytes, {}, 1, &taken_single);
    ASSERT_EQ(whole.phase(), single.phase()) << testing::PrintToString(bytes);
    ASSERT_EQ(taken_whole, taken_single) << testing::PrintToString(bytes);
    ASSERT_EQ(whole.request().body, single.request().body);
    ASSERT_EQ(whole.error().message, single.error().message);
  }
}

}  // namespace
}  // namespace weir::http
