// A candidate's result against its base's, item by item, and the verdict of a gate.
//
// A rule's loss is how much worse the candidate is on average, in the metric's unit. With the
// two-sided interval of it (stats.h):
//   pass          the whole interval is below the margin, and there are as many items as the power
//                 asks
//   fail          the candidate loses the margin or more: one-sided p-value of "the loss is at most
//                 the margin", corrected by Holm over the rules, at most (1 - confidence) / 2
//   inconclusive  anything else: the interval straddles the margin, or the items are too few
// The gate passes when all rules pass (each at its own level: the intersection-union test needs no
// correction), fails when one fails, and is inconclusive otherwise. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/eval/gate.h"
#include "ops/eval/result.h"
#include "ops/eval/stats.h"

namespace weir::ops {

enum class Verdict { kPass, kFail, kInconclusive };
std::string_view verdict_name(Verdict verdict);  // "pass", "fail", "inconclusive"

struct RuleResult {
  GateRule rule;  // metric and direction filled in
  Verdict verdict = Verdict::kInconclusive;
  std::string why;  // one sentence
  int64_t items = 0;
  int64_t items_needed = 0;        // for the margin at the gate's power; at least min_items
  double base = 0, candidate = 0;  // means
  double loss = 0, loss_low = 0, loss_high = 0;
  double p_worse = 1;     // of "the loss is at most the margin", corrected
  bool binary = false;    // all scores are 0 or 1: then McNemar's test
  int64_t only_base = 0;  // items that only the base has right
  int64_t only_candidate = 0;
  double p_mcnemar = 1;  // two-sided, corrected
};

struct WorstItem {
  std::string task;
  std::string metric;
  const EvalItem* base = nullptr;
  const EvalItem* candidate = nullptr;
  double base_score = 0, candidate_score = 0;
  double loss = 0;  // in margins of its rule
};

struct Comparison {
  Verdict verdict = Verdict::kInconclusive;
  std::vector<RuleResult> rules;  // in the gate's order
  std::vector<WorstItem>
      worst;  // largest loss first, an item once, at most 20; point into the runs
};

// base and candidate are borrowed for as long as the result lives. Errors kInvalidValue: another
// suite, vocabulary, seed, task list, item, or members of requests at two URLs, each with both
// sides in the message; a rule for a task or metric that is not there, with the line and the
// nearest name.
Result<Comparison> compare_runs(const EvalRun& base, const EvalRun& candidate, const Gate& gate);

// {"verdict", "rules": […], "worst": […]}, behind the members of `head`, an object; one line.
std::string comparison_json(const Comparison& c, const EvalRun& base, const EvalRun& candidate,
                            const Gate& gate, text::Json head = text::Json::object());

}  // namespace weir::ops
