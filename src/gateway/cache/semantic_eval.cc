#include "gateway/cache/semantic_eval.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "gateway/cache/semantic_cache.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using text::Json;

constexpr size_t kMaxDimensions = 8'192;
constexpr double kZ95 = 1.959964;  // of the normal distribution, two-sided 95 %

// The upper end of the Wilson score interval of `hits` in `n`.
double wilson_upper(size_t hits, size_t n) {
  if (n == 0) return 1;
  const auto count = static_cast<double>(n);
  const double p = static_cast<double>(hits) / count;
  const double z2 = kZ95 * kZ95;
  const double middle = p + z2 / (2 * count);
  const double spread = kZ95 * std::sqrt(p * (1 - p) / count + z2 / (4 * count * count));
  return std::min(1.0, (middle + spread) / (1 + z2 / count));
}

double rate(size_t part, size_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

size_t at_or_above(const std::vector<double>& sorted, double threshold) {
  return static_cast<size_t>(sorted.end() -
                             std::lower_bound(sorted.begin(), sorted.end(), threshold));
}

Result<std::vector<float>> read_vector(const Json& line, std::string_view name) {
  const Json* list = line.find(name);
  if (list == nullptr || !list->is_array())
    return make_error(ErrorCode::kCorrupt, "\"{}\" is not a list of numbers", name);
  std::vector<float> out;
  out.reserve(list->size());
  for (const Json& v : list->items()) {
    if (!v.is_number()) return make_error(ErrorCode::kCorrupt, "\"{}\" holds no number", name);
    out.push_back(static_cast<float>(v.as_double()));
  }
  return out;
}

Result<LabelledPair> read_pair(std::string_view text) {
  WEIR_ASSIGN(const Json line, Json::parse(text));
  LabelledPair pair;
  WEIR_ASSIGN(pair.a, read_vector(line, "a"));
  WEIR_ASSIGN(pair.b, read_vector(line, "b"));
  const Json* same = line.find("same");
  if (same == nullptr || !same->is_bool())
    return make_error(ErrorCode::kCorrupt, "\"same\" is neither true nor false");
  pair.same = same->as_bool();
  return pair;
}

}  // namespace

Result<SemanticEval> evaluate_thresholds(std::span<const LabelledPair> pairs,
                                         std::span<const double> thresholds) {
  std::vector<double> same;
  std::vector<double> different;
  for (const LabelledPair& pair : pairs) {
    WEIR_ASSIGN(const std::vector<float> a, unit_vector(pair.a, kMaxDimensions));
    WEIR_ASSIGN(const std::vector<float> b, unit_vector(pair.b, kMaxDimensions));
    if (a.size() != b.size()) {
      return make_error(ErrorCode::kInvalidValue, "a pair has vectors of {} and {} dimensions",
                        a.size(), b.size());
    }
    (pair.same ? same : different).push_back(dot(a, b));
  }
  if (same.empty() || different.empty()) {
    return make_error(ErrorCode::kInvalidValue,
                      "{} pairs mean the same and {} do not: both kinds are needed", same.size(),
                      different.size());
  }
  std::sort(same.begin(), same.end());
  std::sort(different.begin(), different.end());
  SemanticEval eval{same.size(), different.size(), {}};
  eval.rows.reserve(thresholds.size());
  for (const double threshold : thresholds) {
    const size_t good = at_or_above(same, threshold);
    const size_t bad = at_or_above(different, threshold);
    eval.rows.push_back({threshold, good + bad, bad, rate(good, same.size()),
                         rate(bad, different.size()), wilson_upper(bad, different.size()),
                         rate(bad, good + bad)});
  }
  return eval;
}

std::optional<double> choose_threshold(const SemanticEval& eval, double most) {
  std::optional<double> best;
  for (const ThresholdRow& row : eval.rows) {
    if (row.false_hit_rate_upper <= most && (!best || row.threshold < *best)) best = row.threshold;
  }
  return best;
}

std::vector<double> usual_thresholds() {
  std::vector<double> out;
  out.reserve(31);
  for (int hundredths = 70; hundredths <= 100; ++hundredths) out.push_back(hundredths / 100.0);
  return out;
}

Result<std::vector<LabelledPair>> parse_labelled_pairs(std::string_view jsonl) {
  std::vector<LabelledPair> pairs;
  for (size_t line = 1; !jsonl.empty(); ++line) {
    const size_t end = std::min(jsonl.find('\n'), jsonl.size());
    const std::string_view text = jsonl.substr(0, end);
    jsonl.remove_prefix(std::min(end + 1, jsonl.size()));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (pairs.size() == kMaxPairs)
      return make_error(ErrorCode::kLimit, "line {}: over {} pairs", line, kMaxPairs);
    auto pair = read_pair(text);
    if (!pair.ok())
      return make_error(ErrorCode::kCorrupt, "line {}: {}", line, pair.error().message);
    pairs.push_back(std::move(*pair));
  }
  return pairs;
}

std::string semantic_eval_table(const SemanticEval& eval, double most) {
  std::string out = fmt::format(
      "{} pairs mean the same, {} do not\n\n{:>9} {:>9} {:>15} {:>15} {:>11}\n", eval.same,
      eval.different, "threshold", "hit rate", "false-hit rate", "95 % at most", "wrong hits");
  for (const ThresholdRow& r : eval.rows) {
    out += fmt::format("{:>9.2f} {:>8.1f}% {:>14.2f}% {:>14.2f}% {:>10.1f}%\n", r.threshold,
                       100 * r.hit_rate, 100 * r.false_hit_rate, 100 * r.false_hit_rate_upper,
                       100 * r.wrong_share);
  }
  if (const auto best = choose_threshold(eval, most)) {
    out += fmt::format("\nthreshold: {:.2f}, the lowest whose false-hit rate is at most {:.2f}%\n",
                       *best, 100 * most);
  } else {
    out += fmt::format(
        "\nno threshold has a false-hit rate that is surely at most {:.2f}%: {} different pairs "
        "show {:.2f}% at best\n",
        100 * most, eval.different, 100 * wilson_upper(0, eval.different));
  }
  return out;
}

}  // namespace weir::gateway
