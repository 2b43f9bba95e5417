#include "ops/eval/choice_score.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "text/utf8.h"

namespace weir::ops {
std::string choice_context(const ChoiceItem& item) {
  std::string whole = item.shots + item.prompt;
  whole.resize(whole.find_last_not_of(" \t\n\r\f\v") + 1);
  return whole;
}

std::string choice_text(const ChoiceItem& item, size_t choice) {
  return fmt::format("{}{} {}", item.shots, item.prompt, item.choices[choice]);
}

namespace {

// Without scores and answer.
EvalItem asked(const ChoiceItem& item) {
  EvalItem out;
  out.id = item.id;
  out.prompt = item.prompt;
  out.expected = item.choices[item.answer];
  out.hash = choice_key("", item);
  return out;
}

// Whether a cache's line holds what scored_choice gives.
bool are_choice_scores(const EvalScores& scores) {
  return scores.size() == 3 && scores[0].first == "acc" && scores[1].first == "acc_norm" &&
         scores[2].first == "ll";
}

}  // namespace

EvalItem scored_choice(const ChoiceItem& item, std::span<const double> log_likelihoods) {
  std::vector<double> normalized(log_likelihoods.size());
  for (size_t c = 0; c < normalized.size(); ++c)
    normalized[c] =
        log_likelihoods[c] / static_cast<double>(text::count_characters(item.choices[c]));
  const auto best = [](std::span<const double> values) {
    return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
  };
  EvalItem out = asked(item);
  out.scores = {{"acc", best(log_likelihoods) == item.answer ? 1 : 0},
                {"acc_norm", best(normalized) == item.answer ? 1 : 0},
                {"ll", log_likelihoods[item.answer]}};
  out.answer = item.choices[best(normalized)];
  return out;
}

std::string choice_key(std::string_view fingerprint, const ChoiceItem& item) {
  std::vector<std::string> parts = {std::string(fingerprint), "choice", item.shots + item.prompt,
                                    std::to_string(item.answer)};
  parts.insert(parts.end(), item.choices.begin(), item.choices.end());
  return cache_key(parts);
}

std::optional<EvalItem> cached_choice(const ResultCache* cache, std::string_view fingerprint,
                                      const ChoiceItem& item) {
  const CachedAnswer* found =
      cache == nullptr ? nullptr : cache->find(choice_key(fingerprint, item));
  if (found == nullptr || !are_choice_scores(found->scores)) return std::nullopt;
  EvalItem out = asked(item);
  out.scores = found->scores;
  out.answer = found->text;
  return out;
}

Status keep_choice(ResultCache* cache, std::string_view fingerprint, std::string_view task,
                   const ChoiceItem& item, const EvalItem& scored) {
  if (cache == nullptr || scored.score(kPromptCut) != nullptr) return {};
  return cache->put(choice_key(fingerprint, item), task, scored.id,
                    {scored.answer, 0, false, scored.scores});
}

}  // namespace weir::ops
