// Perplexity of a model on a text, by the method of llama.cpp's llama-perplexity so that figures
// compare: the text is cut into chunks of `context` tokens, each evaluated from nothing, and the
// second half of each is scored.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "engine/runner.h"
#include "kernels/kernels.h"

namespace weir::ops {

struct PerplexityOptions {
  int32_t context_tokens = 512;
  int64_t max_chunks = 0;  // 0: all
  int32_t bos = -1;        // replaces the first token of each chunk; -1: none
};

struct Perplexity {
  double perplexity = 0;
  double error = 0;  // standard error of the perplexity, from the variance of the token losses
  int64_t chunks = 0;
  int64_t scored_tokens = 0;
};

// progress(chunks done, all chunks, perplexity so far), once per chunk, on the calling thread.
using PerplexityProgress = std::function<void(int64_t, int64_t, double)>;

// Errors: kInvalidValue when the text holds fewer than two chunks of tokens or the context is out
// of range; what the runner returns; kInternal when a logit is not finite. Uses the runner's first
// pages.
Result<Perplexity> measure_perplexity(engine::Runner& runner, std::span<const int32_t> tokens,
                                      const PerplexityOptions& options,
                                      const PerplexityProgress& progress);

// -log softmax(logits)[target]; logits: [vocab]. Not finite when a logit is not.
double token_loss(const kernels::Kernels& kernels, std::span<const float> logits, int32_t target);

}  // namespace weir::ops
