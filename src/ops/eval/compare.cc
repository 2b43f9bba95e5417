#include "ops/eval/compare.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "config/key.h"
#include "ops/eval/windows.h"
#include "text/utf8.h"

namespace weir::ops {
namespace {

constexpr size_t kWorst = 20;
constexpr size_t kShownBytes = 200;  // of a parameter

// Pairs of a task's items, in the base's order.
using Pairs = std::vector<std::pair<const EvalItem*, const EvalItem*>>;

Error differs(std::string_view what, std::string_view base, std::string_view candidate,
              std::string_view remedy) {
  return make_error(ErrorCode::kInvalidValue,
                    "the two results have different {}: base {}, candidate {}; {}", what,
                    base.empty() ? "none" : base, candidate.empty() ? "none" : candidate, remedy);
}

// What servers are asked beside the items, and of what sides say: older files say nothing, and of a
// model of this machine nothing is asked that way.
Status check_params(const EvalRun& base, const EvalRun& candidate) {
  if (base.model.where != "url" || candidate.model.where != "url") return {};
  for (const auto& [param, flag] :
       {std::pair(kExtraBodyParam, "--extra-body"), {kToolsInPromptParam, "--tools-in-prompt"}}) {
    const text::Json* a = base.params.find(param);
    const text::Json* b = candidate.params.find(param);
    if (a == nullptr || b == nullptr || *a == *b) continue;
    return differs(fmt::format("requests ({})", param), text::cut_utf8(a->dump(), kShownBytes),
                   text::cut_utf8(b->dump(), kShownBytes),
                   fmt::format("run both with the same {}", flag));
  }
  return {};
}

Status check_same(const EvalRun& base, const EvalRun& candidate) {
  if (base.suite_name != candidate.suite_name || base.suite_hash != candidate.suite_hash) {
    return differs("suites", fmt::format("{} ({})", base.suite_name, base.suite_hash),
                   fmt::format("{} ({})", candidate.suite_name, candidate.suite_hash),
                   "run the same suite file (for kl: the same --base) on both");
  }
  const std::string& a = base.model.vocabulary;
  const std::string& b = candidate.model.vocabulary;
  if (!a.empty() && !b.empty() && a != b) {
    return differs("vocabularies", a, b, "figures per token do not compare across vocabularies");
  }
  if (base.seed != candidate.seed) {
    return differs("seeds", std::to_string(base.seed), std::to_string(candidate.seed),
                   "compare results that were drawn with the same");
  }
  WEIR_TRY(check_params(base, candidate));
  for (const auto& [from, in, side] :
       {std::tuple{&base, &candidate, "candidate"}, std::tuple{&candidate, &base, "base"}}) {
    for (const EvalTask& task : from->tasks) {
      if (in->task(task.name) == nullptr) {
        return make_error(ErrorCode::kInvalidValue,
                          "the {} has no task {}; run the same suite on both", side, task.name);
      }
    }
  }
  return {};
}

// Whether both items ask the same, as far as they tell: what older files have of a prompt is its
// first 4,096 bytes. kind: of their task.
bool same_item(const EvalItem& a, const EvalItem& b, std::string_view kind) {
  if (kind == "kl") return true;  // the suite's hash names its text
  if (!a.hash.empty() && !b.hash.empty()) return a.hash == b.hash;
  if (written_text(a.prompt) != written_text(b.prompt)) return false;
  // Of the other kinds the answer of the model is part of what stands there.
  const bool fixed = kind == "multiple_choice" || kind == "generate" || kind == "retrieval";
  return !fixed || written_text(a.expected) == written_text(b.expected);
}

Result<Pairs> pair_items(const EvalTask& base, const EvalTask& candidate) {
  std::unordered_map<std::string_view, const EvalItem*> by_id;
  for (const EvalItem& item : candidate.items) by_id.emplace(item.id, &item);
  Pairs pairs;
  for (const EvalItem& item : base.items) {
    const auto found = by_id.find(item.id);
    if (found == by_id.end()) {
      return make_error(ErrorCode::kInvalidValue,
                        "task {}: the candidate has no item {} ({} items, the base {}); run both "
                        "with the same --limit",
                        base.name, item.id, candidate.items.size(), base.items.size());
    }
    if (!same_item(item, *found->second, base.kind)) {
      return make_error(ErrorCode::kInvalidValue,
                        "task {}: item {} is another in the candidate's result: its prompt, what "
                        "stands before it, its choices, tools or right answer differ; run the same "
                        "items on both",
                        base.name, item.id);
    }
    pairs.emplace_back(&item, found->second);
  }
  if (candidate.items.size() != base.items.size()) {
    return make_error(ErrorCode::kInvalidValue,
                      "task {}: the candidate has {} items, the base {}; run both with the same "
                      "--limit",
                      base.name, candidate.items.size(), base.items.size());
  }
  return pairs;
}

// Fills task-given fields of the rule.
Status resolve(GateRule& rule, const EvalTask& task, const std::string& gate) {
  const std::string where = rule.line > 0 ? fmt::format("{}:{}: ", gate, rule.line) : "";
  if (rule.metric.empty()) rule.metric = task.metric;
  if (!rule.higher_is_better) {
    if (rule.metric != task.metric) {
      return make_error(ErrorCode::kInvalidValue,
                        "{}metric {} of {} is not the task's own ({}): say better: higher or "
                        "better: lower",
                        where, rule.metric, task.name, task.metric);
    }
    rule.higher_is_better = task.higher_is_better;
  }
  for (const EvalItem& item : task.items) {
    if (item.score(rule.metric) != nullptr) continue;
    std::vector<std::string> names;
    for (const auto& [name, value] : item.scores) names.push_back(name);
    return make_error(ErrorCode::kInvalidValue, "{}item {} has no score {}; the nearest is {}",
                      where, item.id, rule.metric, config::nearest(rule.metric, names));
  }
  return {};
}

struct Measured {
  RuleResult result;
  PairedInterval interval;
};

// Everything but what depends on the other rules.
Result<Measured> measure(const EvalRun& base, const EvalRun& candidate, const Gate& gate,
                         GateRule rule, std::vector<WorstItem>& worst) {
  const EvalTask* task = base.task(rule.task);
  if (task == nullptr) {
    std::vector<std::string> names;
    for (const EvalTask& t : base.tasks) names.push_back(t.name);
    return make_error(ErrorCode::kInvalidValue,
                      "{}:{}: no task {} in the results; the nearest is "
                      "{}",
                      gate.name, rule.line, rule.task, config::nearest(rule.task, names));
  }
  const EvalTask* other = candidate.task(rule.task);
  WEIR_TRY(resolve(rule, *task, gate.name));
  WEIR_TRY(resolve(rule, *other, gate.name));
  WEIR_ASSIGN(const Pairs pairs, pair_items(*task, *other));
  Measured m;
  RuleResult& r = m.result;
  r.rule = rule;
  r.items = static_cast<int64_t>(pairs.size());
  r.binary = true;
  std::vector<double> losses;
  for (const auto& [a, b] : pairs) {
    const double x = *a->score(rule.metric);
    const double y = *b->score(rule.metric);
    const double loss = *rule.higher_is_better ? x - y : y - x;
    r.base += x;
    r.candidate += y;
    r.binary = r.binary && (x == 0 || x == 1) && (y == 0 || y == 1);
    r.only_base += x > y ? 1 : 0;
    r.only_candidate += y > x ? 1 : 0;
    losses.push_back(loss);
    if (loss > 0) worst.push_back({rule.task, rule.metric, a, b, x, y, loss / rule.margin});
  }
  r.items_needed = rule.min_items;
  if (pairs.empty()) return m;
  r.base /= static_cast<double>(pairs.size());
  r.candidate /= static_cast<double>(pairs.size());
  m.interval = paired_bootstrap(
      losses, {.confidence = gate.confidence, .resamples = gate.resamples, .seed = gate.seed});
  r.loss = m.interval.mean;
  r.loss_low = m.interval.low;
  r.loss_high = m.interval.high;
  double sd = m.interval.sd;
  if (r.binary) sd = std::max(sd, careful_binary_sd(r.only_base + r.only_candidate, r.items));
  r.items_needed =
      std::max(rule.min_items, items_for_margin(sd, rule.margin, gate.confidence, gate.power));
  if (r.binary) r.p_mcnemar = mcnemar_exact(r.only_base, r.only_candidate);
  // P(mean <= margin), from the mirrored side.
  PairedInterval mirrored = m.interval;
  mirrored.mean = -mirrored.mean;
  for (double& v : mirrored.means) v = -v;
  std::reverse(mirrored.means.begin(), mirrored.means.end());
  r.p_worse = share_at_or_above(mirrored, -rule.margin, pairs.size());
  return m;
}

// What would decide, where the items are as many as an equal candidate needs: an interval is as
// wide as one over the root of their number.
std::string more_items(const RuleResult& r) {
  const double apart = std::abs(r.rule.margin - r.loss);
  const double wide = std::max(r.loss_high - r.loss, r.loss - r.loss_low);
  const double factor = apart > 0 ? wide / apart * (wide / apart) : HUGE_VAL;
  const double items = std::ceil(static_cast<double>(r.items) * factor);
  if (items > 1e6) {
    return fmt::format(
        "the loss seen lies at the margin, which no number of items decides; the "
        "{} items are enough for a candidate that is as good as the base",
        r.items);
  }
  return fmt::format("{} items; if the loss stays at {:.4g}, about {:.0f} would", r.items, r.loss,
                     items);
}

void decide(RuleResult& r, double confidence) {
  const double alpha = (1 - confidence) / 2;
  const auto need = [&] {
    // Of a handful nothing is known of how much items differ, so neither how many are needed.
    if (r.items < r.rule.min_items)
      return fmt::format("{}, and {} at least are wanted: run more of the task", r.items,
                         r.rule.min_items);
    return fmt::format("{} items; a margin of {} needs {}", r.items, r.rule.margin, r.items_needed);
  };
  if (r.items >= r.rule.min_items && r.p_worse <= alpha && r.loss_low >= r.rule.margin) {
    r.verdict = Verdict::kFail;
    r.why =
        fmt::format("worse by at least {:.4g}, more than the margin {}", r.loss_low, r.rule.margin);
  } else if (r.items < r.items_needed) {
    r.why = "too few items: " + need();
  } else if (r.loss_high < r.rule.margin) {
    r.verdict = Verdict::kPass;
    r.why = fmt::format("worse by at most {:.4g}, within the margin {}", std::max(0.0, r.loss_high),
                        r.rule.margin);
  } else {
    r.why = fmt::format("the interval {:.4g} to {:.4g} does not decide about the margin {}: {}",
                        r.loss_low, r.loss_high, r.rule.margin, more_items(r));
  }
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kFail:
      return "fail";
    case Verdict::kInconclusive:
      break;
  }
  return "inconclusive";
}

Result<Comparison> compare_runs(const EvalRun& base, const EvalRun& candidate, const Gate& gate) {
  WEIR_TRY(check_same(base, candidate));
  if (gate.rules.empty()) {
    return make_error(ErrorCode::kInvalidValue, "the results have no task to compare");
  }
  Comparison c;
  std::vector<double> worse;
  std::vector<double> mcnemar;
  for (const GateRule& rule : gate.rules) {
    WEIR_ASSIGN(Measured m, measure(base, candidate, gate, rule, c.worst));
    worse.push_back(m.result.p_worse);
    mcnemar.push_back(m.result.p_mcnemar);
    c.rules.push_back(std::move(m.result));
  }
  if (gate.holm) {
    worse = holm(worse);
    mcnemar = holm(mcnemar);
  }
  bool all_pass = true;
  bool any_fails = false;
  for (size_t i = 0; i < c.rules.size(); ++i) {
    c.rules[i].p_worse = worse[i];
    c.rules[i].p_mcnemar = mcnemar[i];
    decide(c.rules[i], gate.confidence);
    all_pass = all_pass && c.rules[i].verdict == Verdict::kPass;
    any_fails = any_fails || c.rules[i].verdict == Verdict::kFail;
  }
  c.verdict = any_fails ? Verdict::kFail : all_pass ? Verdict::kPass : Verdict::kInconclusive;
  std::stable_sort(c.worst.begin(), c.worst.end(),
                   [](const WorstItem& a, const WorstItem& b) { return a.loss > b.loss; });
  std::unordered_set<const EvalItem*> seen;
  std::erase_if(c.worst, [&](const WorstItem& w) { return !seen.insert(w.base).second; });
  if (c.worst.size() > kWorst) c.worst.resize(kWorst);
  return c;
}

std::string comparison_json(const Comparison& c, const EvalRun& base, const EvalRun& candidate,
                            const Gate& gate, text::Json head) {
  using text::Json;
  Json root = std::move(head);
  root.set("verdict", verdict_name(c.verdict));
  root.set("base", base.model.name);
  root.set("candidate", candidate.model.name);
  root.set("suite", base.suite_name);
  // Of each side whose model says what it was calibrated on.
  for (const auto& [name, run] :
       {std::pair("base_overlap", &base), {"candidate_overlap", &candidate}}) {
    const Json* share = run->params.find(kOverlapParam);
    if (share != nullptr) root.set(name, *share);
  }
  root.set("confidence", gate.confidence);
  root.set("power", gate.power);
  root.set("correction", gate.holm ? "holm" : "none");
  Json rules = Json::array();
  for (const RuleResult& r : c.rules) {
    Json j = Json::object();
    j.set("task", r.rule.task);
    j.set("metric", r.rule.metric);
    j.set("verdict", verdict_name(r.verdict));
    j.set("why", r.why);
    j.set("base", r.base);
    j.set("candidate", r.candidate);
    j.set("loss", r.loss);
    j.set("loss_low", r.loss_low);
    j.set("loss_high", r.loss_high);
    j.set("margin", r.rule.margin);
    j.set("p_worse", r.p_worse);
    j.set("items", r.items);
    j.set("items_needed", r.items_needed);
    if (r.binary) {
      j.set("only_base", r.only_base);
      j.set("only_candidate", r.only_candidate);
      j.set("p_mcnemar", r.p_mcnemar);
    }
    rules.push_back(std::move(j));
  }
  root.set("rules", std::move(rules));
  Json worst = Json::array();
  for (const WorstItem& w : c.worst) {
    Json j = Json::object();
    j.set("task", w.task);
    j.set("id", w.base->id);
    j.set("base", w.base_score);
    j.set("candidate", w.candidate_score);
    worst.push_back(std::move(j));
  }
  root.set("worst", std::move(worst));
  return root.dump();
}

}  // namespace weir::ops
