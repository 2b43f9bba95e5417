#include "ops/eval/scored_rows.h"

#include <algorithm>
#include <numeric>

namespace weir::ops {
namespace {

// Tokens per forward call: bounds the logits buffer at 128 × vocabulary × 4 bytes (25 MB at 49,152
// words).
constexpr int32_t kBlockTokens = 128;

}  // namespace

Result<int64_t> count_chunks(size_t tokens, int32_t context_tokens, int32_t max_context_tokens,
                             int64_t max_chunks, int64_t least_chunks) {
  if (context_tokens < kMinContextTokens || context_tokens > max_context_tokens) {
    return param_error(ErrorCode::kInvalidValue, "ctx",
                       "the context (--ctx) is {} tokens; it must be between {} and {}",
                       context_tokens, kMinContextTokens, max_context_tokens);
  }
  const int64_t chunks = static_cast<int64_t>(tokens) / context_tokens;
  if (chunks < least_chunks) {
    return make_error(
        ErrorCode::kInvalidValue,
        "the text has {} tokens; at a context of {} it needs at least {}: take a longer "
        "text or a smaller --ctx",
        tokens, context_tokens, least_chunks * context_tokens);
  }
  return max_chunks > 0 ? std::min(chunks, max_chunks) : chunks;
}

ScoredRows::ScoredRows(engine::Runner& runner, int32_t context_tokens, int32_t bos)
    : runner_(runner), bos_(bos) {
  const int32_t page_tokens = runner.page_tokens();
  pages_.resize(static_cast<size_t>((context_tokens + page_tokens - 1) / page_tokens));
  std::iota(pages_.begin(), pages_.end(), 0);
}

Status ScoredRows::run(std::span<const int32_t> chunk, const Row& row) {
  tokens_.assign(chunk.begin(), chunk.end());
  if (bos_ >= 0) tokens_[0] = bos_;
  const auto n = static_cast<int32_t>(tokens_.size());
  const int32_t first = n / 2;
  const auto vocab = static_cast<size_t>(runner_.vocab_size());
  for (int32_t at = 0; at < n;) {
    const int32_t end = std::min(at < first ? first : n, at + kBlockTokens);
    model::Chunk part;
    part.tokens = std::span<const int32_t>(tokens_).subspan(static_cast<size_t>(at),
                                                            static_cast<size_t>(end - at));
    part.position = at;
    part.pages = pages_;
    part.logit_rows = at < first ? 0 : end - at;
    logits_.resize(static_cast<size_t>(part.logit_rows) * vocab);
    WEIR_TRY(runner_.forward(std::span(&part, 1), logits_, {}));
    for (int32_t r = 0; r < part.logit_rows && at + r + 1 < n; ++r) {
      WEIR_TRY(row(at + r,
                   std::span<const float>(logits_).subspan(static_cast<size_t>(r) * vocab, vocab)));
    }
    at = end;
  }
  return {};
}

}  // namespace weir::ops
