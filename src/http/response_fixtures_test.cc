// The response fixtures of llhttp (shared data, folder http/response): strict modes must accept and
// reject as llhttp does, except where we are stricter on purpose.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "http/fixtures_testing.h"
#include "http/response_parser.h"

namespace weir::http {
namespace {

struct Outcome {
  bool rejected = false;
  size_t messages = 0;
  std::string message;
  int status = 0;
  std::string body;
};

Outcome run(std::string_view bytes, bool ended) {
  Outcome outcome;
  while (!bytes.empty()) {
    ResponseParser parser{ResponseLimits{}};
    std::string body;
    while (!bytes.empty() && parser.phase() != ResponseParser::Phase::kDone &&
           parser.phase() != ResponseParser::Phase::kError) {
      bytes.remove_prefix(parser.feed(bytes, [&](std::string_view piece) { body += piece; }));
    }
    if (bytes.empty() && ended) parser.finish();
    if (outcome.messages == 0) {
      outcome.status = parser.head().status;
      outcome.body = body;
    }
    if (parser.phase() == ResponseParser::Phase::kError) {
      outcome.rejected = true;
      outcome.message = parser.error().message;
      break;
    }
    if (parser.phase() != ResponseParser::Phase::kDone) break;
    ++outcome.messages;
    if (!parser.keep_alive()) break;
  }
  return outcome;
}

enum class Differs { kRefused, kBody };

// Where weir differs from llhttp on purpose.
const std::map<std::string, std::pair<Differs, std::string>> kDifferences = {
    {"sample.md: RTSP response", {Differs::kRefused, "HTTP only"}},
    {"sample.md: ICE response", {Differs::kRefused, "HTTP only"}},
    {"sample.md: HTTP version 0.9", {Differs::kRefused, "HTTP/1.0 and 1.1 only"}},
    {"sample.md: Response starting with CRLF",
     {Differs::kRefused, "only servers may skip empty lines (RFC 9112 2.2)"}},
    {"connection.md: HTTP 100 first, then 400", {Differs::kRefused, "as above"}},
    {"connection.md: HTTP 304 with Content-Length", {Differs::kRefused, "as above"}},
    {"pipelining.md: Should parse multiple events", {Differs::kRefused, "as above"}},
    {"connection.md: HTTP 101 response with Upgrade and Content-Length header",
     {Differs::kRefused, "the client asks for no upgrade"}},
    {"connection.md: HTTP 101 response with Upgrade and Transfer-Encoding header",
     {Differs::kRefused, "as above"}},
    {"transfer-encoding.md: `chunked` before other transfer-encoding",
     {Differs::kRefused, "codings other than chunked are not supported"}},
    {"transfer-encoding.md: `chunkedchunked` transfer-encoding does not enable chunked enconding",
     {Differs::kRefused, "as above"}},
    {"transfer-encoding.md: multiple transfer-encoding where chunked is not the last one",
     {Differs::kRefused, "as above"}},
    {"connection.md: HTTP 103 first, then 200",
     {Differs::kBody, "the body is that of the answer, not of the interim one"}},
    {"content-length.md: Content-Length reset when no body is received",
     {Differs::kBody, "llhttp was told to skip the body (meta skipBody)"}},
};

// The log has one line a span and leaves line ends of a body out.
std::string without_line_ends(std::string text) {
  std::erase_if(text, [](char c) { return c == '\r' || c == '\n'; });
  return text;
}

TEST(ResponseFixtures, StrictModesAcceptAndRejectAsLlhttp) {
  const std::string folder = fixtures_folder("response");
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "no shared data; set WEIR_SHARED (looked in " << folder << ")";
  }
  size_t checked = 0;
  auto unused = kDifferences;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    for (const Fixture& fixture : read_fixtures(entry.path(), "response")) {
      ++checked;
      const auto listed = kDifferences.find(fixture.name);
      unused.erase(fixture.name);
      bool expected = llhttp_rejects(fixture.log);
      if (listed != kDifferences.end()) {
        EXPECT_FALSE(expected) << fixture.name;
        expected = listed->second.first == Differs::kRefused;
      }
      Outcome ours = run(fixture.bytes, false);
      // llhttp refuses within a line, we at its end or at the end of the head: let the head end.
      if (expected && !ours.rejected && ours.messages == 0)
        ours = run(fixture.bytes + "\r\n\r\n", false);
      EXPECT_EQ(ours.rejected, expected) << fixture.name << ": " << ours.message << "\n"
                                         << fixture.bytes << "\n"
                                         << fixture.log;
      if (ours.rejected || listed != kDifferences.end()) continue;
      EXPECT_EQ(without_line_ends(ours.body), without_line_ends(span(fixture.log, "body")))
          << fixture.name;
    }
  }
  EXPECT_GT(checked, 40U);
  for (const auto& [name, difference] : unused) ADD_FAILURE() << "no such fixture: " << name;
}

}  // namespace
}  // namespace weir::http
