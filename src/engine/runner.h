// What the engine needs of a model: run a step. ModelRunner is the real one; tests and the
// simulator bring a fake.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "kernels/isa.h"
#include "model/batch.h"
#include "model/pooling.h"

namespace weir::engine {

// What a model's hidden states are good for.
struct EmbeddingTraits {
  int32_t dim = 0;                        // of a hidden state; 0: the runner gives none
  std::optional<model::Pooling> pooling;  // unset: nobody said how texts become vectors
  bool encoder = false;  // every token sees the whole text, which is one chunk; no logits
};

inline constexpr int32_t kPageTokens = 32;  // one of the sizes that kernels/attention.h takes

class Runner {
 public:
  virtual ~Runner() = default;
  virtual int32_t vocab_size() const = 0;
  virtual int32_t max_context_tokens() const = 0;  // the trained window
  virtual int32_t max_step_tokens() const = 0;     // tokens of one forward call
  virtual int32_t page_tokens() const = 0;
  virtual int32_t pages() const = 0;  // in the KV cache behind it
  virtual EmbeddingTraits embedding() const { return {}; }
  // Of the arithmetic behind the logits: what reduces them may use the same.
  virtual kernels::Isa isa() const { return kernels::Isa::kScalar; }
  // Makes page `to` hold what page `from` holds: keys and values of all layers. Between forwards.
  virtual void copy_page(int32_t from, int32_t to) = 0;
  // The bytes of a page of all layers, to be kept elsewhere and put back: they mean the same to
  // every runner of the same model, KV types and ISA.
  virtual std::span<std::byte> page_bytes(int32_t page) = 0;
  // All pages hold nothing from now on, and take no memory until they are written. Between
  // forwards.
  virtual void clear_pages() {}
  // logits: [sum of logit_rows, vocab] f32; hidden: [sum of hidden_rows, dim] f32. On an error
  // nothing is committed: the same step, or parts of it, may be run again. One call at a time.
  virtual Status forward(std::span<const model::Chunk> batch, std::span<float> logits,
                         std::span<float> hidden) = 0;
};

}  // namespace weir::engine
