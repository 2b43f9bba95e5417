#include "ops/advise/advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "ops/advise/assumed.h"
#include "ops/advise/graph.h"
#include "ops/advise/try_line.h"
#include "ops/sources/sources.h"

namespace weir::ops {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kTree = R"(
tree: t
title: T
nodes:
  root:
    walk: [first, second]
  first:
    ask: Are there many?
    if: traffic.concurrency > 8
    yes: many
    no: few
    unknown: yes
  many:
    do: [batch]
  few:
    say: Nothing.
  second:
    ask: What is it?
    of: traffic.kind
    cases: {chat: many, else: few}
    unknown: chat
cases:
  - set: {traffic.concurrency: 9}
    reach: [many]
)";

constexpr std::string_view kActions = R"(
batch:
  title: Batch
  eases: decode
  already: stack.batching == continuous
  steps: [one]
  expect: [{what: speed, value: more, class: hypothesis}]
  try: "weir bench load --concurrency {traffic.concurrency} --rate {traffic.requests_per_s}"
  proves: p
  rollback: r
)";

Tree tree(std::string_view text = kTree) {
  auto t = parse_tree(text, "t.yaml");
  EXPECT_TRUE(t.ok()) << t.error().message;
  return t.ok() ? *t : Tree();
}

std::string tree_error(std::string_view from, std::string_view to) {
  std::string text(kTree);
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  const auto t = parse_tree(text, "t.yaml");
  return t.ok() ? "" : t.error().message;
}

Intake with(std::initializer_list<std::pair<const char*, const char*>> values) {
  Intake i;
  for (const auto& [path, value] : values)
    EXPECT_TRUE(i.set_text(path, value, Origin::kGiven, "").ok()) << path;
  return i;
}

TEST(Tree, WalksByWhatIsKnownAndSaysWhatItAssumed) {
  const Tree t = tree();
  const Walk known = walk_tree(t, with({{"traffic.concurrency", "4"}, {"traffic.kind", "rag"}}));
  ASSERT_EQ(known.steps.size(), 5U);
  EXPECT_EQ(known.steps[1].answer, "no");
  EXPECT_THAT(known.steps[1].tested, ElementsAre(std::pair("traffic.concurrency", "4 requests")));
  EXPECT_FALSE(known.steps[1].assumed);
  ASSERT_EQ(known.leaves.size(), 1U);  // both ways end in the same leaf
  EXPECT_EQ(known.leaves[0]->name, "few");

  const Walk unknown = walk_tree(t, {});
  EXPECT_TRUE(unknown.steps[1].assumed);
  EXPECT_EQ(unknown.steps[1].answer, "yes");
  EXPECT_EQ(unknown.steps[3].answer, "chat");
  EXPECT_THAT(unknown.steps[3].unknown, ElementsAre("traffic.kind"));
}

TEST(Tree, WrongOnesAreNamed) {
  EXPECT_THAT(tree_error("yes: many", "yes: mny"),
              HasSubstr("first leads to mny, which is not there"));
  EXPECT_THAT(tree_error("[first, second]", "[first]"), HasSubstr("no node leads to second"));
  EXPECT_THAT(tree_error("no: few", "no: root"), HasSubstr("leads back to itself"));
  EXPECT_THAT(tree_error("    ask: Are there many?\n", ""), HasSubstr("first asks nothing"));
  EXPECT_THAT(tree_error("traffic.concurrency > 8", "traffic.concurency > 8"),
              HasSubstr("t.yaml:9: condition"));
  EXPECT_THAT(tree_error("do: [batch]", "od: [batch]"),
              HasSubstr("unknown key \"od\"; the nearest is"));
  EXPECT_THAT(tree_error(", else: few", ""), HasSubstr("second has no case for agents"));
  EXPECT_THAT(tree_error("chat: many", "chta: many"), HasSubstr("never \"chta\""));
  EXPECT_THAT(tree_error("unknown: chat", "unknown: yes"), HasSubstr("second.unknown must be"));
  EXPECT_THAT(tree_error("reach: [many]", "reach: [root]"), HasSubstr("root is no leaf"));
  EXPECT_THAT(tree_error("set: {traffic.concurrency: 9}", "set: {traffic.concurrency: x}"),
              HasSubstr("traffic.concurrency: must be an integer"));
  EXPECT_THAT(tree_error("say: Nothing.", "walk: []"), HasSubstr("few must have one of"));
  for (size_t n = 0; n < kTree.size(); ++n) (void)parse_tree(kTree.substr(0, n), "t");
}

