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
  int32_t batched_prompt_tokens =
      128;                    // tokens in the cache of each sequence before a batched decode row
  int32_t step_tokens = 512;  // prefill chunk
  int32_t reps = 3;
};

struct EngineBenchRow {
  std::string test;  // "pp512", "tg64"
  int32_t batch = 1;
  double tokens_per_s = 0;  // median of the repetitions
  double min_tokens_per_s = 0;
  double max_tokens_per_s = 0;
};

// Tokens that the KV pool behind the runner must hold for these options.
int64_t required_kv_tokens(const EngineBenchOptions& options, int32_t page_tokens);

// Runs each row after one warm-up. row_done is called after each, on the calling thread. Errors:
// kInvalidValue for a row that passes the model's window; what the runner returns.
Result<std::vector<EngineBenchRow>> bench_engine(
    engine::Runner& runner, const EngineBenchOptions& options, const Clock& clock,
    const std::function<void(const EngineBenchRow&)>& row_done);

}  // namespace weir::bench
