// A loaded model and its forward pass over a mixed batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/attention.h"
#include "kernels/isa.h"
#include "kernels/thread_pool.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/input_observer.h"

namespace weir::model {

struct LoadOptions {
  kernels::Isa isa = kernels::Isa::kScalar;
  int32_t max_step_tokens = 512;  // tokens of one forward call; sizes the workspace
  // The longest sequence that will be run; 0: the trained window. Models with two sets of RoPE
  // factors (longrope) take the long one when this is past their original window.
  int32_t context_tokens = 0;
  kernels::KvTypes kv_types = {};
  std::function<void(size_t done, size_t all)> progress;  // tensors, on the calling thread
  // Run once by a worker while others pack weights; over when load() returns. Not run when loading
  // fails before.
  std::function<void(const gguf::File&)> beside;
};

class Model {
 public:
  // `pool` must outlive the model and is used by the caller's thread only; the file is owned (the
  // embedding is read from its mapping). Errors: those of read_config, check_kv_types and
  // load_weights; kUnsupported for a head dimension that attention does not take.
  static Result<std::unique_ptr<Model>> load(gguf::File file, kernels::ThreadPool& pool,
                                             const LoadOptions& options);
  ~Model();

  const Config& config() const;
  const gguf::File& file() const;
  kernels::Isa isa() const;
  uint64_t weight_bytes() const;  // packed
  int32_t max_step_tokens() const;
  // What was stored with other types must not be read any more. Precondition: check_kv_types().
  void set_kv_types(kernels::KvTypes types);
  // Shows it what matrices read in every forward() from now on; empty: to nobody.
  void observe_inputs(InputObserver observer);
  // Of the KV pages that forward() reads and writes.
  kernels::KvLayout kv_layout(size_t page_tokens) const;

  // One step. kv: [layers], pages of kv_layout(page_tokens). Writes K and V of every token into its
  // page, logits: [sum of logit_rows, vocab] f32 and hidden: [sum of hidden_rows, dim] f32 (after
  // the output norm, where the model has one), in the order of the chunks and of the tokens within
  // each. A chunk of an encoder is a whole text, and no token of it has logits. What a token gets
  // does not depend on the other chunks, on how its sequence was cut into chunks, or on the number
  // of threads. One call at a time. Errors: kInternal when a chunk is malformed, the step passes
  // max_step_tokens, or `kv`, `logits` or `hidden` have another size; nothing was written then.
  Status forward(std::span<const Chunk> batch, std::span<const kernels::KvPools> kv,
                 size_t page_tokens, std::span<float> logits, std::span<float> hidden = {});

 private:
  struct State;
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::model