TEST(Advice, OrdersByWhereTheTimeGoesAndKnowsWhatIsDone) {
  std::string more(kActions);
  std::string second = std::string(kActions);
  second.replace(second.find("batch:"), 6, "fast:");
  second.replace(second.find("eases: decode"), 13, "eases: prefill");
  Actions actions;
  ASSERT_TRUE(parse_actions(more, "a", actions).ok());
  ASSERT_TRUE(parse_actions(second, "a", actions).ok());
  std::string text(kTree);
  text.replace(text.find("[batch]"), 7, "[batch, fast]");
  const std::vector<Tree> trees = {tree(text)};
  const auto slow_prefill = advise(trees, actions,
                                   with({{"observed.queue_ms_mean", "0"},
                                         {"observed.prefill_ms_mean", "300"},
                                         {"observed.decode_ms_mean", "100"}}));
  ASSERT_TRUE(slow_prefill.ok());
  ASSERT_EQ(slow_prefill->actions.size(), 2U);
  EXPECT_EQ(slow_prefill->actions[0].action->id, "fast");
  EXPECT_DOUBLE_EQ(slow_prefill->actions[0].share, 0.75);
  EXPECT_THAT(slow_prefill->missing, ElementsAre("traffic.concurrency", "traffic.kind"));

  const auto done = advise(trees, actions, with({{"stack.batching", "continuous"}}));
  EXPECT_EQ(done->actions[0].state, ActionState::kAlready);
  EXPECT_EQ(advise(trees, {}, {}).error().message, "tree t, line 13: there is no action batch");
}

TEST(Advice, LatencyFromQuantilesWhereMeansAreMissing) {
  const Latency l = latency_of(with({{"observed.ttft_ms_p50", "200"},
                                     {"observed.itl_ms_p50", "20"},
                                     {"observed.queue_ms_mean", "50"},
                                     {"traffic.output_tokens_p50", "11"}}));
  EXPECT_TRUE(l.known);
  EXPECT_EQ(l.queue_ms, 50);
  EXPECT_EQ(l.prefill_ms, 150);
  EXPECT_EQ(l.decode_ms, 200);
  EXPECT_FALSE(latency_of({}).known);
}

TEST(Advice, FillsCommandsIn) {
  const Intake i = with({{"traffic.concurrency", "9"}});
  EXPECT_EQ(fill_in("a {traffic.concurrency} b {slo.itl_ms_p95} {x} {", i),
            "a 9 b ITL_MS_P95 {x} {");
}

TEST(Advice, FieldsWeighWhatTheyCouldChange) {
  const auto weights = field_weights({tree()});
  ASSERT_EQ(weights.size(), 2U);
  EXPECT_EQ(weights[0].leaves, 2U);
  const auto sorted =
      by_weight({find_intake_field("model.name"), find_intake_field("traffic.kind")}, weights);
  EXPECT_EQ(sorted[0]->key.path, "traffic.kind");
}

TEST(Advice, BitsOfTheWeightsFollowFromTheirPrecision) {
  const auto trees = built_in_trees();
  const auto actions = built_in_actions();
  const Intake i = with({{"model.precision", "bf16"},
                         {"model.parameters_b", "70.6"},
                         {"hardware.memory_gb", "80"},
                         {"hardware.accelerators_per_node", "8"},
                         {"hardware.interconnect", "nvswitch"},
                         {"stack.tensor_parallel", "1"}});
  const auto advice = advise(*trees, *actions, i);
  ASSERT_TRUE(advice.ok());
  for (const Walk& w : advice->walks) {
    for (const WalkStep& s : w.steps) {
      EXPECT_THAT(s.unknown, ::testing::Not(Contains("model.bits_per_weight"))) << s.node->name;
      if (w.tree->name == "parallelism" && s.node->name == "fits") {
        EXPECT_EQ(s.answer, "yes");
        EXPECT_FALSE(s.assumed);
        EXPECT_THAT(s.tested, Contains(std::pair("model.bits_per_weight", "16 bits")));
      }
    }
  }
}

