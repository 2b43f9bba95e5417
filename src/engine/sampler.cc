#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "engine/logprobs.h"
#include "kernels/ops.h"

namespace weir::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

}  // namespace

void Sampler::apply_penalties(std::span<float> logits, const SamplingParams& p,
                              const SampleHistory& history) {
  for (const auto& [id, bias] : p.logit_bias) logits[static_cast<size_t>(id)] += bias;
  if (p.repetition_penalty != 1.0F) {
    seen_.assign(history.prompt.begin(), history.prompt.end());
    seen_.insert(seen_.end(), history.generated.begin(), history.generated.end());
    std::sort(seen_.begin(), seen_.end());
    seen_.erase(std::unique(seen_.begin(), seen_.end()), seen_.end());
    for (const int32_t id : seen_) {
      float& l = logits[static_cast<size_t>(id)];
      l = l > 0 ? l / p.repetition_penalty : l * p.repetition_penalty;
    }
  }
  if (p.presence_penalty == 0.0F && p.frequency_penalty == 0.0F) return;
  seen_.assign(history.generated.begin(), history.generated.end());
  std::sort(seen_.begin(), seen_.end());
  for (size_t i = 0; i < seen_.size();) {
    size_t j = i;
    while (j < seen_.size() && seen_[j] == seen_[i]) ++j;
    logits[static_cast<size_t>(seen_[i])] -=
        p.presence_penalty + p.frequency_penalty * static_cast<float>(j - i);
    i = j;
  }
}

// Fills candidates_, most likely first: the k greatest logits, or for top-p and min-p as many as
// they can keep.
void Sampler::select_candidates(std::span<const float> logits, const SamplingParams& p) {
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  };
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] != kNever) candidates_.push_back({logits[i], static_cast<int32_t>(i)});
  }
  if (p.top_k > 0 && static_cast<size_t>(p.top_k) < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + p.top_k, candidates_.end(), before);
    candidates_.resize(static_cast<size_t>(p.top_k));
  }
  if (p.top_p < 1.0F || p.top_k > 0 || p.min_p > 0.0F)
    std::sort(candidates_.begin(), candidates_.end(), before);
}

int32_t Sampler::draw(const SamplingParams& p, int32_t choice, int64_t position) {
  float max = kNever;
  for (const Candidate& c : candidates_) max = std::max(max, c.logit);
  weights_.clear();
  double total = 0;
  for (const Candidate& c : candidates_) {
    weights_.push_back(
        std::exp(static_cast<double>(c.logit - max) / static_cast<double>(p.temperature)));
    total += weights_.back();
  }
  if (p.top_p < 1.0F) {  // the fewest most likely tokens that hold top_p of the probability
    double sum = 0;
    size_t keep = 0;
    while (keep < weights_.size() && sum < static_cast<double>(p.top_p) * total)
      sum += weights_[keep++];
    weights_.resize(std::max<size_t>(1, keep));
    total = keep == 0 ? weights_[0] : sum;
  }
  if (p.min_p >
      0.0F) {  // tokens at least min_p times as likely as the most likely one, whose weight is 1
    while (weights_.size() > 1 && weights_.back() < static_cast<double>(p.min_p)) {
      total -= weights_.back();
      weights_.pop_back();
    }
  }
  double left =
      random_unit(p.seed, static_cast<uint64_t>(choice), static_cast<uint64_t>(position)) * total;
  for (size_t i = 0; i < weights_.size(); ++i) {
    left -= weights_[i];
    if (left < 0) return candidates_[i].id;
  }
  return candidates_[weights_.size() - 1].id;
}

Result<TokenInfo> Sampler::sample(std::span<float> logits, const SamplingParams& p,
                                  const SampleHistory& history, std::span<const int32_t> banned,
                                  int32_t choice, int64_t position) {
  WEIR_ASSIGN(const float raw_max, checked_max(logits));
  TokenInfo token;
  double log_sum = 0;
  std::vector<float> raw;
  if (p.logprobs >= 0) {
    log_sum = kernels::log_sum_exp(kernels_, logits.data(), logits.size(), raw_max);
    raw.assign(logits.begin(), logits.end());
    token.top = most_likely(raw, log_sum, p.logprobs);
  }
  apply_penalties(logits, p, history);
  for (const int32_t id : banned) logits[static_cast<size_t>(id)] = kNever;
  if (p.temperature <= 0.0F) {
    const auto best = std::max_element(logits.begin(), logits.end());  // the first of equals
    if (*best == kNever) return make_error(ErrorCode::kInternal, "every token is banned");
    token.id = static_cast<int32_t>(best - logits.begin());
  } else {
    select_candidates(logits, p);
    if (candidates_.empty()) return make_error(ErrorCode::kInternal, "every token is banned");
    token.id = draw(p, choice, position);
  }
  if (p.logprobs >= 0) {
    token.logprob =
        static_cast<float>(static_cast<double>(raw[static_cast<size_t>(token.id)]) - log_sum);
  }
  return token;
}

}  // namespace weir::engine
