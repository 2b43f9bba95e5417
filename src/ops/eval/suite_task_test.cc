#include "ops/eval/suite_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

Result<Suite> suite_of(const std::string& task) {
  return parse_suite("name: x\ntasks:\n  - name: a\n    file: f\n" + task, "s.yaml");
}

TEST(SuiteTaskTest, ReadsEachKind) {
  const auto generate = suite_of(
      "    kind: generate\n    scorer: regex\n    pattern: '#### (\\d+)'\n    ignore: [case, "
      "punctuation]\n    max_tokens: 9\n    stop: [\"\\n\\n\", Q]\n    chat: false\n"
      "    instruction: Be brief.\n");
  ASSERT_TRUE(generate.ok()) << generate.error().message;
  const SuiteTask& g = generate->tasks[0];
  EXPECT_EQ(g.kind, "generate");
  EXPECT_EQ(g.format, "jsonl");
  EXPECT_EQ(g.metric, "acc");
  EXPECT_EQ(g.scorer.name, "regex");
  EXPECT_EQ(g.scorer.pattern, "#### (\\d+)");
  EXPECT_TRUE(g.scorer.ignore_case && g.scorer.ignore_punctuation && !g.scorer.ignore_whitespace);
  EXPECT_EQ(g.max_tokens, 9);
  EXPECT_EQ(g.stop, (std::vector<std::string>{"\n\n", "Q"}));
  EXPECT_FALSE(g.chat);
  EXPECT_EQ(g.instruction, "Be brief.");

  const auto retrieval = suite_of(
      "    kind: retrieval\n    lengths: [512, 1024]\n    depths: [0, 0.5, 1]\n"
      "    needle: Tom keeps {n} hats.\n    question: How many hats?\n");
  ASSERT_TRUE(retrieval.ok()) << retrieval.error().message;
  const RetrievalSpec& r = retrieval->tasks[0].retrieval;
  EXPECT_EQ(r.lengths, (std::vector<int32_t>{512, 1024}));
  EXPECT_EQ(r.depths, (std::vector<double>{0, 0.5, 1}));
  EXPECT_EQ(r.needle, "Tom keeps {n} hats.");

  const auto code = suite_of("    kind: code\n    format: mbpp\n    timeout_s: 3\n");
  ASSERT_TRUE(code.ok()) << code.error().message;
  EXPECT_EQ(code->tasks[0].format, "mbpp");
  EXPECT_EQ(code->tasks[0].timeout_s, 3);
  EXPECT_EQ(code->tasks[0].memory_mb, 1024);
  EXPECT_FALSE(code->tasks[0].instruction.empty());
  EXPECT_EQ(suite_of("    kind: code\n    chat: false\n")->tasks[0].instruction, "");

  const auto same = suite_of("    kind: determinism\n");
  ASSERT_TRUE(same.ok()) << same.error().message;
  EXPECT_EQ(same->tasks[0].metric, "same");
  EXPECT_TRUE(same->tasks[0].generates());
}

TEST(SuiteTaskTest, WhatIsWrongIsNamedWithItsLine) {
  for (const auto& [task, part] : std::vector<std::pair<std::string, std::string>>{
           {"    kind: generate\n", "s.yaml:3: scorer must be one of exact, regex, numeric"},
           {"    kind: generate\n    scorer: exactly\n",
            "s.yaml:6: scorer must be one of exact, regex"},
           {"    kind: generate\n    scorer: regex\n    pattern: '('\n",
            "s.yaml:7: the pattern \"(\" is wrong at byte 1: "},
           {"    kind: generate\n    scorer: refusal\n    patterns: [a, '[']\n", "s.yaml:7: "},
           {"    kind: generate\n    scorer: exact\n    pattern: a\n",
            "s.yaml:7: pattern is an option of regex, not of exact"},
           {"    kind: generate\n    scorer: exact\n    ignore: [case, colour]\n",
            "s.yaml:7: ignore takes case, whitespace and punctuation, not \"colour\""},
           {"    kind: generate\n    scorer: exact\n    metric: acc\n",
            "s.yaml:7: unknown key \"metric\""},
           {"    kind: generate\n    scorer: exact\n    max_tokens: 0\n", "max_tokens"},
           {"    kind: generate\n    scorer: exact\n    chat: perhaps\n",
            "s.yaml:7: chat must be true or false"},
           {"    kind: generate\n    scorer: exact\n    stop: stop\n",
            "s.yaml:7: stop must be a list"},
           {"    kind: generate\n    scorer: exact\n    format: bfcl\n", "scorer tool_call"},
           {"    kind: generate\n    scorer: exact\n    answers: b\n", "answers with bfcl"},
           {"    kind: generate\n    scorer: exact\n    format: gsm8k\n", "scorer numeric"},
           {"    kind: retrieval\n    depths: [0]\n", "s.yaml:3: lengths must be a list"},
           {"    kind: retrieval\n    lengths: [512]\n    depths: [0, 2]\n",
            "s.yaml:7: depths must be numbers from 0 to 1, not \"2\""},
           {"    kind: retrieval\n    lengths: [512, 512]\n    depths: [0]\n",
            "s.yaml:6: lengths must ascend"},
           {"    kind: retrieval\n    lengths: [512]\n    depths: [0]\n    answer: 7\n",
            "the needle must hold the answer"},
           {"    kind: determinism\n    scorer: exact\n", "s.yaml:6: unknown key \"scorer\""},
           {"    kind: code\n    timeout_s: 0\n", "timeout_s"},
           {"    kind: code\n    format: jsonl\n", "format must be one of humaneval, mbpp"},
           {"    kind: code\n    scorer: exact\n", "unknown key \"scorer\""},
           {"    kind: multiple_choice\n    scorer: exact\n", "unknown key \"scorer\""}}) {
    const auto suite = suite_of(task);
    ASSERT_FALSE(suite.ok()) << task;
    EXPECT_THAT(suite.error().message, HasSubstr(part)) << task;
  }
}

}  // namespace
}  // namespace weir::ops
