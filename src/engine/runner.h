// What the engine needs of a model: run a step. ModelRunner is the real one; tests and the
// simulator bring a fake.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "model/batch.h"

namespace weir::engine {

inline constexpr int32_t kPageTokens = 32;  // one attention block; see kernels/attention.h

class Runner {
 public:
  virtual ~Runner() = default;
  virtual int32_t vocab_size() const = 0;
  virtual int32_t max_context_tokens() const = 0;  // the trained window
  virtual int32_t max_step_tokens() const = 0;     // tokens of one forward call
  virtual int32_t page_tokens() const = 0;
  virtual int32_t pages() const = 0;  // in the KV cache behind it
  // logits: [sum of logit_rows, vocab] f32. On an error nothing is committed: the same step, or
  // parts of it, may be run again. One call at a time.
  virtual Status forward(std::span<const model::Chunk> batch, std::span<float> logits) = 0;
};

}  // namespace weir::engine
