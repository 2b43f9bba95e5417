#include "http/response_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "http/random_edits_testing.h"

namespace weir::http {
namespace {

using Phase = ResponseParser::Phase;

struct Parsed {
  ResponseParser parser;
  std::string body;
  size_t taken = 0;
};

// Feeds in pieces of `step` bytes.
Parsed parse(std::string_view bytes, ResponseLimits limits = {}, size_t step = 1 << 20,
             bool to_head = false) {
  Parsed p{ResponseParser(limits, to_head), {}, 0};
  const auto sink = [&](std::string_view piece) {
    EXPECT_FALSE(piece.empty());
    p.body += piece;
  };
  while (p.taken < bytes.size() && p.parser.phase() != Phase::kDone &&
         p.parser.phase() != Phase::kError) {
    p.taken += p.parser.feed(bytes.substr(p.taken, step), sink);
  }
  return p;
}

constexpr std::string_view kFixed =
    "HTTP/1.1 200 OK\r\nX-A:  b c \t\r\nContent-Length: 5\r\n\r\nhello";
constexpr std::string_view kChunked =
    "HTTP/1.1 100 Continue\r\n\r\n"
    "HTTP/1.1 503\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n"
    "5;a=b;c=\"d\\\" e\"\r\nhello\r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
constexpr std::string_view kUntilClose = "HTTP/1.0 404 Not \xC3\xA4 Found\r\n\r\nhello";

TEST(ResponseParser, FixedBody) {
  const Parsed p = parse(kFixed);
  ASSERT_EQ(p.parser.phase(), Phase::kDone) << p.parser.error().message;
  EXPECT_EQ(p.parser.head().status, 200);
  EXPECT_EQ(p.parser.head().headers.find("x-a"), "b c");
  EXPECT_EQ(p.body, "hello");
  EXPECT_TRUE(p.parser.keep_alive());
}

TEST(ResponseParser, ChunkedBodyBehindAnInterimAnswer) {
  const Parsed p = parse(kChunked);
  ASSERT_EQ(p.parser.phase(), Phase::kDone) << p.parser.error().message;
  EXPECT_EQ(p.parser.head().status, 503);
  EXPECT_EQ(p.body, "hello0123456789");
  EXPECT_FALSE(p.parser.head().headers.contains("trailer"));
  EXPECT_FALSE(p.parser.keep_alive());
}

TEST(ResponseParser, BodyUpToTheEndOfTheStream) {
  Parsed p = parse(kUntilClose);
  EXPECT_EQ(p.parser.phase(), Phase::kBody);
  p.parser.finish();
  EXPECT_EQ(p.parser.phase(), Phase::kDone);
  EXPECT_EQ(p.body, "hello");
  EXPECT_FALSE(p.parser.keep_alive());
}

TEST(ResponseParser, AnyCutGivesTheSame) {
  for (const std::string_view bytes : {kFixed, kChunked}) {
    const std::string whole = parse(bytes).body;
    for (size_t step = 1; step < bytes.size(); ++step) {
      const Parsed p = parse(bytes, {}, step);
      ASSERT_EQ(p.parser.phase(), Phase::kDone) << step;
      EXPECT_EQ(p.taken, bytes.size());
      EXPECT_EQ(p.body, whole);
    }
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
      Parsed p = parse(bytes.substr(0, cut));
      EXPECT_NE(p.parser.phase(), Phase::kDone) << cut;
      EXPECT_NE(p.parser.phase(), Phase::kError) << cut;
      p.parser.finish();
      EXPECT_EQ(p.parser.phase(), Phase::kError) << cut;
      EXPECT_EQ(p.parser.error().code, ErrorCode::kIo) << cut;
    }
  }
}

TEST(ResponseParser, LeavesTheNextAnswerAlone) {
  const std::string two = std::string(kFixed) + std::string(kChunked);
  EXPECT_EQ(parse(two).taken, kFixed.size());
}

TEST(ResponseParser, StopsAtTheEndOfTheHead) {
  ResponseParser parser{ResponseLimits{}};
  EXPECT_EQ(parser.feed(kFixed, [](std::string_view) { FAIL(); }), kFixed.size() - 5);
  EXPECT_TRUE(parser.head_done());
}

TEST(ResponseParser, AnswersWithoutBody) {
  const std::string length = "Content-Length: 5\r\n\r\n";
  EXPECT_EQ(parse("HTTP/1.1 204 No Content\r\n" + length).parser.phase(), Phase::kDone);
  EXPECT_EQ(parse("HTTP/1.1 304 Not Modified\r\n" + length).parser.phase(), Phase::kDone);
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\n" + length, {}, 1 << 20, true).parser.phase(), Phase::kDone);
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").parser.phase(), Phase::kDone);
}

TEST(ResponseParser, Refused) {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  const std::vector<std::string> bad = {
      "HTTP/2.0 200 OK\r\n",
      "http/1.1 200 OK\r\n",
      "HTTP/1.1  200 OK\r\n",
      "HTTP/1.1 20 OK\r\n",
      "HTTP/1.1 2000 OK\r\n",
      "HTTP/1.1 099 OK\r\n",
      "HTTP/1.1 -20 OK\r\n",
      "HTTP/1.1200 OK\r\n",
      "\r\nHTTP/1.1 200 OK\r\n",
      "HTTP/1.1 101 Switching Protocols\r\n\r\n",
      head + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
      head + "Content-Length: +1\r\n\r\n",
      head + "Content-Length: 1, 1\r\n\r\n",
      head + "Content-Length:\r\n\r\n",
      head + "Content-Length: 99999999999999999999\r\n\r\n",
      head + "Transfer-Encoding: gzip, chunked\r\n\r\n",
      head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      head + "A: b\r\n c: folded\r\n\r\n",
      head + "A : b\r\n\r\n",
      head + "A\r\n\r\n",
      head + ": b\r\n\r\n",
      head + "A: b\nC: d\r\n\r\n",
      head + "A: b\rC: d\r\n\r\n",
      head + std::string("A: b\0c\r\n\r\n", 11),
      head + "\n",
      chunked + "g\r\n",
      chunked + "\r\n",
      chunked + "5 \r\nhello\r\n",
      chunked + "0x5\r\nhello\r\n",
      chunked + "-5\r\nhello\r\n",
      chunked + "5;\r\nhello\r\n",
      chunked + "5\nhello\r\n",
      chunked + "5\r\nhelloX\r\n",
      chunked + "5\r\nhello\n",
      chunked + "00000000000000005\r\nhello\r\n",
      chunked + "5;" + std::string(2000, 'a') + "\r\n",
      chunked + "0\r\nbad trailer\r\n\r\n",
  };
  for (const std::string& bytes : bad) {
    const Parsed p = parse(bytes);
    EXPECT_EQ(p.parser.phase(), Phase::kError) << testing::PrintToString(bytes);
    EXPECT_EQ(p.parser.error().code, ErrorCode::kBadRequest) << testing::PrintToString(bytes);
  }
}

TEST(ResponseParser, Limits) {
  ResponseLimits limits;
  limits.header_bytes = 100;
  limits.header_fields = 2;
  limits.interim_answers = 2;
  limits.body_bytes = 10;
  const auto refused = [&](const std::string& bytes) {
    const Parsed p = parse(bytes, limits);
    return p.parser.phase() == Phase::kError && p.parser.error().code == ErrorCode::kLimit;
  };
  const std::string head = "HTTP/1.1 200 OK\r\n";
  EXPECT_TRUE(refused(head + "A: " + std::string(100, 'a')));
  EXPECT_TRUE(refused(head + "a: 1\r\nb: 2\r\nc: 3\r\n\r\n"));
  EXPECT_FALSE(refused(head + "a: 1\r\nb: 2\r\n\r\n"));
  EXPECT_TRUE(refused(head + "Content-Length: 11\r\n\r\n"));
  EXPECT_FALSE(refused(head + "Content-Length: 10\r\n\r\n0123456789"));
  EXPECT_TRUE(refused(head + "\r\n01234567890"));
  EXPECT_FALSE(refused(head + "\r\n0123456789"));
  EXPECT_TRUE(refused(head + "Transfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n2\r\n"));
  const std::string interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
  EXPECT_FALSE(refused(interim + interim + head));
  EXPECT_TRUE(refused(interim + interim + interim));
}

// Random edits of good answers: whatever happens, feeding in one piece and byte by byte agree.
TEST(ResponseParser, HowBytesArriveDoesNotMatter) {
  Rng rng(7);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(round % 3 == 0 ? kFixed : round % 3 == 1 ? kChunked : kUntilClose);
    edit_randomly(rng, bytes);
    const Parsed whole = parse(bytes);
    const Parsed single = parse(bytes, {}, 1);
    ASSERT_EQ(whole.parser.phase(), single.parser.phase()) << testing::PrintToString(bytes);
    ASSERT_EQ(whole.body, single.body);
    ASSERT_EQ(whole.parser.error().message, single.parser.error().message);
  }
}

}  // namespace
}  // namespace weir::http
