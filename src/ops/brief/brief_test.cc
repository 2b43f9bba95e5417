#include "ops/brief/brief.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ops/brief/brief_store.h"
#include "ops/brief/question.h"
#include "ops/data/embedded.h"
#include "ops/sources/days.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const int kToday = *day_number("2026-11-30");

const Trends& trends() {
  static const Trends all = *built_in_trends();
  return all;
}

constexpr std::string_view kFilled =
    "# Brief: vLLM vs SGLang?\n"
    "- kind: compare\n"
    "- topics: engine\n"
    "- written: 2026-11-29\n"
    "## Searches\n"
    "- [x] one\n"
    "## Current landscape\n"
    "<!-- a line\n- L9: inside a comment -->\n"
    "- L1: vLLM (V1) leads (release, 2026-11-20, https://a.example/x_(y))\n"
    "- L2: SGLang (docs, 2026-11-28, https://b.example)\n"
    "- L3: a law of scale (paper, 2025-01-01, https://c.example)\n"
    "## Emerging\n"
    "- E1: new (blog, 2026-10-01, https://d.example)\n"
    "## Declining\n"
    "- D1: old (code, 2026-11-01, https://e.example)\n"
    "## Recommendation\n"
    "- R1: stay [L1, E1] (release, 2026-11-20, https://a.example)\n";

std::vector<std::string> problems(std::string_view from = "", std::string_view to = "",
                                  int today = kToday) {
  std::string text(kFilled);
  if (!from.empty()) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  }
  std::vector<std::string> out;
  for (const BriefProblem& p : check_brief(text, trends(), today))
    out.push_back(fmt::format("{}: {}", p.line, p.what));
  return out;
}

TEST(Brief, ARecommendationMayRestOnItsLinesAlone) {
  const char* whole = "- R1: stay [L1, E1] (release, 2026-11-20, https://a.example)";
  EXPECT_THAT(problems(whole, "- R1: Migrate [L1, D1]"), IsEmpty());
  EXPECT_THAT(problems(whole, "- R1: Migrate [D1]"),
              ElementsAre("18: R1: refers to no line of the landscape: [L1]"));
  EXPECT_THAT(problems(whole, "- R1: Migrate"),
              Contains(HasSubstr("must end with (kind, day, link)")));
  EXPECT_THAT(problems(" (docs, 2026-11-28, https://b.example)", ""),
              Contains(HasSubstr("must end with (kind, day, link)")));
}

TEST(Trends, KindsTopicsAndSubjects) {
  const auto read = [](std::string_view text) { return read_question(text, trends()); };
  const auto topics = [](const TrendQuestion& q) {
    std::string out;
    for (const TrendTopic* t : q.topics) out += t->id + " ";
    return out;
  };
  TrendQuestion q = read("vLLM vs SGLang for chat?");
  EXPECT_EQ(q.kind->id, "compare");
  EXPECT_EQ(topics(q), "engine ");
  EXPECT_EQ(q.x + "|" + q.y, "vLLM|SGLang");
  EXPECT_EQ(q.subject, "vLLM SGLang chat");
  q = read("Which quantization should we use for Qwen3-32B on H100?");
  EXPECT_EQ(q.kind->id, "choose");
  EXPECT_EQ(topics(q), "quantization hardware ");
  EXPECT_EQ(q.subject, "quantization Qwen3-32B H100");
  for (const auto& [text, kind] : {std::pair("What's the best engine?", "choose"),
                                   std::pair("What GPU for a 70B model?", "choose"),
                                   std::pair("Is TGI still relevant?", "relevant"),
                                   std::pair("Latest version of TensorRT-LLM", "latest"),
                                   std::pair("Should we migrate to SGLang?", "migrate"),
                                   std::pair("How much is an H200 per hour", "price")}) {
    q = read(text);
    ASSERT_NE(q.kind, nullptr) << text;
    EXPECT_EQ(q.kind->id, kind) << text;
    EXPECT_FALSE(q.topics.empty()) << text;
  }
  EXPECT_EQ(read("Why is my pod restarting").kind, nullptr);
  EXPECT_EQ(read("").kind, nullptr);
}