TEST(Advice, WhereNothingWasObservedAPlanSaysWhereTheTimeGoes) {
  PlanFile plan;
  plan.evidence_class = "hypothesis";
  plan.workload.output_p50 = 101;
  plan.low_alone.emplace().ttft_ms_p50 = 200;
  plan.low.emplace().ttft_ms_p50 = 500;
  plan.low->itl_ms_p50 = 20;
  plan.low->rate_per_s = 2;
  const Latency l = planned_latency(plan);
  EXPECT_TRUE(l.known);
  EXPECT_EQ(l.queue_ms, 300);
  EXPECT_EQ(l.prefill_ms, 200);
  EXPECT_EQ(l.decode_ms, 2000);
  EXPECT_THAT(l.how, HasSubstr("nothing was observed; hypothesis by the plan"));
  EXPECT_FALSE(planned_latency(PlanFile()).known);
  const std::vector<Tree> trees = {tree()};
  Actions actions;
  ASSERT_TRUE(parse_actions(kActions, "a", actions).ok());
  EXPECT_DOUBLE_EQ(advise(trees, actions, {}, &plan)->actions[0].share, 0.8);
  const Intake seen = with({{"observed.queue_ms_mean", "0"},
                            {"observed.prefill_ms_mean", "300"},
                            {"observed.decode_ms_mean", "100"}});
  EXPECT_DOUBLE_EQ(advise(trees, actions, seen, &plan)->actions[0].share, 0.25);
}

TEST(Advice, TriesWhatTheDeploymentHas) {
  Action a;
  a.command = "vllm serve MODEL";
  a.command_gguf = "weir serve MODEL";
  EXPECT_EQ(try_line(a, with({{"stack.engine", "vllm"}})), "vllm serve MODEL");
  EXPECT_EQ(try_line(a, with({{"stack.engine", "llama.cpp"}})), "weir serve MODEL");
  EXPECT_EQ(try_line(a, with({{"hardware.accelerators_per_node", "0"}})), "weir serve MODEL");
  a.command =
      "weir bench load --sweep 1:{traffic.requests_per_s_peak}:6 --slo "
      "ttft={slo.ttft_ms_p95}ms,itl={slo.itl_ms_p95}ms --html s.html";
  EXPECT_EQ(try_line(a, with({{"traffic.requests_per_s", "4"},
                              {"slo.ttft_ms_p95", "86400000"},
                              {"slo.itl_ms_p95", "50"}})),
            "weir bench load --sweep 1:4:6 --slo itl=50ms --html s.html");
  EXPECT_EQ(try_line(a, with({{"traffic.requests_per_s_peak", "9"}})),
            "weir bench load --sweep 1:9:6 --html s.html");
}

TEST(Advice, SaysHowMuchItAssumedAndWhatOfItMatters) {
  const auto trees = built_in_trees();
  const auto actions = built_in_actions();
  const auto advice = advise(*trees, *actions, {});
  ASSERT_TRUE(advice.ok());
  const auto lines = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  const std::string few = assumed_text(*advice, *trees, {}, false);
  EXPECT_EQ(lines(few), 7);  // the head, five, an empty one
  EXPECT_THAT(few, HasSubstr("these 5 could change most (-v: all)"));
  EXPECT_GT(lines(assumed_text(*advice, *trees, {}, true)), 30);
  EXPECT_EQ(assumed_text(Advice(), *trees, {}, false), "");
}

