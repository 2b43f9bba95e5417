// What a threshold of the semantic cache costs: from pairs of questions of which people have said
// whether they mean the same. `weir cache eval` prints it.
//
// Where such pairs come from: questions of one's own traffic that lie near each other, read by a
// person. Pairs of a public data set say little about another traffic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace weir::gateway {

struct LabelledPair {
  std::vector<float> a;
  std::vector<float> b;
  bool same = false;
};

struct ThresholdRow {
  double threshold = 0;
  size_t hits = 0;        // pairs at or above it
  size_t false_hits = 0;  // of those, pairs that do not mean the same
  double hit_rate = 0;    // of the pairs that mean the same, those that hit
  // Of the pairs that do not, those that hit: how often a question gets a wrong answer for each
  // near but different one in the cache; and the upper end of its 95 % interval (Wilson, 1927).
  double false_hit_rate = 0;
  double false_hit_rate_upper = 1;
  double wrong_share = 0;  // of all hits, the false ones; depends on the mix of the pairs
};

struct SemanticEval {
  size_t same = 0;
  size_t different = 0;
  std::vector<ThresholdRow> rows;  // as the thresholds came
};

// Errors: kInvalidValue for a vector as in unit_vector, for two of different sizes, and without a
// pair of each kind.
Result<SemanticEval> evaluate_thresholds(std::span<const LabelledPair> pairs,
                                         std::span<const double> thresholds);
// The lowest threshold whose false_hit_rate_upper is within `most`: it finds the most. Nothing:
// none is, or there are too few pairs to say so.
std::optional<double> choose_threshold(const SemanticEval& eval, double most);

// 0.70, 0.71, ... 1.00
std::vector<double> usual_thresholds();

// Vectors of texts, in their order. Error: why there are none.
using Embedder =
    std::function<Result<std::vector<std::vector<float>>>(const std::vector<std::string>& texts)>;

// Lines {"a": X, "b": X, "same": true}, where X is a list of numbers or a text; texts are given to
// the embedder, each once. Errors: kCorrupt "line N: ...", kLimit beyond kMaxPairs, kUsage for a
// text without an embedder, the embedder's.
inline constexpr size_t kMaxPairs = 1'000'000;
Result<std::vector<LabelledPair>> parse_labelled_pairs(std::string_view jsonl,
                                                       const Embedder& embedder = {});

// A request's body for /v1/embeddings, and the vectors of its answer, in the order of the texts.
// Error: kCorrupt for what is no such answer.
std::string embeddings_request(std::string_view model, const std::vector<std::string>& texts);
Result<std::vector<std::vector<float>>> read_embeddings(std::string_view body, size_t texts);

text::Json semantic_eval_json(const SemanticEval& eval, double most);
// For a terminal, with the choice for `most`.
std::string semantic_eval_table(const SemanticEval& eval, double most);

}  // namespace weir::gateway
