// Everything that running one model takes: tokenizer, threads, weights, KV memory, runner.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/hash.h"
#include "base/result.h"
#include "checkpoint/open.h"
#include "engine/model_runner.h"
#include "kernels/isa.h"
#include "kernels/thread_pool.h"
#include "kv/kv_storage.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace weir::engine {

struct LoadOptions {
  kernels::Isa isa = kernels::Isa::kScalar;
  int threads = 1;
  int32_t max_step_tokens = 512;
  // An encoder, which takes a text in one step, gets steps as long as its window, up to this.
  int32_t encoder_step_tokens = 0;
  int64_t kv_tokens = 0;  // tokens of KV cache; 0: one window (an encoder: what a step of texts
                          // takes), but at most a quarter of the free memory
  kernels::KvTypes kv_types = {};
  std::optional<model::Pooling> pooling;  // of embeddings, instead of what the file says
  checkpoint::OpenOptions open;
  const Clock* clock = nullptr;  // of LoadTimes; nullptr: they stay 0
  std::function<void(size_t done, size_t all)> progress;
};

// What loading took. The tokenizer is made while weights are packed.
struct LoadTimes {
  double open_ms = 0;       // the file or folder read, its size held against memory
  double tokenizer_ms = 0;  // on one worker
  double weights_ms = 0;    // packed, the tokenizer included
  double all_ms = 0;
};

class LoadedModel {
 public:
  // Refuses a model larger than memory before loading it. Errors: those of open_model,
  // Tokenizer::load, Model::load; kOutOfMemory with the arithmetic.
  static Result<std::unique_ptr<LoadedModel>> load(const std::string& path,
                                                   const LoadOptions& options);

  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  const model::Config& config() const { return model_->config(); }
  const gguf::File& file() const { return model_->file(); }
  Runner& runner() { return *runner_; }
  kernels::Isa isa() const { return model_->isa(); }
  int threads() const { return static_cast<int>(pool_->threads()); }
  uint64_t weight_bytes() const { return model_->weight_bytes(); }
  // Another KV cache of as many tokens; runner() is another one from then on. Precondition: nothing
  // runs. Errors: kUnsupported for types that the model's heads do not fit, kOutOfMemory; nothing
  // has changed then.
  Status set_kv_types(kernels::KvTypes types);

  // As Model has it.
  void observe_inputs(model::InputObserver observer) {
    model_->observe_inputs(std::move(observer));
  }

  Hash128 identity() const { return identity_; }  // engine/model_identity.h
  const LoadTimes& times() const { return times_; }
  uint64_t kv_bytes() const { return storage_->bytes(); }

 private:
  LoadedModel() = default;
  LoadTimes times_;
  Hash128 identity_;
  std::optional<model::Pooling> pooling_;  // that of LoadOptions
  std::unique_ptr<kernels::ThreadPool> pool_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<kv::KvStorage> storage_;
  std::unique_ptr<ModelRunner> runner_;
};

}  // namespace weir::engine