TEST(Graph, LightsTheWayTaken) {
  const Tree t = tree();
  const Walk w = walk_tree(t, with({{"traffic.concurrency", "4"}, {"traffic.kind", "chat"}}));
  const std::string mermaid = tree_mermaid(t, &w);
  EXPECT_THAT(mermaid, HasSubstr("n1 -->|no| n3"));
  EXPECT_THAT(mermaid, HasSubstr("class n3 lit"));
  EXPECT_THAT(tree_svg(t, &w), HasSubstr("Are there many?"));
  EXPECT_THAT(tree_svg(t, nullptr), ::testing::Not(HasSubstr("#0a7")));
}

// Of what the program carries.

TEST(BuiltInTrees, EveryLeafIsReachedByACase) {
  const auto trees = built_in_trees();
  ASSERT_TRUE(trees.ok()) << trees.error().message;
  ASSERT_FALSE(trees->empty());
  EXPECT_EQ(trees->front().name, "start");
  for (const Tree& t : *trees) {
    std::set<std::string> left;
    for (const TreeNode& n : t.nodes) {
      if (n.leaf) left.insert(n.name);
    }
    for (const TreeCase& c : t.cases) {
      const Walk w = walk_tree(t, c.intake);
      std::vector<std::string> leaves;
      for (const TreeNode* leaf : w.leaves) leaves.push_back(leaf->name);
      for (const std::string& leaf : c.reach) {
        EXPECT_THAT(leaves, Contains(leaf)) << t.name << ", line " << c.line;
        left.erase(leaf);
      }
    }
    EXPECT_THAT(left, ElementsAre()) << t.name << ": leaves that no case reaches";
  }
}

// "83,488 to 166,992" -> "83488", "166992".
std::vector<std::string> numbers_of(std::string text) {
  std::erase(text, ',');
  static const std::regex kNumber("[0-9]+(\\.[0-9]+)?");
  return {std::sregex_token_iterator(text.begin(), text.end(), kNumber), {}};
}

TEST(BuiltInTrees, FiguresAreThoseOfTheirClaims) {
  const auto actions = built_in_actions();
  const auto sources = built_in_sources();
  ASSERT_TRUE(actions.ok() && sources.ok());
  size_t compared = 0;
  for (const auto& [id, action] : *actions) {
    for (const Expectation& e : action.expect) {
      if (e.kind != "sourced") continue;
      const SourceClaim& c = *sources->find(e.source)->claim(e.claim);
      const auto claimed = numbers_of(c.value + " " + c.text + " " + c.workload);
      for (const std::string& number : numbers_of(e.value)) {
        EXPECT_THAT(claimed, Contains(number)) << id << ": " << e.source << "#" << e.claim;
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 100U);
}

TEST(BuiltInTrees, WhatTheyTellAndCiteIsThere) {
  const auto trees = built_in_trees();
  const auto actions = built_in_actions();
  const auto sources = built_in_sources();
  ASSERT_TRUE(trees.ok());
  ASSERT_TRUE(actions.ok()) << actions.error().message;
  ASSERT_TRUE(sources.ok()) << sources.error().message;
  std::set<std::string> told;
  for (const Tree& t : *trees) {
    for (const TreeNode& n : t.nodes) {
      for (const std::string& id : n.because)
        EXPECT_NE(sources->find(id), nullptr) << t.name << "/" << n.name << ": " << id;
      EXPECT_TRUE(n.leaf || !n.walk.empty() || !n.because.empty())
          << t.name << "/" << n.name << " gives no reason";
      for (const std::string& id : n.actions) {
        EXPECT_TRUE(actions->contains(id)) << t.name << "/" << n.name << ": " << id;
        told.insert(id);
      }
    }
  }
  for (const auto& [id, action] : *actions) {
    EXPECT_TRUE(told.contains(id)) << id << " is told by no leaf";
    for (const Expectation& e : action.expect) {
      if (e.kind != "sourced") continue;
      const Source* s = sources->find(e.source);
      ASSERT_NE(s, nullptr) << id << ": " << e.source;
      EXPECT_NE(s->claim(e.claim), nullptr) << id << ": " << e.source << " claims no " << e.claim;
    }
  }
}

}  // namespace
}  // namespace weir::ops
