// Speed of a model on this machine, without server or sampler: prefill and decode as llama-bench
// and llama-batched-bench measure them, so that rows compare.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/runner.h"

namespace weir::bench {

struct EngineBenchOptions {
  int32_t prompt_tokens = 512;
  int32_t gen_tokens = 64;
  std::vector<int32_t> batches{1};  // concurrent sequences of the decode rows
  // Tokens in the cache of each sequence before a decode row of several sequences.
  int32_t batched_prompt_tokens = 128;
  // Tokens in the cache of each sequence before any row; where above 0, in place of the above.
  int32_t depth_tokens = 0;
  int32_t step_tokens = 512;  // prefill chunk
  int32_t reps = 3;
  bool warmup = true;  // one run of each row that does not count
};

struct EngineBenchRow {
  std::string test;  // "pp512", "tg64"; with a depth "tg64 @ d8192", as llama-bench writes it
  int32_t batch = 1;
  int32_t context_tokens = 0;  // in the cache of each sequence before the row
  double tokens_per_s = 0;     // median of the repetitions
  double min_tokens_per_s = 0;
  double max_tokens_per_s = 0;
};

// Tokens that the KV pool behind the runner must hold for these options.
int64_t required_kv_tokens(const EngineBenchOptions& options, int32_t page_tokens);

// Runs each row. row_done is called after each, on the calling thread. Errors:
// kInvalidValue for a row that passes the model's window; what the runner returns.
Result<std::vector<EngineBenchRow>> bench_engine(
    engine::Runner& runner, const EngineBenchOptions& options, const Clock& clock,
    const std::function<void(const EngineBenchRow&)>& row_done);

}  // namespace weir::bench
