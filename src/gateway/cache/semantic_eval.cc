#include "gateway/cache/semantic_eval.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
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

// Texts that are to be embedded, each once, and where their vectors belong.
class Texts {
 public:
  Status read(const Json& line, std::string_view name, size_t pair, bool first, const Embedder& by,
              std::vector<float>& vector) {
    const Json* value = line.find(name);
    if (value == nullptr || !value->is_string()) {
      WEIR_ASSIGN(vector, read_vector(line, name));
      return {};
    }
    if (!by)
      return make_error(ErrorCode::kUsage,
                        "\"{}\" is a text: say with --url and --model who makes its embedding",
                        name);
    const auto [at, fresh] = number_.try_emplace(value->as_string(), texts_.size());
    if (fresh) texts_.push_back(value->as_string());
    wanted_.push_back({pair, first, at->second});
    return {};
  }
  Status embed(const Embedder& by, std::vector<LabelledPair>& pairs) const {
    if (texts_.empty()) return {};
    WEIR_ASSIGN(const auto vectors, by(texts_));
    for (const Wanted& w : wanted_) (w.first ? pairs[w.pair].a : pairs[w.pair].b) = vectors[w.text];
    return {};
  }

 private:
  struct Wanted {
    size_t pair = 0;
    bool first = false;
    size_t text = 0;
  };
  std::vector<std::string> texts_;
  std::unordered_map<std::string, size_t> number_;
  std::vector<Wanted> wanted_;
};

Result<LabelledPair> read_pair(std::string_view text, size_t number, const Embedder& by,
                               Texts& texts) {
  WEIR_ASSIGN(const Json line, Json::parse(text));
  if (!line.is_object())
    return make_error(ErrorCode::kCorrupt, "not an object but {}", line.type_name());
  LabelledPair pair;
  WEIR_TRY(texts.read(line, "a", number, true, by, pair.a));
  WEIR_TRY(texts.read(line, "b", number, false, by, pair.b));
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

Result<std::vector<LabelledPair>> parse_labelled_pairs(std::string_view jsonl,
                                                       const Embedder& embedder) {
  std::vector<LabelledPair> pairs;
  Texts texts;
  for (size_t line = 1; !jsonl.empty(); ++line) {
    const size_t end = std::min(jsonl.find('\n'), jsonl.size());
    const std::string_view text = jsonl.substr(0, end);
    jsonl.remove_prefix(std::min(end + 1, jsonl.size()));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (pairs.size() == kMaxPairs)
      return make_error(ErrorCode::kLimit, "line {}: over {} pairs", line, kMaxPairs);
    auto pair = read_pair(text, pairs.size(), embedder, texts);
    if (!pair.ok())
      return make_error(
          pair.error().code == ErrorCode::kUsage ? ErrorCode::kUsage : ErrorCode::kCorrupt,
          "line {}: {}", line, pair.error().message);
    pairs.push_back(std::move(*pair));
  }
  WEIR_TRY(texts.embed(embedder, pairs));
  return pairs;
}

std::string embeddings_request(std::string_view model, const std::vector<std::string>& texts) {
  Json input = Json::array();
  for (const std::string& text : texts) input.push_back(text);
  Json body = Json::object();
  body.set("model", model);
  body.set("input", std::move(input));
  body.set("encoding_format", "float");
  return body.dump();
}

Result<std::vector<std::vector<float>>> read_embeddings(std::string_view body, size_t texts) {
  WEIR_ASSIGN(const Json answer, Json::parse(body));
  const Json* data = answer.is_object() ? answer.find("data") : nullptr;
  if (data == nullptr || !data->is_array() || data->items().size() != texts)
    return make_error(ErrorCode::kCorrupt,
                      "no answer of an embedding model: data must be a list "
                      "of {}",
                      texts);
  std::vector<std::vector<float>> out(texts);
  for (size_t i = 0; i < texts; ++i) {
    const Json& item = data->items()[i];
    const Json* index = item.is_object() ? item.find("index") : nullptr;
    const int64_t at = index != nullptr && index->is_int() ? index->as_int() : int64_t(i);
    if (!item.is_object() || at < 0 || at >= static_cast<int64_t>(texts))
      return make_error(ErrorCode::kCorrupt, "data[{}]: no such text", i);
    WEIR_ASSIGN(out[static_cast<size_t>(at)], read_vector(item, "embedding"));
  }
  return out;
}

Json semantic_eval_json(const SemanticEval& eval, double most) {
  Json rows = Json::array();
  for (const ThresholdRow& r : eval.rows) {
    Json row = Json::object();
    row.set("threshold", r.threshold);
    row.set("hits", static_cast<int64_t>(r.hits));
    row.set("false_hits", static_cast<int64_t>(r.false_hits));
    row.set("hit_rate", r.hit_rate);
    row.set("false_hit_rate", r.false_hit_rate);
    row.set("false_hit_rate_upper", r.false_hit_rate_upper);
    row.set("wrong_share", r.wrong_share);
    rows.push_back(std::move(row));
  }
  Json out = Json::object();
  out.set("same", static_cast<int64_t>(eval.same));
  out.set("different", static_cast<int64_t>(eval.different));
  out.set("max_false_hit_rate", most);
  const auto best = choose_threshold(eval, most);
  out.set("threshold", best.has_value() ? Json(*best) : Json());
  out.set("rows", std::move(rows));
  return out;
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
