#include "ops/deploy/shell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> texts(const std::vector<Word>& words) {
  std::vector<std::string> out;
  for (const Word& w : words) out.push_back(w.text);
  return out;
}

std::vector<ShellCommand> split(std::string_view text) {
  auto r = split_commands(text, "f");
  EXPECT_TRUE(r.ok()) << r.error().message;
  return r.ok() ? *r : std::vector<ShellCommand>();
}

std::string error_of(std::string_view text, const ShellLimits& limits = {}) {
  const auto r = split_commands(text, "f", 1, limits);
  return r.ok() ? "" : r.error().message;
}

TEST(Shell, WordsQuotesAndLinesThatGoOn) {
  const auto c =
      split("# a comment\nvllm serve 'a b' \\\n  --x=\"1 \\\" 2\" \\\n  --y \"\" # end\n");
  ASSERT_EQ(c.size(), 1U);
  EXPECT_THAT(texts(c[0].words), ElementsAre("vllm", "serve", "a b", "--x=1 \" 2", "--y", ""));
  EXPECT_EQ(c[0].words[0].line, 2);
  EXPECT_EQ(c[0].words[3].line, 3);
  EXPECT_EQ(c[0].words[5].line, 4);
}

TEST(Shell, OperatorsSeparateCommandsAndAssignmentsStandInFront) {
  const auto c = split("cd /x && A=1 B='2 3' run a=b | tee log; (sub) &\nC=4\n");
  ASSERT_EQ(c.size(), 5U);
  EXPECT_THAT(texts(c[1].assignments), ElementsAre("A=1", "B=2 3"));
  EXPECT_THAT(texts(c[1].words), ElementsAre("run", "a=b"));
  EXPECT_THAT(texts(c[3].words), ElementsAre("sub"));
  EXPECT_THAT(texts(c[4].assignments), ElementsAre("C=4"));
}

TEST(Shell, ExpansionsStayAsTheyStand) {
  const auto c = split("run $A \"${B:-x y}\" $(nproc --all) `date` '$D' 5$ >log 2>&1 < in x");
  ASSERT_EQ(c.size(), 1U);
  EXPECT_THAT(texts(c[0].words),
              ElementsAre("run", "$A", "${B:-x y}", "$(nproc --all)", "`date`", "$D", "5$", "x"));
  EXPECT_TRUE(c[0].words[1].expands && c[0].words[2].expands && c[0].words[3].expands);
  EXPECT_FALSE(c[0].words[5].expands || c[0].words[6].expands);
}

TEST(Shell, WhatHasNoEndSaysWhereItBegan) {
  EXPECT_EQ(error_of("a\nb 'c\nd\n"), "f:2: a quote without an end");
  EXPECT_EQ(error_of("a $(b (c)"), "f:1: a substitution without an end");
  EXPECT_THAT(error_of("cat <<E\nx\nE\n"), HasSubstr("here-documents"));
  EXPECT_THAT(error_of("a b c", {.max_words = 2}), HasSubstr("more than 2 words"));
  EXPECT_THAT(error_of("a b c", {.max_bytes = 4}), HasSubstr("larger than 4 bytes"));
}

TEST(Shell, EveryBeginningOfATextIsReadOrRefused) {
  const std::string text = "A=1 x \"$(a b)\" 'c' \\\n ${d} `e` >f # g\n";
  for (size_t n = 0; n <= text.size(); ++n) (void)split_commands(text.substr(0, n), "f");
}

TEST(Shell, QuotedWordsReadBack) {
  for (const char* word : {"a", "a b", "it's", "", "{\"k\": \"$v\"}", "#x", "a\nb"}) {
    const auto c = split(shell_quote(word));
    ASSERT_EQ(c.size(), 1U) << word;
    EXPECT_THAT(texts(c[0].words), ElementsAre(word));
  }
  EXPECT_EQ(shell_quote("--max-model-len=8192"), "--max-model-len=8192");
}

}  // namespace
}  // namespace weir::ops
