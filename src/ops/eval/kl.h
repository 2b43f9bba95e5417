// KL divergence of a candidate from a base, token by token over the whole vocabulary:
//   KL = sum over tokens t of p_base(t) × (log p_base(t) - log p_candidate(t)), in nats,
// at the positions of scored_rows.h. As llama-perplexity --kl-divergence computes it: base
// log-probabilities are quantized to 16 bits (kl_base.h), and those of -16 and less add nothing. A
// base that runs beside the candidate goes through the same quantization: the figures are the same.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/runner.h"
#include "ops/eval/kl_base.h"
#include "ops/eval/result.h"

namespace weir::ops {

struct KlToken {
  double kl = 0;
  double loss = 0, base_loss = 0;  // -log p of the text's next token
  double delta_p = 0;              // p_candidate - p_base of it
  int32_t top = 0, base_top = 0;   // the likeliest tokens
};

// logits: the candidate's [vocab]. Error: kInternal for logits that are not finite.
Result<KlToken> compare_row(const kernels::Kernels& kernels, const KlBaseRow& base,
                            std::span<const float> logits, int32_t target);

struct KlChunk {
  int32_t tokens = 0;                                             // scored
  double kl = 0, loss = 0, base_loss = 0, delta_p = 0, top1 = 0;  // means
  // The position (in the chunk) with the largest KL, and what the two would have said there.
  int32_t worst_position = 0;
  KlToken worst;
};

struct Mean {
  double value = 0;
  double error = 0;  // standard error
};

struct KlResult {
  Mean kl;
  double median = 0, p90 = 0, p99 = 0, p999 = 0, max = 0, min = 0;
  Mean top1;     // share of positions at which both have the same likeliest token
  Mean delta_p;  // of the text's token
  double delta_p_rms = 0;
  Mean perplexity, base_perplexity;
  Mean ratio;          // of the perplexities, its error from the paired losses
  int64_t tokens = 0;  // scored
  std::vector<KlChunk> chunks;
  EvalHistogram histogram;  // of the tokens' KL, by decades
};

// Collects tokens. One thread.
class KlCollector {
 public:
  void add(int32_t position, const KlToken& token);
  void end_chunk();
  double mean_kl() const;
  // Precondition: a chunk was ended.
  KlResult result() const;

 private:
  KlChunk chunk_;
  std::vector<KlChunk> chunks_;
  std::vector<float> kl_;
  double sums_[5] = {};     // kl, loss, base loss, delta_p, top1
  double squares_[6] = {};  // of the same, then of loss - base loss
};

// Row `row` of chunk `chunk` of the base; rows are asked for in order.
using KlBaseSource = std::function<Result<const KlBaseRow*>(int64_t chunk, int32_t row)>;
// progress(chunks done, all chunks, mean KL so far), on the calling thread.
using KlProgress = std::function<void(int64_t, int64_t, double)>;

// Runs the base and keeps its rows. header: complete. Errors: those of the runner and the writer.
Status save_kl_base(engine::Runner& base, const KlBaseHeader& header, const std::string& path,
                    const KlProgress& progress);

// The candidate against rows from anywhere. Errors: those of the runner and of `base`.
Result<KlResult> measure_kl(engine::Runner& candidate, const KlBaseHeader& header,
                            const KlBaseSource& base, const KlProgress& progress);

// The candidate against a stored base, or against one that runs chunk by chunk beside it (its
// quantized rows of one chunk are in memory). Errors: those of the runners and of the file.
Result<KlResult> measure_kl(engine::Runner& candidate, KlBaseFile& base,
                            const KlProgress& progress);
Result<KlResult> measure_kl(engine::Runner& candidate, engine::Runner& base,
                            const KlBaseHeader& header, const KlProgress& progress);

// Error kInvalidValue when the candidate does not fit: another vocabulary (sizes and hashes in the
// message), a context longer than its window, another text (hash of the bytes; skipped when the
// caller has none).
Status check_kl_candidate(const KlBaseHeader& base, int32_t vocab, const Hash128& vocabulary,
                          int32_t max_context_tokens, const Hash128* text);

}  // namespace weir::ops
