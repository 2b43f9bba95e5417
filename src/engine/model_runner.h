// A Runner over a loaded model and its KV memory.
#pragma once

#include "engine/runner.h"
#include "kv/kv_storage.h"
#include "model/model.h"

namespace weir::engine {

class ModelRunner final : public Runner {
 public:
  // Both are borrowed.
  ModelRunner(model::Model& model, kv::KvStorage& storage) : model_(model), storage_(storage) {}

  int32_t vocab_size() const override { return model_.config().vocab_size; }
  int32_t max_context_tokens() const override { return model_.config().context_tokens; }
  int32_t max_step_tokens() const override { return model_.max_step_tokens(); }
  int32_t page_tokens() const override {
    return static_cast<int32_t>(storage_.layout().page_tokens);
  }
  int32_t pages() const override { return storage_.pages(); }
  Status forward(std::span<const model::Chunk> batch, std::span<float> logits) override {
    return model_.forward(batch, storage_.pools(), storage_.layout().page_tokens, logits);
  }

 private:
  model::Model& model_;
  kv::KvStorage& storage_;
};

}  // namespace weir::engine
