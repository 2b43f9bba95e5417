#include "ops/eval/perplexity.h"

#include <cmath>

#include "kernels/ops.h"
#include "ops/eval/scored_rows.h"

namespace weir::ops {
namespace {

struct Losses {
  double sum = 0;
  double sum_of_squares = 0;
  int64_t count = 0;
  double perplexity() const { return std::exp(sum / static_cast<double>(count)); }
};

}  // namespace

double token_loss(const kernels::Kernels& kernels, std::span<const float> logits, int32_t target) {
  return kernels::log_sum_exp(kernels, logits.data(), logits.size()) -
         static_cast<double>(logits[static_cast<size_t>(target)]);
}

Result<Perplexity> measure_perplexity(engine::Runner& runner, std::span<const int32_t> tokens,
                                      const PerplexityOptions& options,
                                      const PerplexityProgress& progress) {
  const int32_t context = options.context_tokens;
  WEIR_ASSIGN(const int64_t chunks, count_chunks(tokens.size(), context,
                                                 runner.max_context_tokens(), options.max_chunks));
  const kernels::Kernels& kernels = kernels::kernels_for(runner.isa());
  ScoredRows rows(runner, context, options.bos);
  Losses losses;
  for (int64_t i = 0; i < chunks; ++i) {
    const auto chunk =
        tokens.subspan(static_cast<size_t>(i * context), static_cast<size_t>(context));
    WEIR_TRY(rows.run(chunk, [&](int32_t position, std::span<const float> logits) -> Status {
      const double loss = token_loss(kernels, logits, chunk[static_cast<size_t>(position) + 1]);
      if (!std::isfinite(loss)) {
        return make_error(ErrorCode::kInternal,
                          "the logits at position {} of a chunk are not finite", position);
      }
      losses.sum += loss;
      losses.sum_of_squares += loss * loss;
      ++losses.count;
      return {};
    }));
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
