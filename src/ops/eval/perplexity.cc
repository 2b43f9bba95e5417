#include "ops/eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace weir::ops {
namespace {

// Tokens per forward call: bounds the logits buffer at 128 × vocabulary × 4 bytes (25 MB at 49,152
// words).
constexpr int32_t kBlockTokens = 128;

struct Losses {
  double sum = 0;
  double sum_of_squares = 0;
  int64_t count = 0;
  double perplexity() const { return std::exp(sum / static_cast<double>(count)); }
};

// Evaluates one chunk and adds the losses of its second half.
Status score_chunk(engine::Runner& runner, std::vector<int32_t>& chunk,
                   std::span<const int32_t> targets, std::span<const int32_t> pages,
                   Losses& losses) {
  const auto n = static_cast<int32_t>(chunk.size());
  const int32_t first = n / 2;
  const auto vocab = static_cast<size_t>(runner.vocab_size());
  std::vector<float> logits;
  for (int32_t at = 0; at < n;) {
    const int32_t end = std::min(at < first ? first : n, at + kBlockTokens);
    model::Chunk part;
    part.tokens = std::span<const int32_t>(chunk).subspan(static_cast<size_t>(at),
                                                          static_cast<size_t>(end - at));
    part.position = at;
    part.pages = pages;
    part.logit_rows = at < first ? 0 : end - at;
    logits.resize(static_cast<size_t>(part.logit_rows) * vocab);
    WEIR_TRY(runner.forward(std::span(&part, 1), logits, {}));
    for (int32_t row = 0; row < part.logit_rows; ++row) {
      const int32_t position = at + row;
      if (position + 1 >= n) break;  // the target of the last position lies in the next chunk
      const double loss = token_loss(
          std::span<const float>(logits).subspan(static_cast<size_t>(row) * vocab, vocab),
          targets[static_cast<size_t>(position) + 1]);
      if (!std::isfinite(loss)) {
        return make_error(ErrorCode::kInternal,
                          "the logits at position {} of a chunk are not finite", position);
      }
      losses.sum += loss;
      losses.sum_of_squares += loss * loss;
      ++losses.count;
    }
    at = end;
  }
  return {};
}

}  // namespace

double token_loss(std::span<const float> logits, int32_t target) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - max);
  return max + std::log(sum) - static_cast<double>(logits[static_cast<size_t>(target)]);
}

Result<Perplexity> measure_perplexity(engine::Runner& runner, std::span<const int32_t> tokens,
                                      const PerplexityOptions& options,
                                      const PerplexityProgress& progress) {
  const int32_t context = options.context_tokens;
  if (context < 4 || context > runner.max_context_tokens()) {
    return param_error(ErrorCode::kInvalidValue, "ctx",
                       "the context (--ctx) is {} tokens; it must be between 4 and {}", context,
                       runner.max_context_tokens());
  }
  int64_t chunks = static_cast<int64_t>(tokens.size()) / context;
  if (chunks < 2) {
    return make_error(
        ErrorCode::kInvalidValue,
        "the text has {} tokens; at a context of {} it needs at least {}: take a longer "
        "text or a smaller --ctx",
        tokens.size(), context, 2 * context);
  }
  if (options.max_chunks > 0) chunks = std::min(chunks, options.max_chunks);
  const int32_t page_tokens = runner.page_tokens();
  std::vector<int32_t> pages(static_cast<size_t>((context + page_tokens - 1) / page_tokens));
  std::iota(pages.begin(), pages.end(), 0);
  Losses losses;
  for (int64_t i = 0; i < chunks; ++i) {
    const auto targets =
        tokens.subspan(static_cast<size_t>(i * context), static_cast<size_t>(context));
    std::vector<int32_t> chunk(targets.begin(), targets.end());
    if (options.bos >= 0) chunk[0] = options.bos;
    WEIR_TRY(score_chunk(runner, chunk, targets, pages, losses));
    if (progress) progress(i + 1, chunks, losses.perplexity());
  }
  const double mean = losses.sum / static_cast<double>(losses.count);
  const double variance = losses.sum_of_squares / static_cast<double>(losses.count) - mean * mean;
  Perplexity result;
  result.perplexity = std::exp(mean);
  result.error =
      losses.count > 1 && variance > 0
          ? result.perplexity * std::sqrt(variance / static_cast<double>(losses.count - 1))
          : 0.0;
  result.chunks = chunks;
  result.scored_tokens = losses.count;
  return result;
}

}  // namespace weir::ops
