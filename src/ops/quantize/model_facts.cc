#include "ops/quantize/mix.h"

namespace weir::ops {

Result<ModelFacts> model_facts(const gguf::File& file) {
  ModelFacts facts;
  WEIR_ASSIGN(const std::string_view architecture, file.string_or("general.architecture", ""));
  facts.architecture = architecture;
  const auto key = [&](std::string_view name) { return fmt::format("{}.{}", architecture, name); };
  // A number, or the first of one for each layer.
  const auto number = [&](std::string_view name) -> Result<uint64_t> {
    const gguf::Value* value = file.find(key(name));
    if (value == nullptr || !value->is_array()) return file.uint_or(key(name), 0);
    WEIR_ASSIGN(const std::vector<int64_t> all, file.get_ints(key(name)));
    return all.empty() || all[0] < 0 ? 0 : static_cast<uint64_t>(all[0]);
  };
  WEIR_ASSIGN(facts.layers, file.uint_or(key("block_count"), 0));
  WEIR_ASSIGN(facts.experts, file.uint_or(key("expert_count"), 0));
  WEIR_ASSIGN(const uint64_t heads, number("attention.head_count"));
  uint64_t key_heads = heads;
  if (file.find(key("attention.head_count_kv")) != nullptr) {
    WEIR_ASSIGN(key_heads, number("attention.head_count_kv"));
  }
  facts.gqa = key_heads == 0 ? 0 : heads / key_heads;
  facts.tied = file.find_tensor("output.weight") == nullptr;
  facts.seventy_b = facts.layers == 80 && ((architecture == "llama" && heads != key_heads) ||
                                           architecture == "qwen2" || architecture == "jais2");
  return facts;
}

}  // namespace weir::ops
