// From logits to a token. The draw is keyed by (seed, choice, position), so a token depends on its
// logits and its request alone (invariant "same bits").
//
// Order: logit bias; repetition, presence and frequency penalties; temperature; top-k; top-p;
// min-p; draw. Equal logits are ordered by token id. Log probabilities are of the model's
// distribution, before any of it (as vLLM's default).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/request.h"
#include "kernels/kernels.h"

namespace weir::engine {

// The tokens so far, for the penalties.
struct SampleHistory {
  std::span<const int32_t> prompt;
  std::span<const int32_t> generated;
};

// Keeps scratch memory between calls; one thread at a time.
class Sampler {
 public:
  // isa: of the arithmetic behind the logits, which log probabilities use too.
  explicit Sampler(kernels::Isa isa = kernels::Isa::kScalar)
      : kernels_(kernels::kernels_for(isa)) {}

  // logits: [vocab], changed in place. banned: ids that may not be chosen (end tokens before
  // min_tokens). position: index of the token in the sequence. Error: kInternal when a logit is NaN
  // or +infinite, or every token is banned.
  Result<TokenInfo> sample(std::span<float> logits, const SamplingParams& params,
                           const SampleHistory& history, std::span<const int32_t> banned,
                           int32_t choice, int64_t position);

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  void apply_penalties(std::span<float> logits, const SamplingParams& params,
                       const SampleHistory& history);
  void select_candidates(std::span<const float> logits, const SamplingParams& params);
  int32_t draw(const SamplingParams& params, int32_t choice, int64_t position);

  const kernels::Kernels& kernels_;
  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
  std::vector<int32_t> seen_;
};

}  // namespace weir::engine
