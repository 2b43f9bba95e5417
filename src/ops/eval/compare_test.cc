#include "ops/eval/compare.h"

#include <gtest/gtest.h>

namespace weir::ops {
namespace {

// One task of `n` right-or-wrong items; every `wrong`-th is wrong (0: none).
EvalRun run_of(size_t n, size_t wrong) {
  EvalRun run;
  run.model.name = "m";
  run.model.vocabulary = "aa";
  run.suite_name = "s";
  run.suite_hash = "1";
  EvalTask task;
  task.name = "t";
  task.kind = "multiple_choice";
  task.metric = "acc";
  for (size_t i = 0; i < n; ++i) {
    const double right = wrong > 0 && i % wrong == 0 ? 0 : 1;
    task.items.push_back({"t/" + std::to_string(i), {{"acc", right}, {"ms", 5}}, "p", "e", "a"});
  }
  run.tasks.push_back(task);
  return run;
}

Gate gate_of(double margin) {
  Gate gate;
  gate.name = "gate.yaml";
  GateRule rule;
  rule.task = "t";
  rule.margin = margin;
  rule.line = 4;
  gate.rules.push_back(rule);
  return gate;
}

std::string error_of(const EvalRun& a, const EvalRun& b, const Gate& gate) {
  const auto c = compare_runs(a, b, gate);
  return c.ok() ? "" : c.error().message;
}

TEST(CompareRunsTest, PassesFailsAndDoesNotKnow) {
  const EvalRun good = run_of(2000, 0);
  const auto pass = compare_runs(good, run_of(2000, 200), gate_of(0.02));
  ASSERT_TRUE(pass.ok()) << pass.error().message;
  EXPECT_EQ(pass->verdict, Verdict::kPass) << pass->rules[0].why;
  EXPECT_NEAR(pass->rules[0].loss, 0.005, 1e-12);
  EXPECT_TRUE(pass->rules[0].binary);
  EXPECT_EQ(pass->rules[0].only_base, 10);
  EXPECT_NEAR(pass->rules[0].p_mcnemar, 2.0 / 1024, 1e-9);
  const EvalRun bad = run_of(2000, 10);
  const auto fail = compare_runs(good, bad, gate_of(0.02));
  EXPECT_EQ(fail->verdict, Verdict::kFail);
  EXPECT_EQ(fail->worst.size(), 20U);
  // A loss that is the margin: the interval straddles it.
  const auto straddles = compare_runs(good, bad, gate_of(0.1));
  EXPECT_EQ(straddles->verdict, Verdict::kInconclusive) << straddles->rules[0].why;
  EXPECT_NE(straddles->rules[0].why.find("does not decide"), std::string::npos);
  // The same way round for a metric that should fall.
  const auto better = compare_runs(bad, good, gate_of(0.02));
  EXPECT_EQ(better->verdict, Verdict::kPass);
}

// An interval about the margin says how many items would decide, not how many an equal candidate
// needs.
TEST(CompareRunsTest, AnIntervalAboutTheMarginSaysWhatWouldDecide) {
  const auto c = compare_runs(run_of(2000, 0), run_of(2000, 57), gate_of(0.02));
  ASSERT_TRUE(c.ok());
  const RuleResult& r = c->rules[0];
  ASSERT_EQ(r.verdict, Verdict::kInconclusive) << r.why;
  ASSERT_GE(r.items, r.items_needed);
  EXPECT_NE(r.why.find("2000 items; if the loss stays at 0.018, about"), std::string::npos)
      << r.why;
}

TEST(CompareRunsTest, OfAHandfulNothingIsSaidOfHowManyAreNeeded) {
  const auto c = compare_runs(run_of(3, 0), run_of(3, 0), gate_of(0.01));
  ASSERT_TRUE(c.ok());
  EXPECT_NE(c->rules[0].why.find("too few items: 3, and 8 at least are wanted"), std::string::npos)
      << c->rules[0].why;
}

TEST(CompareRunsTest, EqualResultsOfFewItemsAreInconclusive) {
  const auto few = compare_runs(run_of(20, 0), run_of(20, 0), gate_of(0.01));
  ASSERT_TRUE(few.ok());
  EXPECT_EQ(few->verdict, Verdict::kInconclusive);
  EXPECT_NE(few->rules[0].why.find("20 items; a margin of 0.01 needs"), std::string::npos);
  EXPECT_GT(few->rules[0].items_needed, 1000);
  EXPECT_EQ(compare_runs(run_of(3000, 0), run_of(3000, 0), gate_of(0.01))->verdict, Verdict::kPass);
}

TEST(CompareRunsTest, TwoItemsDoNotFailEither) {
  const auto two = compare_runs(run_of(2, 0), run_of(2, 1), gate_of(0.01));
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(two->verdict, Verdict::kInconclusive);
}

TEST(CompareRunsTest, OneFailureFailsAll) {
  EvalRun base = run_of(2000, 0);
  EvalRun candidate = base;
  base.tasks.push_back(base.tasks[0]);
  candidate.tasks.push_back(run_of(2000, 5).tasks[0]);
  base.tasks[1].name = candidate.tasks[1].name = "u";
  Gate gate = gate_of(0.02);
  gate.rules.push_back(gate.rules[0]);
  gate.rules[1].task = "u";
  const auto c = compare_runs(base, candidate, gate);
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->rules[0].verdict, Verdict::kPass);
  EXPECT_EQ(c->rules[1].verdict, Verdict::kFail);
  EXPECT_EQ(c->verdict, Verdict::kFail);
  const std::string json = comparison_json(*c, base, candidate, gate);
  EXPECT_TRUE(text::Json::parse(json).ok());
  EXPECT_NE(json.find("\"verdict\":\"fail\""), std::string::npos);
}

TEST(CompareRunsTest, RefusesWhatDoesNotCompare) {
  const EvalRun base = run_of(10, 0);
  EvalRun other = base;
  other.suite_hash = "2";
  EXPECT_NE(error_of(base, other, gate_of(1)).find("different suites: base s (1), candidate s (2)"),
            std::string::npos);
  other = base;
  other.model.vocabulary = "bb";
  EXPECT_NE(error_of(base, other, gate_of(1)).find("different vocabularies: base aa, candidate bb"),
            std::string::npos);
  other.model.vocabulary = "";  // of a URL it is not known
  EXPECT_EQ(error_of(base, other, gate_of(1)), "");
  other = base;
  other.seed = 3;
  EXPECT_NE(error_of(base, other, gate_of(1)).find("different seeds"), std::string::npos);
  other = base;
  other.tasks[0].name = "u";
  EXPECT_NE(error_of(base, other, gate_of(1)).find("the candidate has no task t"),
            std::string::npos);
  other = base;
  other.tasks[0].items[3].id = "t/x";
  EXPECT_NE(error_of(base, other, gate_of(1)).find("the candidate has no item t/3"),
            std::string::npos);
  EXPECT_NE(error_of(base, run_of(11, 0), gate_of(1)).find("candidate has 11 items, the base 10"),
            std::string::npos);
  other = base;
  other.tasks[0].items[3].prompt = "q";
  EXPECT_NE(error_of(base, other, gate_of(1)).find("item t/3 is another in the candidate's result"),
            std::string::npos);
}

TEST(CompareRunsTest, RulesNameWhatIsNotThere) {
  const EvalRun base = run_of(10, 0);
  Gate gate = gate_of(1);
  gate.rules[0].task = "tt";
  EXPECT_EQ(error_of(base, base, gate), "gate.yaml:4: no task tt in the results; the nearest is t");
  gate = gate_of(1);
  gate.rules[0].metric = "acd";
  gate.rules[0].higher_is_better = true;
  EXPECT_NE(error_of(base, base, gate).find("has no score acd; the nearest is acc"),
            std::string::npos);
  gate.rules[0].metric = "ms";
  gate.rules[0].higher_is_better.reset();
  EXPECT_NE(error_of(base, base, gate).find("better: higher"), std::string::npos);
}

// Beyond the first 4,096 bytes, and what no prompt holds.
TEST(CompareRunsTest, ItemsAreTheSameByTheirHashes) {
  EvalRun base = run_of(10, 0);
  for (EvalItem& item : base.tasks[0].items) item.hash = "aa";
  EvalRun other = base;
  EXPECT_EQ(error_of(base, other, gate_of(1)), "");
  other.tasks[0].items[4].hash = "bb";
  EXPECT_NE(error_of(base, other, gate_of(1)).find("item t/4 is another in the candidate's result"),
            std::string::npos);
  // A file has less of a prompt than a run.
  base.tasks[0].items[4].prompt = std::string(9000, 'p');
  const auto read = parse_eval_run(to_json(base));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->tasks[0].items[4].hash, "aa");
  EXPECT_EQ(error_of(*read, base, gate_of(1)), "");
  // Files of older versions have no hashes.
  for (EvalItem& item : base.tasks[0].items) item.hash.clear();
  EXPECT_EQ(error_of(*read, base, gate_of(1)), "");
  base.tasks[0].items[4].expected = "another";
  EXPECT_NE(error_of(*read, base, gate_of(1)).find("item t/4 is another"), std::string::npos);
}

TEST(CompareRunsTest, RequestsOfTwoServersAreTheSame) {
  EvalRun base = run_of(10, 0);
  base.model.where = "url";
  EvalRun other = base;  // of an older version, which does not say
  base.params.set(kExtraBodyParam, *text::Json::parse(R"({"temperature":1})"));
  base.params.set(kToolsInPromptParam, false);
  EXPECT_EQ(error_of(base, other, gate_of(1)), "");
  other.params = base.params;
  EXPECT_EQ(error_of(base, other, gate_of(1)), "");
  other.params.set(kExtraBodyParam, text::Json());
  const std::string said = error_of(base, other, gate_of(1));
  EXPECT_NE(said.find("different requests (extra_body): base {\"temperature\":1}, candidate null"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("run both with the same --extra-body"), std::string::npos) << said;
  other.params = base.params;
  other.params.set(kToolsInPromptParam, true);
  EXPECT_NE(error_of(base, other, gate_of(1)).find("(tools_in_prompt)"), std::string::npos);
  other.model.where = "local";  // which gets no requests
  EXPECT_EQ(error_of(base, other, gate_of(1)), "");
}

}  // namespace
}  // namespace weir::ops
