// A Runner over a loaded model and its KV memory.
#pragma once

#include "engine/runner.h"
#include "kv/kv_storage.h"
#include "model/model.h"

namespace weir::engine {

class ModelRunner final : public Runner {
 public:
  // Both are borrowed. pooling: instead of what the model's file says.
  ModelRunner(model::Model& model, kv::KvStorage& storage, std::optional<model::Pooling> pooling)
      : model_(model), storage_(storage), pooling_(pooling) {}

  int32_t vocab_size() const override { return model_.config().vocab_size; }
  int32_t max_context_tokens() const override { return model_.config().context_tokens; }
  int32_t max_step_tokens() const override { return model_.max_step_tokens(); }
  int32_t page_tokens() const override {
    return static_cast<int32_t>(storage_.layout().page_tokens);
  }
  int32_t pages() const override { return storage_.pages(); }
  EmbeddingTraits embedding() const override {
    const model::Config& c = model_.config();
    return {c.dim, pooling_.has_value() ? pooling_ : c.pooling, c.arch->encoder};
  }
  kernels::Isa isa() const override { return model_.isa(); }
  void clear_pages() override { storage_.clear(); }
  void copy_page(int32_t from, int32_t to) override { storage_.copy_page(from, to); }
  std::span<std::byte> page_bytes(int32_t page) override { return storage_.page(page); }
  Status forward(std::span<const model::Chunk> batch, std::span<float> logits,
                 std::span<float> hidden) override {
    return model_.forward(batch, storage_.pools(), storage_.layout().page_tokens, logits, hidden);
  }

 private:
  model::Model& model_;
  kv::KvStorage& storage_;
  std::optional<model::Pooling> pooling_;
};

}  // namespace weir::engine
