// Days, the ledger's text, citations, what is wrong and what is due, and addresses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "ops/data/embedded.h"
#include "ops/sources/citations.h"
#include "ops/sources/days.h"
#include "ops/sources/ledger_check.h"
#include "ops/sources/ledger_text.h"
#include "ops/sources/online.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Source source(std::string id, std::string kind = "docs", std::string accessed = "2026-11-01",
              std::string review = "2026-12-31") {
  Source s;
  s.title = "T " + id;
  s.url = "https://" + id + ".example/";
  s.publisher = "P";
  s.kind = std::move(kind);
  s.verified = true;
  s.accessed = std::move(accessed);
  s.review_by = std::move(review);
  s.topics = {"x"};
  s.claims = {{"c", "says \"so\"", "2x", "w", true}};
  s.id = std::move(id);
  return s;
}

TEST(Days, AreNumbers) {
  EXPECT_EQ(day_number("1970-01-01"), 0);
  EXPECT_EQ(day_number("2000-03-01"), 11'017);
  EXPECT_TRUE(day_number("2024-02-29"));
  for (const char* wrong : {"2025-02-29", "2025-2-29", "2025-00-10", "2025-04-31", "20x5-04-30", "",
                            "2025-04-+1", "-025-04-01", "2025-04-301"})
    EXPECT_FALSE(day_number(wrong)) << wrong;
  for (int n = -20'000; n < 80'000; n += 7) EXPECT_EQ(day_number(day_text(n)), n);
}

// Every entry of the program's ledger is written as it is read, to the byte.
TEST(LedgerText, IsTheLedgersOwn) {
  const std::string_view file = embedded_file("skill/data/sources.json");
  std::string text = "[\n";
  const auto all = built_in_sources();
  ASSERT_TRUE(all.ok());
  for (const Source& s : all->all) text += (text.size() > 2 ? ",\n" : "") + source_text(s);
  EXPECT_EQ(text + "\n]\n", file);
}

TEST(LedgerText, GrowsAndChangesInPlace) {
  const auto one = append_source("", "s.json", source("a-1"));
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_EQ(*append_source("[]\n", "s.json", source("a-1")), *one);
  const auto two = append_source(*one, "s.json", source("b-2"));
  ASSERT_TRUE(two.ok()) << two.error().message;
  EXPECT_TRUE(two->starts_with(one->substr(0, one->size() - 3)));
  Source changed = source("a-1");
  changed.note = "seen [ in a { list";
  const auto three = replace_source(*two, "s.json", changed);
  ASSERT_TRUE(three.ok()) << three.error().message;
  const auto read = parse_sources(*three, "s.json");
  EXPECT_EQ(read->find("a-1")->note, changed.note);
  EXPECT_EQ(read->find("b-2")->claims[0].text, "says \"so\"");
  // What others wrote in another style stays as it is.
  const std::string odd = "[" + source_text(source("z-9")) +
                          " ,{\"id\":\"y-8\",\"title\":\"}\",\"url\":"
                          "\"https://y/\",\"publisher\":\"P\",\"kind\":\"docs\",\"primary\":true,"
                          "\"verified\":true,\"accessed\":\"2026-11-01\",\"topics\":[\"x\"],"
                          "\"claims\":[],\"review_by\":\"2026-12-01\"}  ]";
  const auto more = replace_source(odd, "s.json", [] {
    Source s = source("y-8");
    s.title = "new";
    return s;
  }());
  ASSERT_TRUE(more.ok()) << more.error().message;
  EXPECT_TRUE(more->starts_with("[" + source_text(source("z-9")) + " ,{"));
  EXPECT_TRUE(more->ends_with("}  ]"));

  EXPECT_THAT(append_source(*two, "s.json", source("a-1")).error().message,
              HasSubstr("the id stands twice"));
  EXPECT_EQ(replace_source(*two, "s.json", source("c-3")).error().code, ErrorCode::kNotFound);
  for (size_t n = 1; n < two->size() - 1; ++n)
    EXPECT_FALSE(append_source(two->substr(0, n), "s.json", source("c-3")).ok()) << n;
}

TEST(Ledger, AProjectsOwnIsAddedAndShadowsNothing) {
  const os::TempDir dir;
  const std::string path = dir.path() + "/sources.json";
  const auto put = [&](const Source& s) { std::ofstream(path) << *append_source("", path, s); };
  const auto without = sources_with_project(path);
  ASSERT_TRUE(without.ok());
  put(source("own-1"));
  const auto with = sources_with_project(path);
  ASSERT_TRUE(with.ok()) << with.error().message;
  EXPECT_EQ(with->all.size(), without->all.size() + 1);
  Source shadow = source("own-1");
  shadow.id = without->all[0].id;
  put(shadow);
  EXPECT_THAT(sources_with_project(path).error().message, HasSubstr("give it another id"));
  shadow = source("own-1");
  shadow.url = without->all[0].url;
  put(shadow);
  EXPECT_THAT(sources_with_project(path).error().message, HasSubstr("cite that one"));
}

TEST(Citations, OfPages) {
  const auto found = page_citations(
      "Up to 2x [a-1, b-2]. A [link-text](https://x) and [ref-x][y].\n```sh\nx [code-1]\n```\n"
      "`[tick-1]` [hypothesis] [measured: bench-1.json] [x] [c-3]\n- [ ] todo [[d-4]]\n",
      "p.md");
  std::vector<std::string> ids;
  for (const Citation& c : found) ids.push_back(c.where + " " + c.id);
  EXPECT_THAT(ids, ElementsAre("p.md:1 a-1", "p.md:1 b-2", "p.md:5 c-3", "p.md:6 d-4"));
}

// What the program carries cites nothing that is not there, and its dates hold.
TEST(LedgerCheck, TheBuiltInOneIsRight) {
  const auto all = built_in_sources();
  const auto cited = built_in_citations();
  ASSERT_TRUE(all.ok() && cited.ok());
  EXPECT_GT(cited->size(), 200U);
  for (const LedgerFinding& f : check_ledger(*all, *cited, *day_number("2026-11-30"))) {
    EXPECT_EQ(f.severity, LedgerSeverity::kHint) << f.where << ": " << f.what;
  }
}

TEST(LedgerCheck, WhatIsWrongIsNamed) {
  Sources s;
  s.all = {source("a-1"), source("b-2", "price"), source("c-3"), source("d-4")};
  s.all[0].accessed = "2026-12-24";
  s.all[0].published = "2027";
  s.all[2].url = "https://A-1.example";
  s.all[3].verified = false;
  const std::vector<Citation> cited = {{"page:1", "a-1", "c"},
                                       {"page:2", "a-1", "no"},
                                       {"page:3", "none-5", ""},
                                       {"page:4", "c-3", ""},
                                       {"page:5", "d-4", ""}};
  std::vector<std::string> found;
  for (const LedgerFinding& f : check_ledger(s, cited, *day_number("2026-11-30")))
    found.push_back(fmt::format("{} {}: {}", ledger_severity_name(f.severity), f.where, f.what));
  EXPECT_THAT(
      found, ElementsAre(
                 "error page:2: cites claim no of a-1, which has none of that name",
                 "error page:3: cites none-5, which is not there",
                 "error a-1: was read on 2026-12-24, which is ahead",
                 "error a-1: was published on 2027, after it was read on 2026-12-24",
                 "warning b-2: review_by 2026-12-31 is 60 days after it was read; of kind price 30 "
                 "at most",
                 "warning c-3: has the same address as a-1",
                 "warning d-4: claim c is said to be read, the source is not verified",
                 "hint b-2: nothing cites it"));
}

TEST(LedgerDue, ByReviewAndByKind) {
  Sources s;
  s.all = {source("late", "docs", "2026-11-01", "2026-11-20"), source("old", "price"),
           source("fine", "paper", "2026-11-01", "2028-11-01")};
  const auto due = due_sources(s, *day_number("2026-12-02"));
  ASSERT_EQ(due.size(), 2U);
  EXPECT_EQ(due[0].source->id, "late");
  EXPECT_EQ(due[0].overdue_days, 12);
  EXPECT_EQ(due[0].why, "its review was due on 2026-11-20");
  EXPECT_EQ(due[1].overdue_days, 1);
  EXPECT_EQ(due[1].why, "read 31 days ago; kind price: 30 at most");
  EXPECT_TRUE(due_sources(s, *day_number("2026-11-19")).empty());
  EXPECT_EQ(stale_days("release"), 60);
  EXPECT_EQ(stale_days("datasheet"), 180);
}

http::Response answer(int status, http::Headers headers = {}) {
  http::Response r;
  r.status = status;
  r.headers = std::move(headers);
  return r;
}

// What servers say, by method and address.
OnlineAnswer asked(std::map<std::string, http::Response> pages) {
  return check_address(source("a-1"), [&](const std::string& url, const char* method) {
    const auto it = pages.find(std::string(method) + " " + url);
    return it == pages.end() ? Result<http::Response>(make_error(ErrorCode::kIo, "no host"))
                             : Result<http::Response>(it->second);
  });
}

TEST(Online, AnswersAreJudged) {
  const std::string at = "https://a-1.example/";
  EXPECT_EQ(asked({{"HEAD " + at, answer(200)}}).state, OnlineState::kFine);
  EXPECT_EQ(asked({}).state, OnlineState::kUnreachable);
  EXPECT_EQ(asked({{"HEAD " + at, answer(404)}}).state, OnlineState::kGone);
  EXPECT_EQ(asked({{"HEAD " + at, answer(405)}, {"GET " + at, answer(200)}}).state,
            OnlineState::kFine);
  EXPECT_EQ(asked({{"HEAD " + at, answer(403)}, {"GET " + at, answer(403)}}).state,
            OnlineState::kRefused);
  EXPECT_EQ(asked({{"HEAD " + at, answer(500)}, {"GET " + at, answer(502)}}).state,
            OnlineState::kBroken);
  const auto moved = asked(
      {{"HEAD " + at, answer(301, {{"Location", "/new"}})}, {"HEAD " + at + "new", answer(200)}});
  EXPECT_EQ(moved.state, OnlineState::kMoved);
  EXPECT_EQ(moved.address, at + "new");
  EXPECT_EQ(asked({{"HEAD " + at, answer(302, {{"Location", "/new"}})},
                   {"HEAD " + at + "new", answer(200)}})
                .state,
            OnlineState::kFine);
  EXPECT_THAT(asked({{"HEAD " + at, answer(302, {{"Location", "/"}})}}).what,
              HasSubstr("more than 5"));
  EXPECT_EQ(asked({{"HEAD " + at, answer(302, {{"Location", "http://x/"}})}}).state,
            OnlineState::kBroken);
  EXPECT_EQ(asked({{"HEAD " + at, answer(302)}}).state, OnlineState::kBroken);
  const auto changed =
      asked({{"HEAD " + at, answer(200, {{"Last-Modified", "Mon, 30 Nov 2026 03:00:00 GMT"}})}});
  EXPECT_EQ(changed.state, OnlineState::kChanged);
  EXPECT_EQ(changed.last_modified, "2026-11-30");
}

TEST(Online, HttpDates) {
  EXPECT_EQ(http_day("Tue, 01 Dec 2026 03:00:00 GMT"), "2026-12-01");
  for (const char* wrong :
       {"", "yesterday", "Tue, 31 Feb 2026 03:00:00 GMT", "Tue, 01 Dex 2026 03:00"})
    EXPECT_EQ(http_day(wrong), "") << wrong;
}

}  // namespace
}  // namespace weir::ops
