// The request fixtures of llhttp (shared data, folder http/request): strict modes must accept and
// reject as llhttp does, except where we are stricter on purpose.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "http/fixtures_testing.h"
#include "http/request_parser.h"

namespace weir::http {
namespace {

struct Outcome {
  bool rejected = false;
  size_t messages = 0;
  std::string message;
  Request first;
};

Outcome run(std::string_view bytes) {
  ParserLimits limits;
  limits.require_host = false;  // most fixtures have none; request_parser_test checks it
  Outcome outcome;
  while (!bytes.empty()) {
    RequestParser parser(limits);
    while (!bytes.empty() && parser.phase() != RequestParser::Phase::kDone &&
           parser.phase() != RequestParser::Phase::kError) {
      bytes.remove_prefix(parser.feed(bytes));
    }
    if (outcome.messages == 0) outcome.first = parser.request();
    if (parser.phase() == RequestParser::Phase::kError) {
      outcome.rejected = true;
      outcome.message = parser.error().message;
      break;
    }
    if (parser.phase() != RequestParser::Phase::kDone) break;
    ++outcome.messages;
    if (!parser.keep_alive()) break;
  }
  return outcome;
}

enum class Differs { kRefused, kAccepted, kBody };

// Where weir differs from llhttp on purpose.
const std::map<std::string, std::pair<Differs, std::string>> kDifferences = {
    {"sample.md: No HTTP version", {Differs::kRefused, "HTTP/0.9 is not served"}},
    {"method.md: M-SEARCH request",
     {Differs::kRefused, "'*' is a target of OPTIONS only (RFC 9112 3.2.4)"}},
    {"method.md: SOURCE request with ICE", {Differs::kRefused, "HTTP only"}},
    {"method.md: OPTIONS request with RTSP", {Differs::kRefused, "HTTP only"}},
    {"method.md: ANNOUNCE request with RTSP", {Differs::kRefused, "HTTP only"}},
    {"transfer-encoding.md: POST with `chunked` as last transfer-encoding",
     {Differs::kRefused,
      "codings other than chunked are not supported, so such a body could not be read"}},
    {"transfer-encoding.md: POST with `chunked` as last transfer-encoding (multiple headers)",
     {Differs::kRefused, "as above; two Transfer-Encoding lines are a smuggling vector"}},
    {"invalid.md: Invalid method",
     {Differs::kAccepted, "any token is a method; routing answers 404 or 405"}},
    {"invalid.md: HTTP protocol and ANNOUNCE method", {Differs::kAccepted, "as above"}},
    {"content-length.md: Content-Length reset when no body is received",
     {Differs::kBody, "llhttp was told to skip the body (meta skipBody)"}},
    {"method.md: CONNECT with body", {Differs::kBody, "no tunnels: the body of CONNECT is a body"}},
};

TEST(Fixtures, StrictModesAcceptAndRejectAsLlhttp) {
  if (!std::filesystem::exists(fixtures_folder("request"))) {
    GTEST_SKIP() << "no shared data; set WEIR_SHARED (looked in " << fixtures_folder("request")
                 << ")";
  }
  size_t checked = 0;
  auto unused = kDifferences;
  for (const auto& entry : std::filesystem::directory_iterator(fixtures_folder("request"))) {
    for (const Fixture& fixture : read_fixtures(entry.path(), "request")) {
      ++checked;
      const auto listed = kDifferences.find(fixture.name);
      unused.erase(fixture.name);
      const bool known = listed != kDifferences.end();
      bool expected = llhttp_rejects(fixture.log);
      if (known && listed->second.first != Differs::kBody) {
        EXPECT_NE(expected, listed->second.first == Differs::kRefused) << fixture.name;
        expected = !expected;
      }
      Outcome ours = run(fixture.bytes);
      // llhttp refuses within a line, we at its end or at the end of the head: let the head end.
      if (expected && !ours.rejected && ours.messages == 0) ours = run(fixture.bytes + "\r\n\r\n");
      EXPECT_EQ(ours.rejected, expected) << fixture.name << ": " << ours.message << "\n"
                                         << fixture.bytes << "\n"
                                         << fixture.log;
      if (ours.rejected || known) continue;
      EXPECT_EQ(ours.first.target, span(fixture.log, "url")) << fixture.name;
      EXPECT_EQ(ours.first.method, span(fixture.log, "method")) << fixture.name;
      EXPECT_EQ(ours.first.body, span(fixture.log, "body")) << fixture.name;
    }
  }
  EXPECT_GT(checked, 100U);
  for (const auto& [name, difference] : unused) ADD_FAILURE() << "no such fixture: " << name;
  RecordProperty("checked", static_cast<int>(checked));
}

}  // namespace
}  // namespace weir::http