TEST(Trends, SearchesHaveTheYearAndEachOnce) {
  const auto found = required_searches(read_question("vLLM vs SGLang?", trends()), kToday);
  EXPECT_THAT(found, Contains("vLLM vs SGLang benchmark 2026"));
  EXPECT_THAT(found, Contains("SGLang release notes November 2026"));
  EXPECT_EQ(std::set<std::string>(found.begin(), found.end()).size(), found.size());
  for (const std::string& s : found) EXPECT_EQ(s.find('{'), std::string::npos) << s;
  EXPECT_THAT(required_searches(read_question("vLLM vs SGLang?", trends()), kToday + 40),
              Contains("SGLang release notes January 2027"));
}

// Trees, topics of the ledger and files that data/trends.yaml names are there.
TEST(Trends, TheBuiltInOnesResolve) {
  const auto trees = built_in_trees();
  const auto sources = built_in_sources();
  ASSERT_TRUE(trees.ok() && sources.ok());
  for (const TrendTopic& t : trends().topics) {
    for (const std::string& name : t.trees)
      EXPECT_TRUE(std::any_of(trees->begin(), trees->end(), [&](const Tree& tree) {
        return tree.name == name;
      })) << name;
    const auto evidence =
        evidence_of(std::vector{&t}, *trees, *built_in_actions(), *sources, kToday);
    EXPECT_GE(evidence.size(), 8U) << t.id;
    for (const std::string& file : t.files)
      EXPECT_TRUE(std::any_of(evidence.begin(), evidence.end(), [&](const AgedEvidence& e) {
        return e.id == file;
      })) << file;
  }
}

TEST(Trends, WrongFilesAreNamed) {
  constexpr std::string_view kGood =
      "version: 1\nignore: [a]\nkinds:\n  - {id: k, title: t, words: [w], searches: [s]}\n"
      "topics:\n  - {id: t, title: t, words: [w], fresh_days: 3}\n";
  ASSERT_TRUE(parse_trends(kGood, "t.yaml").ok());
  const auto error = [&](std::string_view from, std::string_view to) {
    std::string text(kGood);
    text.replace(text.find(from), from.size(), to);
    const auto r = parse_trends(text, "t.yaml");
    return r.ok() ? "" : r.error().message;
  };
  EXPECT_THAT(error("searches", "search"),
              HasSubstr("t.yaml:4: unknown key \"search\"; the nearest"));
  EXPECT_THAT(error("fresh_days: 3", "fresh_days: 0"), HasSubstr("fresh_days must be an integer"));
  EXPECT_THAT(error(", fresh_days: 3", ""), HasSubstr("fresh_days is missing"));
  EXPECT_THAT(error("[w]", "w"), HasSubstr("words must be a list"));
  // The last line break may go.
  for (size_t n = 0; n + 2 < kGood.size(); ++n)
    EXPECT_FALSE(parse_trends(kGood.substr(0, n), "t.yaml").ok()) << n;
}

TEST(Brief, AFilledOneIsTaken) { EXPECT_THAT(problems(), IsEmpty()); }

TEST(Brief, WhatIsWrongIsNamed) {
  EXPECT_THAT(problems("https://b.example", "http://b.example"),
              ElementsAre("11: L2: \"http://b.example\" is no https link"));
  EXPECT_THAT(problems("2026-11-28", "2026-12-01"), ElementsAre("11: L2: 2026-12-01 lies ahead"));
  EXPECT_THAT(problems("docs, 2026-11-28", "docs, 2026-09-01"),
              ElementsAre("11: L2: 2026-09-01 is 90 days ago; of kind docs 60 at most"));
  EXPECT_THAT(problems("docs, ", "wiki, "), Contains(HasSubstr("kind \"wiki\" must be one of")));
  EXPECT_THAT(problems("docs, ", ""), Contains(HasSubstr("11: must end with (kind, day, link)")));
  EXPECT_THAT(problems("[L1, E1]", "[E1]"),
              ElementsAre("18: R1: refers to no line of the landscape: [L1]"));
  EXPECT_THAT(problems("[L1, E1]", "[L1, E2]"),
              ElementsAre("18: R1: refers to E2, which is not there"));
  EXPECT_THAT(problems("L2:", "L1:"), ElementsAre("11: L1 stands twice"));
  EXPECT_THAT(problems("L2:", "E2:"), Contains(HasSubstr("whose labels begin with L")));
  EXPECT_THAT(problems("- [x] one", "- [ ] one"),
              ElementsAre("0: 1 of 1 searches are not ticked: - [x] ..."));
  EXPECT_THAT(problems("- topics: engine", "- topics: motors"),
              ElementsAre("0: topics: there is no topic motors"));
  EXPECT_THAT(problems("## Emerging", "## Rising"), Contains("0: Emerging: 0 lines of at least 1"));
  EXPECT_THAT(problems("- written: 2026-11-29", "- written: soon"),
              ElementsAre("0: written: \"soon\" is no day"));
  // The same page does for a while only.
  EXPECT_THAT(problems("", "", kToday + 100),
              Contains(HasSubstr("L2: 2026-11-28 is 102 days ago")));
}

