// The log probabilities of a prompt's own tokens: of token i + 1 after the tokens up to i, from row
// i of the logits. A step's rows are reduced as they come, to the token's log probability and the
// most likely ones, so no row outlives its step.
//
// What was taken stays when the sequence loses its pages: rows are wanted again only from there on
// (so the prefix cache may give what lies before, engine/prefix_cache.h), and the numbers do not
// depend on how the prompt was cut into steps. One thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/request.h"
#include "kernels/kernels.h"

namespace weir::engine {

class PromptScorer {
 public:
  // top: alternatives of each token. prompt: borrowed for the call; at least one token.
  PromptScorer(std::span<const int32_t> prompt, int32_t top);

  // Prompt tokens at the front whose rows are not wanted any more.
  int32_t taken() const { return static_cast<int32_t>(tokens_.size()) - 1; }
  // How many rows a step over tokens [position, position + count) has for it: the last ones but
  // that of the prompt's last token, after which nothing of the prompt comes.
  int32_t wanted_rows(int32_t position, int32_t count) const;
  // Those rows, [wanted, vocab], of a prompt whose tokens are `prompt`. Error: kInternal when the
  // logits are not finite.
  Status add(const kernels::Kernels& kernels, std::span<const int32_t> prompt,
             std::span<const float> rows, size_t vocab);

  // The prompt's tokens, the first without a log probability. Precondition: all rows were added.
  std::vector<TokenInfo> take() { return std::move(tokens_); }

 private:
  int32_t prompt_tokens_;
  int32_t top_;
  std::vector<TokenInfo> tokens_;  // the first, and those whose rows came
};

}  // namespace weir::engine
