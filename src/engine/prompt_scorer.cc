#include "engine/prompt_scorer.h"

#include <algorithm>
#include <utility>

#include "engine/logprobs.h"

namespace weir::engine {

PromptScorer::PromptScorer(std::span<const int32_t> prompt, int32_t top)
    : prompt_tokens_(static_cast<int32_t>(prompt.size())), top_(top), tokens_(1) {
  tokens_[0].id = prompt.front();
}

int32_t PromptScorer::wanted_rows(int32_t position, int32_t count) const {
  const int32_t end = std::min(position + count, prompt_tokens_ - 1);
  return std::max(0, end - std::max(position, taken()));
}

Status PromptScorer::add(const kernels::Kernels& kernels, std::span<const int32_t> prompt,
                         std::span<const float> rows, size_t vocab) {
  for (size_t at = 0; at < rows.size(); at += vocab) {
    WEIR_ASSIGN(TokenInfo token,
                describe_token(kernels, rows.subspan(at, vocab), prompt[tokens_.size()], top_));
    tokens_.push_back(std::move(token));
  }
  return {};
}

}  // namespace weir::engine
