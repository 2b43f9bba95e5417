// The request fixtures of llhttp (shared data, folder http/request): strict modes must accept and
// reject as llhttp does, except where we are stricter on purpose.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "http/request_parser.h"

namespace weir::http {
namespace {

struct Fixture {
  std::string name;  // "file.md: heading", with #n for the n-th block below it
  std::string bytes;
  std::string log;
};

std::string shared_folder() {
  const char* shared = std::getenv("WEIR_SHARED");
  return std::string(shared != nullptr ? shared : WEIR_SOURCE_DIR "/../shared") +
         "/data/http/request";
}

// The README of the shared data says how a block becomes bytes.
std::string unescape(const std::string& block) {
  std::string joined;
  for (size_t i = 0; i < block.size(); ++i) {
    if (block[i] == '\\' && i + 1 < block.size() && block[i + 1] == '\n') {
      ++i;
    } else if (block[i] == '\n') {
      joined += "\r\n";
    } else {
      joined += block[i];
    }
  }
  std::string out;
  for (size_t i = 0; i < joined.size(); ++i) {
    if (joined[i] != '\\' || i + 1 == joined.size()) {
      out += joined[i];
      continue;
    }
    const char c = joined[++i];
    const size_t named = std::string("rntf").find(c);
    if (named != std::string::npos) {
      out += "\r\n\t\f"[named];
    } else if (c == 'x') {
      out += static_cast<char>(std::stoi(joined.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else if (c >= '0' && c <= '7') {
      size_t digits = 0;
      int value = 0;
      while (digits < 3 && i < joined.size() && joined[i] >= '0' && joined[i] <= '7') {
        value = value * 8 + (joined[i++] - '0');
        ++digits;
      }
      --i;
      out += static_cast<char>(value);
    } else {
      out += '\\';
      out += c;
    }
  }
  return out;
}

std::vector<Fixture> read_fixtures(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<Fixture> fixtures;
  std::string line;
  std::string heading;
  std::map<std::string, int> seen;
  bool strict = false;
  while (std::getline(file, line)) {
    if (line.starts_with("#")) heading = line.substr(line.find_first_not_of("# "));
    if (line.starts_with("<!-- meta="))
      strict = line.find("\"type\": \"request\"") != std::string::npos;
    const bool http = line == "```http";
    if (!http && line != "```log") continue;
    std::string block;
    while (std::getline(file, line) && line != "```") block += line + "\n";
    if (!strict) continue;
    if (http) {
      block.pop_back();
      std::string name = path.filename().string() + ": " + heading;
      if (const int n = ++seen[name]; n > 1) name += " #" + std::to_string(n);
      fixtures.push_back({name, unescape(block), {}});
    } else if (!fixtures.empty()) {
      fixtures.back().log = block;
    }
  }
  return fixtures;
}

// All values of span[name] in the log of the first message, joined.
std::string span(const std::string& log, const std::string& name) {
  std::string out;
  std::istringstream lines(log.substr(0, log.find("message complete")));
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find("span[" + name + "]=\"");
    if (at != std::string::npos)
      out += line.substr(at + name.size() + 8, line.size() - at - name.size() - 9);
  }
  return out;
}

// Codes of llhttp that are not a refusal of the bytes: 5 data after "Connection: close" (we stop
// reading there), 21 and 22 pauses, 23 to 31 is checked case by case below.
bool llhttp_rejects(const std::string& log) {
  for (size_t at = 0; (at = log.find("error code=", at)) != std::string::npos; ++at) {
    const int code = std::atoi(log.c_str() + at + 11);
    if (code != 5 && code != 21 && code != 22) return true;
  }
  return false;
}

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
  if (!std::filesystem::exists(shared_folder())) {
    GTEST_SKIP() << "no shared data; set WEIR_SHARED (looked in " << shared_folder() << ")";
  }
  size_t checked = 0;
  auto unused = kDifferences;
  for (const auto& entry : std::filesystem::directory_iterator(shared_folder())) {
    for (const Fixture& fixture : read_fixtures(entry.path())) {
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
