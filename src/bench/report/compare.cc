#include "bench/report/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/student.h"

namespace weir::bench {
namespace {

constexpr double kAlpha = 0.05;
constexpr double kNormal95 = 1.959964;

struct Metric {
  const char* name;
  const char* title;
  const char* unit;
  bool higher_is_better;
  const Estimate& (*of)(const LoadSummary&);
};

// What runs are compared by. Few and not derived from each other, so that Holm's correction costs
// little; maxima and p99.9 are noise at common sizes.
constexpr Metric kMetrics[] = {
    {"output_tokens_per_s", "output tokens/s", "tok/s", true,
     [](const LoadSummary& s) -> const Estimate& { return s.output_tokens_per_s; }},
    {"requests_per_s", "requests/s", "req/s", true,
     [](const LoadSummary& s) -> const Estimate& { return s.requests_per_s; }},
    {"goodput.share", "share in SLO", "", true,
     [](const LoadSummary& s) -> const Estimate& { return s.goodput.share; }},
    {"ttft_ms.p50", "TTFT p50", "ms", false,
     [](const LoadSummary& s) -> const Estimate& { return s.ttft_ms.p50(); }},
    {"ttft_ms.p95", "TTFT p95", "ms", false,
     [](const LoadSummary& s) -> const Estimate& { return s.ttft_ms.p95(); }},
    {"ttft_ms.p99", "TTFT p99", "ms", false,
     [](const LoadSummary& s) -> const Estimate& { return s.ttft_ms.p99(); }},
    {"itl_ms.p50", "ITL p50", "ms", false,
     [](const LoadSummary& s) -> const Estimate& { return s.itl_ms.p50(); }},
    {"itl_ms.p95", "ITL p95", "ms", false,
     [](const LoadSummary& s) -> const Estimate& { return s.itl_ms.p95(); }},
    {"itl_ms.p99", "ITL p99", "ms", false,
     [](const LoadSummary& s) -> const Estimate& { return s.itl_ms.p99(); }},
    {"tpot_ms.mean", "TPOT mean", "ms", false,
     [](const LoadSummary& s) -> const Estimate& { return s.tpot_ms.mean; }},
    {"e2e_ms.p50", "E2E p50", "ms", false,
     [](const LoadSummary& s) -> const Estimate& { return s.e2e_ms.p50(); }},
    {"e2e_ms.p95", "E2E p95", "ms", false,
     [](const LoadSummary& s) -> const Estimate& { return s.e2e_ms.p95(); }},
};

using Runs = std::vector<const LoadSummary*>;

std::vector<double> logs_of(const Runs& runs, const Metric& m) {
  std::vector<double> out;
  for (const LoadSummary* r : runs) {
    const double v = m.of(*r).value;
    if (v > 0) out.push_back(std::log(v));
  }
  return out;
}

// Mean and variance of the mean.
struct Moments {
  double mean = 0;
  double variance = 0;  // of the mean
  double df = 0;
};

Moments moments_of(const std::vector<double>& v) {
  Moments m;
  const auto n = static_cast<double>(v.size());
  for (const double x : v) m.mean += x / n;
  for (const double x : v) m.variance += (x - m.mean) * (x - m.mean) / (n - 1) / n;
  m.df = n - 1;
  return m;
}

// One run a side: what the bootstrap knows. NaN variance: nothing known.
Moments single(const Runs& runs, const Metric& m) {
  const Estimate& e = m.of(*runs.front());
  return {std::log(e.value), e.log_se * e.log_se, std::numeric_limits<double>::infinity()};
}

void judge(const Runs& a, const Runs& b, const Metric& m, MetricChange& out) {
  out.verdict = Verdict::kNotComparable;
  out.ratio = out.low = out.high = kUnknown;
  const std::vector<double> x = logs_of(a, m);
  const std::vector<double> y = logs_of(b, m);
  if (x.size() != a.size() || y.size() != b.size()) return;  // unknown or 0 somewhere
  const bool repeated = x.size() >= 2 && y.size() >= 2;
  const Moments p = repeated ? moments_of(x) : single(a, m);
  const Moments q = repeated ? moments_of(y) : single(b, m);
  out.a = std::exp(p.mean);
  out.b = std::exp(q.mean);
  const double change = q.mean - p.mean;
  out.ratio = std::exp(change);
  const double variance = p.variance + q.variance;
  if (std::isnan(variance)) return;
  out.verdict = Verdict::kNoDifference;
  double t95 = kNormal95;
  double df = std::numeric_limits<double>::infinity();
  if (repeated && variance > 0) {
    df = variance * variance / (p.variance * p.variance / p.df + q.variance * q.variance / q.df);
    t95 = student_95(df);
  }
  const double se = std::sqrt(variance);
  out.low = std::exp(change - t95 * se);
  out.high = std::exp(change + t95 * se);
  // No spread at all (a constant): any change is one.
  out.p_value = se > 0 ? student_p(change / se, df) : (change == 0 ? 1.0 : 0.0);
}

// Holm: the i-th smallest of n p-values is held against alpha / (n - i), until the first that
// fails.
void set_verdicts(std::vector<MetricChange>& changes, double min_effect, double wide) {
  std::vector<MetricChange*> tested;
  for (MetricChange& c : changes) {
    if (c.verdict != Verdict::kNotComparable) tested.push_back(&c);
  }
  std::stable_sort(tested.begin(), tested.end(), [](const MetricChange* x, const MetricChange* y) {
    return x->p_value < y->p_value;
  });
  for (size_t i = 0; i < tested.size(); ++i) {
    MetricChange& c = *tested[i];
    if (!(c.p_value <= kAlpha / static_cast<double>(tested.size() - i))) break;
    if (std::abs(std::log(c.ratio)) < std::log1p(min_effect)) continue;
    c.verdict = (c.ratio > 1) == c.higher_is_better ? Verdict::kBetter : Verdict::kWorse;
  }
  for (MetricChange* c : tested) {
    const bool narrow =
        std::log(c->high) <= std::log1p(wide) && std::log(c->low) >= -std::log1p(wide);
    if (c->verdict == Verdict::kNoDifference && !narrow) c->verdict = Verdict::kUndecided;
  }
}

using Labelled = std::vector<std::pair<std::string, Runs>>;

Labelled::const_iterator find_label(const Labelled& runs, const std::string& label) {
  return std::find_if(runs.begin(), runs.end(),
                      [&](const auto& entry) { return entry.first == label; });
}

std::string listed(const Labelled& runs) {
  std::string out;
  for (const auto& [label, unused] : runs)
    out += fmt::format("{}'{}'", out.empty() ? "" : ", ", label);
  return out.empty() ? "none" : out;
}

Labelled by_label(const Report& report) {
  Labelled out;
  for (const LoadSummary& r : report.runs) {
    const auto at = find_label(out, r.label) - out.begin();
    if (static_cast<size_t>(at) == out.size()) out.emplace_back(r.label, Runs());
    out[static_cast<size_t>(at)].second.push_back(&r);
  }
  return out;
}

void note_settings(const LoadSummary& a, const LoadSummary& b, std::vector<std::string>& notes) {
  for (const auto& [key, value] : a.settings) {
    const auto it = b.settings.find(key);
    if (it != b.settings.end() && it->second != value)
      notes.push_back(fmt::format("{}: {} was '{}', is '{}'", a.label, key, value, it->second));
  }
  if (!(a.slo == b.slo)) {
    notes.push_back(fmt::format("{}: the SLO was '{}', is '{}': shares in SLO are not compared",
                                a.label, slo_text(a.slo), slo_text(b.slo)));
  }
}

}  // namespace

Result<Comparison> compare(const Report& a, const Report& b, const CompareOptions& options) {
  Comparison out;
  const auto left = by_label(a);
  const auto right = by_label(b);
  bool single_runs = false;
  bool matched = false;
  for (const auto& [label, runs] : left) {
    const auto it = find_label(right, label);
    if (it == right.end()) {
      out.notes.push_back(fmt::format("'{}' is only in the first report", label));
      continue;
    }
    matched = true;
    single_runs = single_runs || runs.size() < 2 || it->second.size() < 2;
    note_settings(*runs.front(), *it->second.front(), out.notes);
    const bool same_slo = runs.front()->slo.any() && runs.front()->slo == it->second.front()->slo;
    for (const Metric& m : kMetrics) {
      if (std::string_view(m.name) == "goodput.share" && !same_slo) continue;
      MetricChange change{.run = label, .metric = m.name, .title = m.title, .unit = m.unit};
      change.higher_is_better = m.higher_is_better;
      judge(runs, it->second, m, change);
      if (std::isfinite(change.ratio)) out.changes.push_back(std::move(change));
    }
  }
  for (const auto& [label, runs] : right) {
    if (find_label(left, label) == left.end())
      out.notes.push_back(fmt::format("'{}' is only in the second report", label));
  }
  if (!matched) {
    return make_error(ErrorCode::kInvalidValue,
                      "the two reports have no run of the same label: the first has {}, the second "
                      "{}; compare runs that were sent alike",
                      listed(left), listed(right));
  }
  if (single_runs) {
    out.notes.emplace_back(
        "one run on a side: the intervals hold the noise within a run, not that between runs; "
        "repeat runs of the same label to include it");
  }
  set_verdicts(out.changes, options.min_effect, options.wide);
  for (const MetricChange& c : out.changes) {
    out.better += c.verdict == Verdict::kBetter;
    out.worse += c.verdict == Verdict::kWorse;
    out.undecided += c.verdict == Verdict::kUndecided;
  }
  return out;
}

}  // namespace weir::bench
