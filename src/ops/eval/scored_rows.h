// The positions that perplexity and KL divergence score, by llama-perplexity's method: the text is
// cut into chunks of `context` tokens, each computed from nothing, and of each chunk the positions
// context / 2 .. context - 2 are scored (the target of the last one lies in the next chunk).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/runner.h"

namespace weir::ops {

inline constexpr int32_t kMinContextTokens = 4;

// Scored positions of a chunk.
inline int32_t scored_rows(int32_t context_tokens) {
  return context_tokens - 1 - context_tokens / 2;
}

// Whole chunks of a text, at most max_chunks of them (0: all). Errors: kInvalidValue for a context
// outside 4 .. max_context_tokens, and for a text of fewer chunks than least_chunks: two, whose
// scores have a standard error.
Result<int64_t> count_chunks(size_t tokens, int32_t context_tokens, int32_t max_context_tokens,
                             int64_t max_chunks, int64_t least_chunks = 2);

// Computes chunks, one after another, in the runner's first pages. One thread.
class ScoredRows {
 public:
  // bos: replaces the first token of each chunk; -1: none. The runner is borrowed.
  ScoredRows(engine::Runner& runner, int32_t context_tokens, int32_t bos);

  // row(position in the chunk, logits [vocab]) in order of positions; an error ends the chunk.
  // chunk: [context_tokens] ids. Errors: what the runner and `row` return.
  using Row = std::function<Status(int32_t, std::span<const float>)>;
  Status run(std::span<const int32_t> chunk, const Row& row);

 private:
  engine::Runner& runner_;
  int32_t bos_;
  std::vector<int32_t> pages_;
  std::vector<int32_t> tokens_;
  std::vector<float> logits_;
};

}  // namespace weir::ops
