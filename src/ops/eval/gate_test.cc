#include "ops/eval/gate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/paths_testing.h"
#include "ops/eval/stats.h"
#include "ops/eval/suite.h"

namespace weir::ops {
namespace {

std::string error_of(std::string_view text) {
  const auto gate = parse_gate(text, "gate.yaml");
  return gate.ok() ? "" : gate.error().message;
}

TEST(GateTest, ReadsAllKeys) {
  const auto gate = parse_gate(
      "confidence: 0.9\npower: 0.7\ncorrection: none\nresamples: 2000\nseed: 5\nrules:\n"
      "  - task: a\n    margin: 0.01\n  - {task: a, metric: f1, better: lower, margin: 2, "
      "min_items: 40}\n",
      "gate.yaml");
  ASSERT_TRUE(gate.ok()) << gate.error().message;
  EXPECT_EQ(gate->confidence, 0.9);
  EXPECT_EQ(gate->power, 0.7);
  EXPECT_FALSE(gate->holm);
  EXPECT_EQ(gate->resamples, 2000);
  EXPECT_EQ(gate->seed, 5U);
  ASSERT_EQ(gate->rules.size(), 2U);
  EXPECT_EQ(gate->rules[0].line, 7);
  EXPECT_FALSE(gate->rules[0].higher_is_better.has_value());
  EXPECT_EQ(gate->rules[1].higher_is_better, std::optional<bool>(false));
  EXPECT_EQ(gate->rules[1].min_items, 40);
}

TEST(GateTest, NamesLineAndNearestKey) {
  EXPECT_EQ(error_of("rules:\n  - task: a\n    margn: 0.01\n"),
            "gate.yaml:3: unknown key \"margn\"; the nearest is \"margin\"");
  EXPECT_EQ(error_of("confidense: 0.9\n"),
            "gate.yaml:1: unknown key \"confidense\"; the nearest is \"confidence\"");
  EXPECT_EQ(error_of("power: 2\nrules: []\n"),
            "gate.yaml:1: power must be a number from 0.5 to 0.9999, not \"2\"");
  EXPECT_NE(error_of("rules:\n  - task: a\n").find("gate.yaml:2: the rule of a has no margin"),
            std::string::npos);
  EXPECT_NE(error_of("rules:\n  - {task: a, margin: -1}\n").find("gate.yaml:2: margin must be"),
            std::string::npos);
  EXPECT_NE(error_of("rules:\n  - {task: a, margin: nan}\n").find("margin must be"),
            std::string::npos);
  EXPECT_NE(error_of("rules:\n  - {margin: 1}\n").find("no task"), std::string::npos);
  EXPECT_NE(error_of("rules:\n  - {task: a, margin: 1, better: up}\n").find("higher or lower"),
            std::string::npos);
  EXPECT_NE(error_of("rules:\n  - {task: a, margin: 1}\n  - {task: a, margin: 2}\n")
                .find("gate.yaml:3: a has a rule for this metric in line 2"),
            std::string::npos);
  EXPECT_NE(error_of("seed: 1.5\nrules: []\n").find("seed must be an integer"), std::string::npos);
  EXPECT_NE(error_of("rules: 3\n").find("gate.yaml:1: rules must be a list"), std::string::npos);
  EXPECT_NE(error_of("").find("must be a map"), std::string::npos);
}

TEST(GateTest, CutAtEveryByteGivesAGateOrAnError) {
  const std::string text = "power: 0.8\nrules:\n  - {task: a, margin: 0.5, better: higher}\n";
  for (size_t n = 0; n <= text.size(); ++n) {
    const auto gate = parse_gate(text.substr(0, n), "gate.yaml");
    EXPECT_TRUE(gate.ok() || gate.error().message.starts_with("gate.yaml:"))
        << n << gate.error().message;
  }
}

TEST(GateTest, TheDefaultHasARuleForEachTask) {
  EvalRun run;
  run.tasks.resize(2);
  run.tasks[0].name = "a";
  run.tasks[0].kind = "kl";
  run.tasks[1].name = "b";
  run.tasks[1].kind = "generate";
  const Gate gate = default_gate(run);
  ASSERT_EQ(gate.rules.size(), 2U);
  EXPECT_EQ(gate.rules[0].margin, 0.02);
  EXPECT_EQ(gate.rules[1].margin, 0.01);
}

// Every task of the release suite has a rule, and a candidate that changes no item passes it.
TEST(GateTest, TheReleaseGateFitsItsSuite) {
  const auto gate = read_gate(paths::repository("suites/gates/release.yaml"));
  const auto suite = read_suite(paths::repository("suites/release.yaml"));
  ASSERT_TRUE(gate.ok()) << gate.error().message;
  ASSERT_TRUE(suite.ok()) << suite.error().message;
  ASSERT_EQ(gate->rules.size(), suite->tasks.size());
  for (const GateRule& rule : gate->rules) {
    const auto task = std::find_if(suite->tasks.begin(), suite->tasks.end(),
                                   [&](const SuiteTask& t) { return t.name == rule.task; });
    ASSERT_NE(task, suite->tasks.end()) << rule.task;
    if (task->limit > 0) {
      EXPECT_EQ(rule.min_items, task->limit) << rule.task;
    }
    EXPECT_LE(items_for_margin(careful_binary_sd(0, rule.min_items), rule.margin, gate->confidence,
                               gate->power),
              rule.min_items)
        << rule.task;
  }
}

}  // namespace
}  // namespace weir::ops