TEST(Brief, NoBeginningIsTaken) {
  // Behind its labels a recommendation is whole: what follows is a source of its own.
  const size_t labels = kFilled.rfind(']') + 1;
  for (size_t n = 0; n + 1 < kFilled.size(); ++n) {
    if (n == labels || n == labels + 1) continue;
    EXPECT_FALSE(check_brief(kFilled.substr(0, n), trends(), kToday).empty()) << n;
  }
}

TEST(Brief, TheTemplateIsToBeFilled) {
  const TrendQuestion q = read_question("vLLM vs SGLang?", trends());
  const AgedEvidence stale{"a-1", "docs", "2026-01-01", 333, 60, false};
  const std::string page =
      brief_template(q, required_searches(q, kToday), std::vector{stale}, kToday);
  EXPECT_THAT(page, HasSubstr("- [ ] vLLM vs SGLang benchmark 2026\n"));
  EXPECT_THAT(
      page,
      HasSubstr("- a-1 (docs): read 2026-01-01, 333 days ago; stale, 60 at most; unverified\n"));
  std::vector<std::string> found;
  for (const BriefProblem& p : check_brief(page, trends(), kToday)) found.push_back(p.what);
  EXPECT_EQ(found.size(), 5U) << fmt::format("{}",
                                             fmt::join(found, "\n"));  // searches, four sections
}

TEST(QuestionPage, AQuestionIsALine) {
  const os::TempDir dir;
  const int today = day_number("2026-11-30").value();
  EXPECT_TRUE(question_page("which gpu?", dir.path(), today).ok());
  for (const std::string& bad :
       {std::string("which gpu?\n## Recommendation"), std::string("which gpu\x1b[31m"),
        std::string("which gpu\xff"), "which gpu " + std::string(1000, 'x')}) {
    EXPECT_THAT(question_page(bad, dir.path(), today).error().message,
                HasSubstr("a question is one line of UTF-8"));
  }
}

TEST(BriefStore, KeepsAndFinds) {
  const os::TempDir dir;
  const std::string evidence = dir.path() + "/evidence";
  const auto trees = built_in_trees();
  ASSERT_TRUE(trees.ok());
  const auto state = [&](int today) {
    const auto all = brief_states(evidence, trends(), *trees, today);
    EXPECT_TRUE(all.ok());
    return all->front();  // engine
  };
  EXPECT_EQ(state(kToday).text(),
            "engine: unverified: no brief newer than 60 days; weir sources brief new \"QUESTION\" "
            "(about serving engines)");
  const auto file = store_brief(evidence, kFilled);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(*file, "brief-2026-11-29-vllm-vs-sglang.md");
  ASSERT_TRUE(store_brief(evidence, kFilled).ok());
  EXPECT_EQ(read_brief_index(evidence)->size(), 1U);
  EXPECT_EQ(state(kToday).text(), "engine: brief evidence/" + *file + " of 2026-11-29, 1 day old");
  EXPECT_EQ(state(kToday + 60).kind, BriefState::Kind::kOld);
  std::ofstream(evidence + "/" + *file, std::ios::app) << "more\n";
  EXPECT_EQ(state(kToday).kind, BriefState::Kind::kChanged);
  std::filesystem::remove(evidence + "/" + *file);
  EXPECT_EQ(state(kToday).kind, BriefState::Kind::kChanged);
}

TEST(BriefStore, EveryBeginningOfAnIndexIsRefused) {
  const os::TempDir dir;
  ASSERT_TRUE(store_brief(dir.path(), kFilled).ok());
  const std::string text = *os::read_file(dir.file("briefs.json"), 1 << 20);
  ASSERT_TRUE(parse_brief_index(text, "b").ok());
  for (size_t n = 0; n + 2 < text.size(); ++n)
    EXPECT_FALSE(parse_brief_index(text.substr(0, n), "b").ok()) << n;
  std::string bad = text;
  bad.replace(bad.find("brief-2026"), 5, "../br");
  EXPECT_THAT(parse_brief_index(bad, "b").error().message, HasSubstr("brief 0: file must be"));
}

}  // namespace
}  // namespace weir::ops
